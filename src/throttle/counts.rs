//! How many calls the last minute and the last hour saw: counters in slots, of the same size whatever the load.

use std::time::{Duration, Instant};

use super::{
    budget::Limit,
    fields::{Share, Standing},
};

/// The calls of one class that went upstream lately.
#[derive(Debug)]
pub(super) struct Counts {
    start: Instant,
    limit: Limit,
    minute: Window,
    hour: Window,
}

impl Counts {
    pub(super) fn new(limit: Limit, now: Instant) -> Self {
        Self {
            start: now,
            limit,
            minute: Window::new(Duration::from_secs(1)),
            hour: Window::new(Duration::from_mins(1)),
        }
    }

    pub(super) fn note(&mut self, now: Instant) {
        let age = now.saturating_duration_since(self.start);
        self.minute.note(age);
        self.hour.note(age);
    }

    pub(super) fn standing(&mut self, now: Instant) -> Standing {
        let age = now.saturating_duration_since(self.start);
        Standing {
            minute: self.minute.share(self.limit.per_minute, age),
            hour: self.limit.per_hour.map(|calls| self.hour.share(calls, age)),
        }
    }
}

/// A sliding window of 60 slots, and one more, so that a call counts for at least the whole time.
#[derive(Debug)]
struct Window {
    slot: Duration,
    newest: u64,
    calls: [u32; SLOTS],
}

const SLOTS: usize = 61;

impl Window {
    fn new(slot: Duration) -> Self {
        Self {
            slot,
            newest: 0,
            calls: [0; SLOTS],
        }
    }

    /// Forgets what has left the window.
    fn advance(&mut self, age: Duration) {
        let now = age.as_secs() / self.slot.as_secs();
        let passed = now.saturating_sub(self.newest).min(SLOTS as u64);
        for slot in 0..passed {
            self.calls[place(now - slot)] = 0;
        }
        self.newest = self.newest.max(now);
    }

    fn note(&mut self, age: Duration) {
        self.advance(age);
        let calls = &mut self.calls[place(self.newest)];
        *calls = calls.saturating_add(1);
    }

    /// What is left of `limit`, and when the oldest of the counted calls leaves.
    fn share(&mut self, limit: u32, age: Duration) -> Share {
        self.advance(age);
        let used = self
            .calls
            .iter()
            .fold(0_u32, |sum, calls| sum.saturating_add(*calls));
        let oldest = (0..SLOTS as u64)
            .rev()
            .find(|back| *back <= self.newest && self.calls[place(self.newest - back)] > 0)
            .unwrap_or_default();
        let leaves = (self.newest - oldest.min(self.newest) + SLOTS as u64) * self.slot.as_secs();
        Share {
            limit,
            left: limit.saturating_sub(used),
            reset: if used == 0 {
                0
            } else {
                leaves - age.as_secs().min(leaves)
            },
        }
    }
}

/// Where a slot is kept.
fn place(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_count_for_the_whole_window_and_no_more_than_a_slot_longer() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let limit = Limit {
            per_minute: 3,
            per_hour: Some(10),
        };
        let mut counts = Counts::new(limit, start);
        for millis in [500, 20_900, 20_901, 30_000] {
            counts.note(at(millis));
        }
        for (millis, minute, hour) in [
            (30_000, (0, 31), (6, 3630)),
            (60_499, (0, 1), (6, 3600)),
            (61_000, (0, 20), (6, 3599)),
            (81_999, (2, 10), (6, 3579)),
            (91_000, (3, 0), (6, 3569)),
            (3_659_999, (3, 0), (6, 1)),
            (3_660_000, (3, 0), (10, 0)),
            (90_000_000_000, (3, 0), (10, 0)),
        ] {
            let standing = counts.standing(at(millis));
            let hourly = standing.hour.unwrap();
            assert_eq!(
                (standing.minute.left, standing.minute.reset),
                minute,
                "minute at {millis}"
            );
            assert_eq!((hourly.left, hourly.reset), hour, "hour at {millis}");
        }
    }
}
