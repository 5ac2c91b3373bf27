//! When the running proxy asks a person to sign in: once at its start, and later only when a request needs it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Whether and when one person is asked.
#[derive(Debug, Default)]
pub(super) struct Prompter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_on: bool,
    is_asking: bool,
    last: Option<Instant>,
}

impl Prompter {
    /// This program is one that asks.
    pub(super) fn begin(&self) {
        self.state().is_on = true;
    }

    pub(super) fn is_on(&self) -> bool {
        self.state().is_on
    }

    /// Is it time to ask? If so, nobody else asks before [`Prompter::asked`], nor too soon after.
    pub(super) fn may_ask(&self) -> bool {
        let mut state = self.state();
        let rested = state.last.is_none_or(|last| last.elapsed() >= REST);
        if !state.is_on || state.is_asking || !rested {
            return false;
        }
        state.is_asking = true;
        state.last = Some(Instant::now());
        true
    }

    /// The person has answered, or has not.
    pub(super) fn asked(&self) {
        self.state().is_asking = false;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From one prompt to the next, at least.
const REST: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_and_not_again_soon() {
        let prompter = Prompter::default();
        assert!(!prompter.may_ask());
        prompter.begin();
        assert!(prompter.may_ask());
        assert!(!prompter.may_ask());
        prompter.asked();
        assert!(!prompter.may_ask());
        prompter.state().last = Instant::now().checked_sub(REST);
        assert!(prompter.may_ask());
    }
}
