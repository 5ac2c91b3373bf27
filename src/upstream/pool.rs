//! The pool of connections, and the nights it doesn't outlive.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use http::{
    Request, Response, Uri,
    uri::{Authority, Scheme},
};
use hyper::client::conn::TrySendError;

use super::{
    circuit::Outage,
    connect::Connector,
    http1,
    lane::{Failure, Found, Lane, Ready},
    opener::Opener,
    received::Received,
};
use crate::{
    body::{BoxError, Outgoing},
    origin::Origin,
};

/// A pool that forgets its connections when the machine has slept.
///
/// Their other ends are gone by then, without a word to a machine that couldn't hear it. The monotonic clock stood still meanwhile, so
/// they look fresh, and the first request on one would wait for an answer that can't come.
#[derive(Debug)]
pub(super) struct Pool {
    opener: Opener,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    /// One for each origin of the configuration that was asked for: a few.
    lanes: Vec<Arc<Lane>>,
    clocks: Clocks,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// No connection.
    Unreachable(BoxError),
    /// The connection broke, or what came on it was none.
    Broken(BoxError),
}

impl Pool {
    pub(super) fn new(connector: Connector) -> Self {
        let current = Mutex::new(Current {
            lanes: Vec::new(),
            clocks: Clocks::now(),
        });
        Self {
            opener: Opener::new(connector),
            current,
        }
    }

    /// Why nothing is sent to `origin` at the moment.
    pub(super) fn outage(&self, origin: &Origin) -> Option<Outage> {
        self.opener.connector.outage(origin)
    }

    /// Sends a request, which is there until it is sent. Once more, if nothing of it was sent because the connection it was meant
    /// for had just ended.
    pub(super) async fn send(
        &self,
        unsent: &mut Option<Request<Outgoing>>,
    ) -> Result<Response<Received>, NoAnswer> {
        loop {
            let lane = self.lane(unsent.as_ref().map(Request::uri))?;
            let found = lane.take(&self.opener).await?;
            let is_used = found.is_used;
            match exchange(found, unsent, &lane).await {
                Err(NoAnswer::Broken(_)) if is_used && unsent.is_some() => {}
                outcome => return outcome,
            }
        }
    }

    /// Opens a connection to `target` for a request that will come, if there is none to be had.
    pub(super) fn prepare(&self, target: &Uri) {
        // A target that is none is told with the request.
        if let Ok(lane) = self.lane(Some(target)) {
            lane.prepare(&self.opener);
        }
    }

    /// The connections to where a request goes.
    fn lane(&self, target: Option<&Uri>) -> Result<Arc<Lane>, NoAnswer> {
        let (Some(scheme), Some(authority)) = (
            target.and_then(Uri::scheme),
            target.and_then(Uri::authority),
        ) else {
            return Err(NoAnswer::Unreachable("the target has no origin".into()));
        };
        let now = Clocks::now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.parted_since(current.clocks) {
            tracing::info!("the clock was set, or the machine slept; connections are made anew");
            // What is under way on the old ones goes on.
            current.lanes.clear();
        }
        current.clocks = now;
        Ok(current.lane(scheme, authority))
    }
}

impl Current {
    fn lane(&mut self, scheme: &Scheme, authority: &Authority) -> Arc<Lane> {
        let known = self
            .lanes
            .iter()
            .find(|lane| lane.leads_to(scheme, authority));
        if let Some(lane) = known {
            return Arc::clone(lane);
        }
        let lane = Arc::new(Lane::new(scheme.clone(), authority.clone()));
        self.lanes.push(Arc::clone(&lane));
        lane
    }
}

impl From<Failure> for NoAnswer {
    fn from(failure: Failure) -> Self {
        Self::Unreachable(failure.into())
    }
}

/// Sends what is there to be sent; what nothing was sent of is there again.
async fn exchange(
    found: Found,
    unsent: &mut Option<Request<Outgoing>>,
    lane: &Arc<Lane>,
) -> Result<Response<Received>, NoAnswer> {
    match found.ready {
        Ready::Http1(connection) => {
            let Some(mut request) = unsent.take() else {
                return Err(NoAnswer::Unreachable("there is no request".into()));
            };
            // One that is new says itself what is wrong.
            if found.is_used {
                connection.look();
            }
            http1::address(&mut request, lane.host());
            let answer = connection.send(request, lane).await;
            let answer = answer.map(|answer| answer.map(Received::from));
            answer.map_err(|error| {
                let broken = broken(error, unsent);
                // The next connection may speak another protocol.
                if let Some(unsent) = unsent {
                    lane.address(unsent);
                }
                broken
            })
        }
        Ready::Http2(connection) => {
            let answer = connection.send(unsent).await;
            Ok(answer.map_err(NoAnswer::Broken)?.map(Received::from))
        }
    }
}

fn broken(
    mut error: TrySendError<Request<Outgoing>>,
    unsent: &mut Option<Request<Outgoing>>,
) -> NoAnswer {
    *unsent = error.take_message();
    NoAnswer::Broken(error.into_error().into())
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Clocks {
    monotonic: Instant,
    wall: SystemTime,
}

impl Clocks {
    fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// Has one clock gone further than the other since `earlier`?
    fn parted_since(self, earlier: Self) -> bool {
        let monotonic = self.monotonic.saturating_duration_since(earlier.monotonic);
        // Set back, it counts as never having moved: far enough back, that is too little.
        match self.wall.duration_since(earlier.wall) {
            Ok(wall) => wall.abs_diff(monotonic) > SLACK,
            Err(back) => back.duration() + monotonic > SLACK,
        }
    }
}

/// How far the clocks may part between two requests: less than any sleep that connections don't survive, more than a clock that is
/// being adjusted slews.
const SLACK: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_and_steps_are_noticed_and_waiting_is_not() {
        let then = Clocks::now();
        let hour = Duration::from_hours(1);
        let second = Duration::from_secs(1);
        let after = |monotonic, wall: SystemTime| Clocks {
            monotonic: then.monotonic + monotonic,
            wall,
        };
        for (name, now, parted) in [
            ("at once", then, false),
            ("an idle hour", after(hour, then.wall + hour), false),
            (
                "a slow clock",
                after(hour, then.wall + hour - second),
                false,
            ),
            (
                "a slew back",
                after(Duration::ZERO, then.wall - second),
                false,
            ),
            ("a night", after(second, then.wall + 8 * hour), true),
            ("a nap", after(second, then.wall + 10 * second), true),
            ("an hour forth", after(second, then.wall + hour), true),
            ("an hour back", after(second, then.wall - hour), true),
            ("stopped", after(hour, then.wall), true),
        ] {
            assert_eq!(now.parted_since(then), parted, "{name}");
        }
    }
}
