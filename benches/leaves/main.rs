//! What each leaf of the request path costs: time, bytes a second, allocations. `CONTRIBUTING.md`, "Benchmarks", says how to run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that can't go on has failed"
)]

mod access;
mod headers;
mod inputs;
mod request;
mod resolve;
mod rewrite;
mod screen;
mod tokens;

use std::time::Duration;

use divan::{AllocProfiler, Divan};

/// Counts what is allocated, and passes it on to the allocator that the program uses.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    Divan::default()
        .min_time(ENOUGH)
        .max_time(PATIENCE)
        .config_with_args()
        .main();
}

/// Short leaves are over so soon that one interrupt would show; `--min-time` says otherwise.
const ENOUGH: Duration = Duration::from_millis(200);
/// No leaf takes this long, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(2);
