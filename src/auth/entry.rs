//! What is known for one key of the cache: the token, the last failure, and whether a fetch is needed.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{
    AccessToken, Rejected, TokenKey,
    aadsts::Class,
    consent::Customer,
    error::{NoToken, TokenError},
};
use crate::error::Chain;

/// Why a fetch may be needed; decided again under the key's lock, as another may have done it meanwhile.
#[derive(Debug)]
pub(super) enum Need {
    /// Any live token will do.
    Any,
    /// Upstream refused this one.
    Unrejected(Rejected),
    /// This one is near its end.
    Newer(Arc<AccessToken>),
}

impl Need {
    /// What the token request has to know of it: see [`Ask`].
    pub(super) fn ask(&self) -> (u32, Option<String>) {
        match self {
            Self::Any | Self::Newer(_) => (0, None),
            Self::Unrejected(Rejected { token, claims }) => {
                let refreshes = if token.is_live() {
                    token.refreshes().saturating_add(1)
                } else {
                    0
                };
                (refreshes, claims.clone())
            }
        }
    }
}

/// A snapshot of what is known for a key; replaced whole, never changed.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) token: Option<Arc<AccessToken>>,
    pub(super) failure: Option<Failure>,
}

impl Entry {
    /// What can be answered without a fetch.
    pub(super) fn known(&self) -> Option<Result<Arc<AccessToken>, NoToken>> {
        if let Some(token) = self.live() {
            token.note_use();
            return Some(Ok(Arc::clone(token)));
        }
        self.failed().map(Err)
    }

    /// The failure for which nobody asks again yet.
    pub(super) fn failed(&self) -> Option<NoToken> {
        let failure = self.failure.as_ref().filter(|failure| failure.holds())?;
        Some(failure.to_answer())
    }

    /// Is a fetch unnecessary, or too early?
    pub(super) fn settles(&self, need: &Need) -> bool {
        let is = |token: &Arc<AccessToken>| {
            self.token
                .as_ref()
                .is_some_and(|held| Arc::ptr_eq(held, token))
        };
        let serves = match need {
            Need::Newer(token) => !is(token),
            Need::Unrejected(Rejected { token, .. }) if is(token) => {
                token.is_live() && token.age() < rest(token.refreshes())
            }
            Need::Any | Need::Unrejected(_) => self.live().is_some(),
        };
        serves || self.holds_off()
    }

    pub(super) fn live(&self) -> Option<&Arc<AccessToken>> {
        self.token.as_ref().filter(|token| token.is_live())
    }

    fn holds_off(&self) -> bool {
        self.failure.as_ref().is_some_and(Failure::holds)
    }
}

/// The last failure, and until when it stands for an answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Arc<TokenError>,
    customer: Option<Arc<Customer>>,
    retry_at: Instant,
    count: u32,
    /// When the first in the row was.
    since: Instant,
    /// Is it what the one before was?
    is_repeated: bool,
    /// Held by who fetches next.
    pub(super) turn: Arc<Semaphore>,
}

impl Failure {
    pub(super) fn new(error: TokenError, previous: Option<&Self>) -> Self {
        let count = previous
            .map_or(0, |previous| previous.count)
            .saturating_add(1);
        let now = Instant::now();
        let is_repeated = previous.is_some_and(|previous| previous.error.is_like(&error));
        Self {
            retry_at: now + error.hold_off(count),
            error: Arc::new(error),
            customer: None,
            count,
            since: previous.map_or(now, |previous| previous.since),
            is_repeated,
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// The same, of a partner's customer.
    pub(super) fn of(self, customer: Option<Customer>) -> Self {
        Self {
            customer: customer.map(Arc::new),
            ..self
        }
    }

    /// Tells the log why there is no token: once, however often it is tried.
    pub(super) fn report(&self, key: &TokenKey, serves_on: bool) {
        if self.is_repeated {
            tracing::debug!(identity = %key.identity, tenant = %key.tenant, audience = %key.audience,
                error = %Chain(&self.to_answer()), "still no token");
            return;
        }
        let answer = self.to_answer();
        tracing::warn!(identity = %key.identity, tenant = %key.tenant, audience = %key.audience,
            serves_on, retry_in_s = answer.retry_in.as_secs(),
            error = %Chain(&answer), next = answer.next_step(), consent_url = answer.consent_url(),
            trace_id = answer.error.trace_id(), "no token");
    }

    /// For how long there have been failures only, in seconds.
    pub(super) fn lasted_s(&self) -> u64 {
        self.since.elapsed().as_secs()
    }

    /// Will it pass by itself?
    pub(super) fn is_transient(&self) -> bool {
        self.error.class() == Class::Transient
    }

    pub(super) fn to_answer(&self) -> NoToken {
        NoToken {
            error: Arc::clone(&self.error),
            retry_in: self.remaining(),
            customer: self.customer.clone(),
        }
    }

    fn holds(&self) -> bool {
        Instant::now() < self.retry_at
    }

    pub(super) fn remaining(&self) -> Duration {
        self.retry_at.saturating_duration_since(Instant::now())
    }
}

/// How old a token must be before another refusal fetches a new one, after `refreshes` in a row that didn't help.
fn rest(refreshes: u32) -> Duration {
    match refreshes {
        0 => Duration::ZERO,
        n => Duration::from_mins(1)
            .saturating_mul(1 << (n - 1).min(3))
            .min(Duration::from_mins(5)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_in_a_row_slow_down() {
        let seconds: Vec<_> = (0..7).map(|n| rest(n).as_secs()).collect();
        assert_eq!(seconds, [0, 60, 120, 240, 300, 300, 300]);
    }
}
