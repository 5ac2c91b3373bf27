//! Spreading calls so that no sliding minute or hour has more than its budget.
//!
//! The generic cell rate algorithm (GCRA, ITU-T I.371): a fifth of the budget may be used at once, so a lone call never waits; the
//! rest comes back evenly. In any window of that length there are then at most `burst + (calls - burst)` calls.

use std::time::{Duration, Instant};

use super::budget::Limit;

/// When the next calls may go.
#[derive(Debug)]
pub(super) struct Pace {
    minute: Meter,
    hour: Option<Meter>,
}

impl Pace {
    pub(super) fn new(limit: Limit, now: Instant) -> Self {
        Self {
            minute: Meter::new(limit.per_minute, Duration::from_mins(1), now),
            hour: limit
                .per_hour
                .map(|calls| Meter::new(calls, Duration::from_hours(1), now)),
        }
    }

    /// When a call may go that `ahead` others precede, the last of them being sent as soon as they may.
    pub(super) fn due(&self, now: Instant, ahead: u32) -> Instant {
        let minute = self.minute.due(now, ahead);
        let hour = self.hour.as_ref().map(|hour| hour.due(now, ahead));
        hour.map_or(minute, |hour| hour.max(minute))
    }

    /// Notes a call that goes, whether it was due or not.
    pub(super) fn note(&mut self, now: Instant) {
        self.minute.note(now);
        if let Some(hour) = &mut self.hour {
            hour.note(now);
        }
    }
}

#[derive(Debug)]
struct Meter {
    window: Duration,
    interval: Duration,
    tolerance: Duration,
    /// When the next call would be due if calls came evenly.
    next: Instant,
}

impl Meter {
    fn new(calls: u32, window: Duration, now: Instant) -> Self {
        let burst = (calls / 5).max(1);
        let interval = (window + SLACK) / calls.saturating_sub(burst).max(1);
        Self {
            window,
            interval,
            tolerance: interval * (burst - 1),
            next: now,
        }
    }

    fn due(&self, now: Instant, ahead: u32) -> Instant {
        let next = self.next.max(now) + self.interval * ahead;
        next.checked_sub(self.tolerance)
            .map_or(now, |due| due.max(now))
    }

    fn note(&mut self, now: Instant) {
        // Calls that nobody paces must not put off for ever those that are paced.
        self.next = (self.next.max(now) + self.interval).min(now + 2 * self.window);
    }
}

/// What a call may take longer to upstream than another. Upstream counts arrivals.
const SLACK: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sandbox::Bookkeeper;

    fn limit(per_minute: u32, per_hour: Option<u32>) -> Limit {
        Limit {
            per_minute,
            per_hour,
        }
    }

    /// When calls that arrive in these intervals go.
    fn releases(limit: Limit, gaps: &[u64], start: Instant) -> Vec<Instant> {
        let (mut pace, mut now) = (Pace::new(limit, start), start);
        let mut arrival = start;
        let release = gaps.iter().map(|gap| {
            arrival += Duration::from_millis(*gap);
            now = pace.due(now.max(arrival), 0);
            pace.note(now);
            now
        });
        release.collect()
    }

    fn limits() -> impl Strategy<Value = Limit> {
        let documented = [
            (50, Some(1500)),
            (100, Some(1500)),
            (45, None),
            (10, Some(500)),
            (2, Some(120)),
            (5, Some(20)),
            (30, Some(1000)),
            (15, None),
        ];
        prop_oneof![
            prop::sample::select(documented.to_vec()),
            (2..200_u32, prop::option::of(2..2000_u32)),
        ]
        .prop_map(|(minute, hour)| limit(minute, hour))
    }

    fn gaps() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec(
            prop_oneof![8 => Just(0_u64), 4 => 0..2_000_u64, 1 => 0..120_000_u64, 1 => Just(3_600_000)],
            1..2_500,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn no_window_has_more_calls_than_its_budget(limit in limits(), gaps in gaps(), delays in prop::collection::vec(0..2_000_u64, 1..9)) {
            let start = Instant::now();
            let upstream = Bookkeeper::new(limit);
            let sent = releases(limit, &gaps, start);
            // Calls reach upstream up to two seconds later, one later than another.
            let delays = delays.iter().cycle();
            let mut arrivals: Vec<_> = sent.into_iter().zip(delays).map(|(at, delay)| at + Duration::from_millis(*delay)).collect();
            arrivals.sort_unstable();
            for at in arrivals {
                prop_assert!(upstream.admits(at), "{limit:?} at {:?}", at - start);
            }
        }
    }

    #[test]
    fn a_lone_call_and_a_fifth_of_the_budget_go_at_once() {
        let start = Instant::now();
        for (limit, burst) in [
            (limit(100, Some(1500)), 20),
            (limit(10, Some(500)), 2),
            (limit(2, Some(120)), 1),
            (limit(5, Some(20)), 1),
        ] {
            let sent = releases(limit, &[0; 30], start);
            let at_once = sent.iter().filter(|at| **at == start).count();
            assert_eq!(at_once, burst, "{limit:?}");
        }
        let slow = releases(limit(2, Some(120)), &[120_000; 10], start);
        let gone = |n: usize| start + Duration::from_mins(2) * u32::try_from(n + 1).unwrap();
        assert!(
            slow.iter().enumerate().all(|(n, at)| *at == gone(n)),
            "{slow:?}"
        );
    }

    #[test]
    fn what_is_told_beforehand_comes_true() {
        let start = Instant::now();
        let mut pace = Pace::new(limit(100, Some(1500)), start);
        let told: Vec<_> = (0..900).map(|ahead| pace.due(start, ahead)).collect();
        let mut now = start;
        for due in told {
            now = pace.due(now, 0);
            pace.note(now);
            assert_eq!(now, due);
        }
    }

    #[test]
    fn calls_that_nobody_paces_are_counted_but_not_for_ever() {
        let start = Instant::now();
        let mut pace = Pace::new(limit(10, None), start);
        for _ in 0..1_000 {
            pace.note(start);
        }
        let due = pace.due(start, 0);
        assert!((Duration::from_mins(1)..=Duration::from_mins(2)).contains(&(due - start)));
    }
}
