//! Tests over real sockets, with the real program. One binary, so that there is one link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod cli;
mod config_files;
mod forwarding;
mod load;
mod paging;
mod programs;
mod raw;
mod refusals;
mod rejected;
mod renewal;
mod rewriting;
mod sandbox;
mod secrets;
mod smoke;
mod support;
mod tokens;
mod tunnel;
mod windows;
mod wire;
