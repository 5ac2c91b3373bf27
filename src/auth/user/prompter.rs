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
    /// Nobody is asked before.
    rests_until: Option<Instant>,
}

/// What came of asking.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    SignedIn,
    /// The person has had their chance.
    Refused,
    /// They had none: Entra ID was out of reach.
    Unreached,
}

impl Prompter {
    /// This program is one that asks.
    pub(super) fn begin(&self) {
        self.state().is_on = true;
    }

    /// Is it time to ask? If so, nobody else asks before [`Prompter::asked`], nor too soon after one in vain.
    pub(super) fn may_ask(&self) -> bool {
        let mut state = self.state();
        if !state.is_on || state.is_asking || !state.rest().is_zero() {
            return false;
        }
        state.is_asking = true;
        true
    }

    /// The person has answered, or has not.
    pub(super) fn asked(&self, outcome: Asked) {
        let rest = match outcome {
            Asked::SignedIn => None,
            Asked::Refused => Some(REST),
            Asked::Unreached => Some(SHORT_REST),
        };
        let mut state = self.state();
        state.is_asking = false;
        state.rests_until = rest.map(|rest| Instant::now() + rest);
    }

    /// What a person can do now.
    pub(super) fn next(&self) -> String {
        let state = self.state();
        let minutes = state.rest().as_secs().div_ceil(60);
        match (state.is_on, state.is_asking) {
            (false, _) => NOT_HERE.to_owned(),
            (true, true) => "sign in as the proxy's log (its standard error) says".to_owned(),
            (true, false) if minutes == 0 => {
                "call again: the proxy then asks in its log (its standard error)".to_owned()
            }
            (true, false) => format!(
                "call again after {minutes} min: the proxy then asks in its log (its standard error); or start it anew"
            ),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rest(&self) -> Duration {
        let until = self.rests_until.unwrap_or_else(Instant::now);
        until.saturating_duration_since(Instant::now())
    }
}

const NOT_HERE: &str = "store = \"memory\" keeps the sign-in in the running proxy only: call the proxy, or set store = \"keyring\" or \"file\"";
/// From a prompt that nobody answered to the next, at least.
const REST: Duration = Duration::from_mins(15);
/// The same, when nobody could answer.
const SHORT_REST: Duration = Duration::from_secs(10);

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
        prompter.asked(Asked::Refused);
        assert!(!prompter.may_ask());
        prompter.state().rests_until = Some(Instant::now());
        assert!(prompter.may_ask());
    }

    #[test]
    fn who_has_signed_in_is_asked_again_at_once() {
        let prompter = Prompter::default();
        prompter.begin();
        assert!(prompter.may_ask());
        prompter.asked(Asked::SignedIn);
        assert!(prompter.may_ask());
        prompter.asked(Asked::Unreached);
        assert!(prompter.state().rest() <= SHORT_REST);
        assert!(!prompter.may_ask());
    }

    #[test]
    fn says_what_can_be_done_now() {
        let prompter = Prompter::default();
        assert_eq!(prompter.next(), NOT_HERE);
        prompter.begin();
        assert!(prompter.next().starts_with("call again: "));
        assert!(prompter.may_ask());
        assert!(prompter.next().starts_with("sign in as"));
        prompter.asked(Asked::Refused);
        assert!(prompter.next().starts_with("call again after 15 min"));
    }
}
