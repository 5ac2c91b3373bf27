//! What is known of a place that no connection leads to: who asks meanwhile is told at once, and one probe at a time finds out when
//! it is back.
//!
//! A circuit stands before the opening of connections only. Requests on connections that are open are none of its concern.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::SystemTime,
};

use http::uri::{Authority, Scheme};
use tokio::sync::watch;

use super::{
    causes,
    connect::{ConnectTimeout, Stream, Way},
    probe,
};
use crate::body::BoxError;

/// The circuits of all origins. A cheap handle; clones share them, so that what one worker has found out all know.
///
/// There is one for each origin that was ever connected to: those of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuits(Arc<Mutex<HashMap<Place, Arc<Circuit>>>>);

type Place = (Scheme, Authority);

impl Circuits {
    pub(super) fn of(&self, scheme: &Scheme, authority: &Authority) -> Arc<Circuit> {
        let place = (scheme.clone(), authority.clone());
        let mut circuits = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(circuits.entry(place).or_default())
    }
}

/// The circuit of one origin: closed while connections succeed, open from when they don't until a probe does.
#[derive(Debug)]
pub(super) struct Circuit {
    outage: watch::Sender<Option<Outage>>,
    /// In a row, without a success between.
    failures: AtomicU32,
}

impl Default for Circuit {
    fn default() -> Self {
        Self {
            outage: watch::Sender::new(None),
            failures: AtomicU32::new(0),
        }
    }
}

impl Circuit {
    /// Opens a connection, unless it is known that there is none to be had.
    ///
    /// # Errors
    /// Why there is none; an [`Outage`] when that is known by others.
    pub(super) async fn connect(self: &Arc<Self>, way: Way) -> Result<Stream, BoxError> {
        if let Some(outage) = self.outage() {
            return Err(outage.into());
        }
        tokio::select! {
            biased;
            outcome = way.open(way.timeout) => match outcome {
                Ok(stream) => {
                    self.close();
                    Ok(stream)
                }
                Err(error) => Err(self.failed(error, way)),
            },
            outage = self.silence() => Err(outage.into()),
        }
    }

    /// Why connections fail at once, if they do. To ask for it is to want to know when it is over.
    pub(super) fn outage(&self) -> Option<Outage> {
        let outage = self.outage.borrow().clone()?;
        outage.asked.store(true, Relaxed);
        Some(outage)
    }

    /// Comes back when another has waited in vain for all the time there is. Who waits by then doesn't wait for longer.
    async fn silence(&self) -> Outage {
        let mut outages = self.outage.subscribe();
        let silent = |outage: &Option<Outage>| outage.as_ref().is_some_and(Outage::is_silence);
        if let Ok(outage) = outages.wait_for(silent).await
            && let Some(outage) = outage.clone()
        {
            return outage;
        }
        // The sender is our own, so there is no end of it.
        std::future::pending().await
    }

    /// One server of many may refuse one connection; only the second failure in a row opens the circuit. But who has waited in
    /// vain has waited long enough for all.
    fn failed(self: &Arc<Self>, error: BoxError, way: Way) -> BoxError {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        if failures < ENOUGH && !error.is::<ConnectTimeout>() {
            return error;
        }
        let outage = Outage::since_now(error);
        let mut is_first = false;
        self.outage.send_if_modified(|known| {
            is_first = known.is_none();
            known.get_or_insert_with(|| outage.clone());
            is_first
        });
        if is_first {
            tokio::spawn(probe::run(Arc::clone(self), outage.clone(), way));
        }
        outage.into()
    }

    fn close(&self) {
        self.failures.store(0, Relaxed);
        self.outage.send_if_modified(|known| known.take().is_some());
    }

    /// Ends this outage, if it lasts.
    pub(super) fn end(&self, outage: &Outage, success: bool) -> bool {
        if success {
            self.failures.store(0, Relaxed);
        }
        self.outage
            .send_if_modified(|known| known.take_if(|known| known.is(outage)).is_some())
    }

    /// Does this outage last?
    pub(super) fn lasts(&self, outage: &Outage) -> bool {
        let known = self.outage.borrow();
        known.as_ref().is_some_and(|known| known.is(outage))
    }

    /// It is as it was, but for another cause.
    pub(super) fn now_because(&self, outage: &Outage, cause: BoxError) {
        self.outage.send_if_modified(|known| {
            if let Some(known) = known.as_mut().filter(|known| known.is(outage)) {
                known.cause = cause.into();
            }
            false
        });
    }
}

/// No connection leads to an origin, and this is why. Shared by all who ask meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Outage {
    since: Arc<SystemTime>,
    /// Has anybody asked since the last probe?
    asked: Arc<AtomicBool>,
    cause: Arc<dyn std::error::Error + Send + Sync>,
}

impl Outage {
    fn since_now(cause: BoxError) -> Self {
        Self {
            since: Arc::new(SystemTime::now()),
            asked: Arc::new(AtomicBool::new(true)),
            cause: cause.into(),
        }
    }

    /// Is that what stands behind a failure?
    pub(crate) fn is_behind(error: &(dyn std::error::Error + 'static)) -> bool {
        causes(error).any(<dyn std::error::Error>::is::<Self>)
    }

    /// Has anybody asked since this was called last?
    pub(super) fn was_asked(&self) -> bool {
        self.asked.swap(false, Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.since, &other.since)
    }

    fn is_silence(&self) -> bool {
        self.cause.is::<ConnectTimeout>()
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = humantime::format_rfc3339_seconds(*self.since);
        write!(f, "no connection since {since}")
    }
}

impl std::error::Error for Outage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}

/// So many failures in a row make an outage.
const ENOUGH: u32 = 2;
