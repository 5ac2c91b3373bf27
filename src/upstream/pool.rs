//! The pool of connections, and the nights it doesn't outlive.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use hyper_util::client::legacy::{Builder, Client};

use super::{circuit::Outage, connect::Connector};
use crate::{body::Outgoing, origin::Origin};

/// A pool that forgets its connections when the machine has slept.
///
/// Their other ends are gone by then, without a word to a machine that couldn't hear it. The monotonic clock stood still meanwhile, so
/// they look fresh, and the first request on one would wait for an answer that can't come.
#[derive(Debug)]
pub(super) struct Pool {
    builder: Builder,
    connector: Connector,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    client: Client<Connector, Outgoing>,
    clocks: Clocks,
}

impl Pool {
    pub(super) fn new(builder: Builder, connector: Connector) -> Self {
        let current = Mutex::new(Current {
            client: builder.build(connector.clone()),
            clocks: Clocks::now(),
        });
        Self {
            builder,
            connector,
            current,
        }
    }

    /// Why nothing is sent to `origin` at the moment.
    pub(super) fn outage(&self, origin: &Origin) -> Option<Outage> {
        self.connector.outage(origin)
    }

    /// The client for a request that is sent now.
    pub(super) fn client(&self) -> Client<Connector, Outgoing> {
        let now = Clocks::now();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.parted_since(current.clocks) {
            tracing::info!("the clock was set, or the machine slept; connections are made anew");
            // What is under way on the old ones goes on.
            current.client = self.builder.build(self.connector.clone());
        }
        current.clocks = now;
        current.client.clone()
    }
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
