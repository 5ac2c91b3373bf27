//! Tests over real sockets, with the real program. One binary, so that there is one link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod breaking;
mod forwarding;
mod guarding;
mod hygiene;
mod listening;
mod shutdown;
mod smoke;
mod streaming;
mod support;
mod tunnel;
mod wire;
