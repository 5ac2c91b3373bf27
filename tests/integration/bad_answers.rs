//! Answers that upstream must not give.
