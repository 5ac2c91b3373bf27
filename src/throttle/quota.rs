//! One class of calls of one application in one tenant: whoever makes such a call comes through here, and waits here.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{HeaderMap, Response, StatusCode};
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};

use super::{
    Terms, Throttled, budget,
    queue::Client,
    retry_after,
    state::{Entry, Leave, State, Step, Wish},
};

/// The calls of one class.
#[derive(Debug)]
pub struct Quota {
    /// Held for some counting at most, never across an `.await`.
    state: Mutex<State>,
}

impl Quota {
    /// Nothing called yet.
    #[must_use]
    pub fn new(limit: Option<budget::Limit>) -> Self {
        Self {
            state: Mutex::new(State::new(limit, Instant::now())),
        }
    }

    /// Lets a request go, now or when it may. `stopping` says when nobody shall wait any more.
    ///
    /// Cancel-safe: who is dropped has left the queue.
    ///
    /// # Errors
    /// When the route doesn't wait, or not as long as it would take.
    pub async fn admit<'q>(&'q self, visitor: Visitor<'q>) -> Result<Admission<'q>, Throttled> {
        let now = Instant::now();
        let left = visitor.terms.patience();
        let wish = visitor.wish(now + left);
        let entry = self.lock().enter(&wish, now);
        let leave = self.enter(entry, visitor, wish).await?;
        Ok(Admission {
            quota: self,
            visitor,
            left: left.saturating_sub(now.elapsed()),
            leave,
        })
    }

    async fn enter(
        &self,
        entry: Entry,
        visitor: Visitor<'_>,
        wish: Wish,
    ) -> Result<Leave, Throttled> {
        match entry {
            Entry::Go(leave) => Ok(leave),
            Entry::Refuse(refusal) => Err(refusal),
            Entry::Wait(ticket, turn) => {
                let place = Place {
                    quota: self,
                    ticket,
                    turn,
                };
                // On the heap, as hardly any request waits.
                Box::pin(place.wait(wish, visitor.stopping.clone())).await
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who wants to send.
#[derive(Clone, Copy, Debug)]
pub struct Visitor<'q> {
    /// What its route does about rate limits.
    pub terms: Terms,
    /// Its connection.
    pub client: Client,
    /// Becomes true when the proxy stops.
    pub stopping: &'q watch::Receiver<bool>,
}

impl Visitor<'_> {
    fn wish(&self, until: Instant) -> Wish {
        Wish {
            terms: self.terms,
            client: self.client,
            until,
        }
    }
}

/// A place in the queue; dropping it leaves the queue.
struct Place<'q> {
    quota: &'q Quota,
    ticket: u64,
    turn: Arc<Notify>,
}

impl Place<'_> {
    async fn wait(
        self,
        wish: Wish,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<Leave, Throttled> {
        loop {
            let step = self.quota.lock().check(&wish, self.ticket, Instant::now());
            let alarm = match step {
                Step::Go(leave) => return Ok(leave),
                Step::Refuse(refusal) => return Err(refusal),
                Step::Wait(alarm) => alarm,
            };
            tokio::select! {
                () = self.turn.notified() => {}
                () = sleep_until(alarm.into()) => {}
                _ = stopping.wait_for(|stops| *stops) => {
                    let (mut state, now) = (self.quota.lock(), Instant::now());
                    let due = state.due(wish.terms, now, 0);
                    return Err(state.refusal(due, now));
                }
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.quota.lock().give_up(self.ticket);
    }
}

/// Leave to send one request, and again if upstream throttles it and the route waits.
#[derive(Debug)]
pub struct Admission<'q> {
    quota: &'q Quota,
    visitor: Visitor<'q>,
    /// What is left of its patience.
    left: Duration,
    leave: Leave,
}

impl Admission<'_> {
    /// Notes what upstream answered. True when the request was throttled, which means that it was not executed, and has been
    /// waited out: then it is to be sent again.
    pub async fn again<B>(&mut self, response: &Response<B>, can_repeat: bool) -> bool {
        let was_refused = response.status() == StatusCode::TOO_MANY_REQUESTS;
        self.end_trial(!was_refused);
        if !was_refused {
            return false;
        }
        let now = Instant::now();
        if let Some(pause) = pause(response.headers(), self.visitor.terms) {
            let was_open = self.quota.lock().close(now + pause, now);
            if was_open {
                tracing::info!(
                    seconds = pause.as_secs(),
                    "upstream throttles: the gate is closed for calls of this kind"
                );
            }
        }
        if self.visitor.terms.wait.is_none() || !can_repeat || *self.visitor.stopping.borrow() {
            return false;
        }
        let wish = self.visitor.wish(now + self.left);
        let entry = self.quota.lock().enter_again(&wish, now);
        let Ok(leave) = self.quota.enter(entry, self.visitor, wish).await else {
            return false;
        };
        self.left = self.left.saturating_sub(now.elapsed());
        self.leave = leave;
        true
    }

    /// Tells the client where all clients stand.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if let Some(standing) = self.leave.standing {
            standing.tell(headers);
        }
    }

    fn end_trial(&mut self, succeeded: bool) {
        if std::mem::take(&mut self.leave.is_trial) {
            self.quota.lock().end_trial(succeeded);
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        // Broken off: nothing was learned.
        self.end_trial(false);
    }
}

/// How long a `429` stops others. Where clients are refused meanwhile, only upstream's own word stops them.
fn pause(headers: &HeaderMap, terms: Terms) -> Option<Duration> {
    match (retry_after(headers), terms.wait) {
        (Some(named), Some(_)) => Some(named.clamp(SHORTEST, LONGEST)),
        (Some(named), None) => Some(named.min(LONGEST)),
        (None, Some(_)) => Some(UNNAMED),
        (None, None) => None,
    }
}

/// So that a `Retry-After: 0` is no endless loop.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);
/// When upstream names no time, or nonsense.
const UNNAMED: Duration = Duration::from_secs(10);
