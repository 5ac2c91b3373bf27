//! What is known of one class of calls, and who may go next. Without clock and without waiting.

use std::{sync::Arc, time::Instant};

use tokio::sync::Notify;

use super::{
    Reason, Standing, Terms, Throttled,
    budget::Limit,
    counts::Counts,
    pace::Pace,
    queue::{Client, Queue},
};

/// Gate, pace, counters and queue of one class of calls.
#[derive(Debug)]
pub(super) struct State {
    /// Until when upstream wants to be left alone.
    closed: Option<Instant>,
    budget: Option<(Pace, Counts)>,
    recovery: Option<Recovery>,
    queue: Queue,
}

/// After a `429`: how many requests of those that wait may be under way.
#[derive(Debug)]
struct Recovery {
    allowed: u32,
    under_way: u32,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) terms: Terms,
    pub(super) client: Client,
    /// When its patience ends.
    pub(super) until: Instant,
}

/// Leave to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leave {
    pub(super) standing: Option<Standing>,
    /// Whether it is one of the few that try again first.
    pub(super) is_trial: bool,
}

/// What a newcomer is told.
#[derive(Debug)]
pub(super) enum Entry {
    Go(Leave),
    /// Its ticket, and what tells it that something has changed.
    Wait(u64, Arc<Notify>),
    Refuse(Throttled),
}

/// What one is told that waits.
#[derive(Debug)]
pub(super) enum Step {
    Go(Leave),
    /// To look again then, or when it is told.
    Wait(Instant),
    Refuse(Throttled),
}

impl State {
    pub(super) fn new(limit: Option<Limit>, now: Instant) -> Self {
        Self {
            closed: None,
            budget: limit.map(|limit| (Pace::new(limit, now), Counts::new(limit, now))),
            recovery: None,
            queue: Queue::default(),
        }
    }

    /// A request that was not sent yet: goes, waits in the line of its client, or is refused when it would wait too long.
    pub(super) fn enter(&mut self, wish: &Wish, now: Instant) -> Entry {
        let queues = wish.terms.pace || wish.terms.wait.is_some();
        let ahead = if queues {
            self.queue.ahead_of(wish.client)
        } else {
            0
        };
        if ahead == 0 && self.is_open(wish.terms, now) {
            return Entry::Go(self.leave(wish.terms, now));
        }
        let due = self.due(wish.terms, now, ahead);
        if self.is_barred(wish, now) || due > wish.until {
            return Entry::Refuse(self.refusal(due, now));
        }
        if self.queue.len() >= MOST_WAITING {
            let crowd = Reason::Crowd;
            return Entry::Refuse(Throttled {
                reason: crowd,
                ..self.refusal(due, now)
            });
        }
        let turn = Arc::default();
        Entry::Wait(self.queue.push(wish.client, Arc::clone(&turn)), turn)
    }

    /// A request that upstream has refused: waits before all others, if it has the patience.
    pub(super) fn enter_again(&mut self, wish: &Wish, now: Instant) -> Entry {
        let due = self.due(wish.terms, now, 0);
        let is_full = self.queue.len() >= MOST_WAITING;
        if is_full || self.is_barred(wish, now) || due > wish.until {
            return Entry::Refuse(self.refusal(due, now));
        }
        let turn = Arc::default();
        Entry::Wait(self.queue.push_refused(Arc::clone(&turn)), turn)
    }

    /// How it stands for one that waits.
    pub(super) fn check(&mut self, wish: &Wish, ticket: u64, now: Instant) -> Step {
        let is_first = self.queue.is_first(ticket);
        if is_first && self.is_open(wish.terms, now) {
            self.queue.pop();
            let leave = self.leave(wish.terms, now);
            self.queue.wake_first();
            return Step::Go(leave);
        }
        let due = self.due(wish.terms, now, 0);
        if self.is_barred(wish, now) || now >= wish.until || due > wish.until {
            return Step::Refuse(self.refusal(due, now));
        }
        let alarm = if is_first && due > now {
            due
        } else {
            wish.until
        };
        Step::Wait(alarm)
    }

    /// One gives up.
    pub(super) fn give_up(&mut self, ticket: u64) {
        self.queue.remove(ticket);
        self.queue.wake_first();
    }

    /// Upstream has refused a request: none is sent before `until`, and few at first. True if it was open.
    pub(super) fn close(&mut self, until: Instant, now: Instant) -> bool {
        let was_open = !self.is_closed(now);
        self.closed = self.closed.max(Some(until));
        let under_way = self.recovery.as_ref().map_or(0, |before| before.under_way);
        self.recovery = Some(Recovery {
            allowed: FEW,
            under_way,
        });
        self.queue.wake_all();
        was_open
    }

    /// A trial has ended. Each success lets two more go, until it is clear that upstream takes them again.
    pub(super) fn end_trial(&mut self, succeeded: bool) {
        if let Some(recovery) = &mut self.recovery {
            recovery.under_way = recovery.under_way.saturating_sub(1);
            recovery.allowed += u32::from(succeeded);
            if recovery.allowed > MANY {
                self.recovery = None;
            }
        }
        self.queue.wake_first();
    }

    /// Why a request can't go, and when it is worth trying.
    pub(super) fn refusal(&mut self, due: Instant, now: Instant) -> Throttled {
        let by_upstream = self.is_closed(now) || self.recovery.is_some();
        Throttled {
            reason: if by_upstream {
                Reason::Upstream
            } else {
                Reason::Pace
            },
            retry_in: due.saturating_duration_since(now),
            standing: self.standing(now),
        }
    }

    /// When a request may go that `ahead` others precede.
    pub(super) fn due(&self, terms: Terms, now: Instant, ahead: u32) -> Instant {
        let open = self.closed.map_or(now, |closed| closed.max(now));
        match &self.budget {
            Some((pace, _)) if terms.pace => pace.due(open, ahead),
            _ => open,
        }
    }

    fn is_closed(&self, now: Instant) -> bool {
        self.closed.is_some_and(|closed| closed > now)
    }

    /// Is it one that doesn't wait for upstream, while that wants to be left alone?
    fn is_barred(&self, wish: &Wish, now: Instant) -> bool {
        wish.terms.wait.is_none() && self.is_closed(now)
    }

    fn is_open(&self, terms: Terms, now: Instant) -> bool {
        let crowded = self
            .recovery
            .as_ref()
            .is_some_and(|trials| trials.under_way >= trials.allowed);
        self.due(terms, now, 0) <= now && !(crowded && terms.wait.is_some())
    }

    fn leave(&mut self, terms: Terms, now: Instant) -> Leave {
        if let Some((pace, counts)) = &mut self.budget {
            pace.note(now);
            counts.note(now);
        }
        let trial = self.recovery.as_mut().filter(|_| terms.wait.is_some());
        let is_trial = trial.map(|trials| trials.under_way += 1).is_some();
        Leave {
            standing: self.standing(now),
            is_trial,
        }
    }

    fn standing(&mut self, now: Instant) -> Option<Standing> {
        self.budget.as_mut().map(|(_, counts)| counts.standing(now))
    }
}

/// The most that wait for one class of calls.
const MOST_WAITING: u32 = 1_000;
/// How many try first when upstream may be asked again.
const FEW: u32 = 2;
/// When so many may be under way, the trouble is over.
const MANY: u32 = 64;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const WAITS: Terms = Terms {
        wait: Some(Duration::from_secs(30)),
        pace: false,
    };
    const PASSES: Terms = Terms {
        wait: None,
        pace: false,
    };

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn wish(terms: Terms, client: Client, now: Instant) -> Wish {
        Wish {
            terms,
            client,
            until: now + terms.patience(),
        }
    }

    fn waits(entry: Entry) -> u64 {
        match entry {
            Entry::Wait(ticket, _) => ticket,
            other @ (Entry::Go(_) | Entry::Refuse(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn closed_means_refused_or_waiting() {
        let now = Instant::now();
        let mut state = State::new(None, now);
        assert!(matches!(
            state.enter(&wish(PASSES, 1, now), now),
            Entry::Go(_)
        ));
        state.close(now + second(20), now);
        state.close(now + second(10), now);
        let Entry::Refuse(refusal) = state.enter(&wish(PASSES, 1, now), now) else {
            panic!("passed");
        };
        assert_eq!(
            (refusal.reason, refusal.retry_in),
            (Reason::Upstream, second(20))
        );
        waits(state.enter(&wish(WAITS, 1, now), now));
        state.close(now + second(31), now);
        assert!(
            matches!(state.enter(&wish(WAITS, 1, now), now), Entry::Refuse(_)),
            "too long"
        );
        let open = now + second(31);
        assert!(matches!(
            state.enter(&wish(PASSES, 1, open), open),
            Entry::Go(_)
        ));
    }

    #[test]
    fn few_go_when_the_gate_opens_and_more_as_they_succeed() {
        let now = Instant::now();
        let mut state = State::new(None, now);
        state.close(now + second(1), now);
        let wish = wish(WAITS, 7, now);
        let mut line: Vec<u64> = (0..40).map(|_| waits(state.enter(&wish, now))).collect();
        let open = now + second(1);
        let release = |state: &mut State, line: &mut Vec<u64>| {
            let mut gone = 0;
            while let Some(first) = line.first().copied()
                && matches!(
                    state.check(&wish, first, open),
                    Step::Go(Leave { is_trial: true, .. })
                )
            {
                line.remove(0);
                gone += 1;
            }
            gone
        };
        let mut rounds = Vec::new();
        while !line.is_empty() {
            let gone = release(&mut state, &mut line);
            (0..gone).for_each(|_| state.end_trial(true));
            rounds.push(gone);
        }
        assert_eq!(rounds, [2, 4, 8, 16, 10]);
    }

    #[test]
    fn one_who_was_refused_again_goes_first_and_the_gate_is_closed_again() {
        let now = Instant::now();
        let mut state = State::new(None, now);
        state.close(now + second(1), now);
        let wish = wish(WAITS, 7, now);
        let other = waits(state.enter(&wish, now));
        let refused = waits(state.enter_again(&wish, now));
        let open = now + second(1);
        assert!(matches!(state.check(&wish, other, open), Step::Wait(_)));
        assert!(matches!(state.check(&wish, refused, open), Step::Go(_)));
        state.end_trial(false);
        state.close(open + second(2), open);
        let again = waits(state.enter_again(&wish, open));
        assert!(matches!(
            state.check(&wish, other, open + second(1)),
            Step::Wait(_)
        ));
        assert!(matches!(
            state.check(&wish, again, open + second(2)),
            Step::Go(_)
        ));
        state.close(now + second(40), now);
        assert!(
            matches!(state.check(&wish, other, open), Step::Refuse(_)),
            "longer than it would wait"
        );
    }

    #[test]
    fn the_line_is_bounded() {
        let now = Instant::now();
        let mut state = State::new(None, now);
        state.close(now + second(1), now);
        for client in 0..1_000 {
            waits(state.enter(&wish(WAITS, client % 7, now), now));
        }
        let Entry::Refuse(refusal) = state.enter(&wish(WAITS, 8, now), now) else {
            panic!("let in");
        };
        assert_eq!(refusal.reason, Reason::Crowd);
    }

    #[test]
    fn pace_refuses_what_would_wait_too_long_and_tells_the_time() {
        let now = Instant::now();
        let mut state = State::new(
            Some(Limit {
                per_minute: 10,
                per_hour: None,
            }),
            now,
        );
        let terms = Terms {
            wait: Some(second(10)),
            pace: true,
        };
        for _ in 0..2 {
            assert!(matches!(
                state.enter(&wish(terms, 1, now), now),
                Entry::Go(_)
            ));
        }
        // 62 s for the eight calls that are spread.
        let third = waits(state.enter(&wish(terms, 1, now), now));
        let Entry::Refuse(refusal) = state.enter(&wish(terms, 1, now), now) else {
            panic!("waits");
        };
        assert_eq!(
            (refusal.reason, refusal.retry_in),
            (Reason::Pace, Duration::from_millis(15_500))
        );
        assert_eq!(refusal.standing.unwrap().minute.left, 8);
        let due = now + Duration::from_millis(7_750);
        assert!(
            matches!(state.check(&wish(terms, 1, now), third, now), Step::Wait(at) if at == due)
        );
        assert!(matches!(
            state.check(&wish(terms, 1, now), third, due),
            Step::Go(_)
        ));
    }
}
