//! The turns of a worker: between two of them its runtime has asked the system what has happened.

use std::cell::Cell;

thread_local! {
    static TURN: Cell<u64> = const { Cell::new(0) };
}

/// A turn of the current thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn(u64);

impl Turn {
    /// The one that has not ended.
    #[must_use]
    pub fn now() -> Self {
        Self(TURN.get())
    }

    /// Is it over? On a thread whose runtime doesn't [tell](next) it never is.
    #[must_use]
    pub fn is_over(self) -> bool {
        self != Self::now()
    }
}

/// Begins the next one: to be called when the runtime has heard what has happened.
pub fn next() {
    TURN.set(TURN.get().wrapping_add(1));
}
