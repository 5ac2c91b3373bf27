//! Upstream says 429: who waits, how long, and in what order.
