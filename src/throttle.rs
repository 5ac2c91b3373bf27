//! Rate limits: what upstream asks for by `429`, what its documentation allows, and how the clients of this proxy share it.
//!
//! Upstream counts calls by destination, tenant and application. So there is one [`Gate`](gate::Gate) for each of these, however
//! many identities and routes lead there, and in it one [`Quota`](quota::Quota) for each [`Class`](budget::Class) of calls: a hunting
//! query that is throttled does not stop alerts.

pub mod budget;
mod counts;
mod fields;
pub mod gate;
mod pace;
mod queue;
pub mod quota;
mod retry_after;
mod state;

use std::time::Duration;

pub use self::{
    fields::{Share, Standing},
    retry_after::{parse, retry_after},
};

/// What a route does about rate limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How long a request waits, all its waits together, when upstream throttles; `None` passes the `429` on.
    pub wait: Option<Duration>,
    /// Whether calls are spread so that the documented budgets last.
    pub pace: bool,
}

impl Terms {
    /// The longest that a request may wait, for whatever reason.
    #[must_use]
    pub fn patience(self) -> Duration {
        match self.wait {
            Some(wait) => wait,
            None if self.pace => PACED,
            None => Duration::ZERO,
        }
    }
}

/// Why a request is not sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Upstream has answered `429` and named a time.
    #[error(
        "Defender has throttled this application in this tenant for calls of this kind, and named the time to wait"
    )]
    Upstream,
    /// The budget is used up for now, by the documented numbers.
    #[error(
        "the calls of all clients of this proxy have used up what the route's pace allows for now"
    )]
    Pace,
    /// Too many are waiting already.
    #[error("too many requests wait for the same rate limit already")]
    Crowd,
}

/// A request that is not sent, as upstream would refuse it or has asked to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Throttled {
    /// Why.
    pub reason: Reason,
    /// When it is worth trying again.
    pub retry_in: Duration,
    /// Where all clients stand, if the calls have a budget.
    pub standing: Option<Standing>,
}

/// What a paced request waits at most when `on_throttle` says nothing else.
const PACED: Duration = Duration::from_secs(30);
