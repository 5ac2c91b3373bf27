//! Tests over real sockets, with the real program. One binary, so that there is one link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod answering;
mod breaking;
mod deadlines;
mod forwarding;
mod framing;
mod guarding;
mod hygiene;
mod listening;
mod restricting;
mod shutdown;
mod smoke;
mod streaming;
mod support;
mod truncated;
mod tunnel;
mod wire;
