//! The clock steps, and the machine sleeps.
