//! The proxy beside nginx, haproxy and envoy: CPU time, latency and memory of doing the same work in one run.
//!
//! All of them stand in front of one origin, over TLS that they verify, attach a bearer token, take off what the client sent, and
//! keep connections. Ours writes its access log besides. Rounds are interleaved: each measures every figure of every subject once, one subject directly
//! after the other, so that a ratio is made of two values that are seconds apart.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "the table goes to standard output, progress to standard error; counts are far below 2^53"
)]

#[cfg(target_os = "linux")]
mod certificates;
#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod curves;
#[cfg(target_os = "linux")]
mod figure;
#[cfg(target_os = "linux")]
mod fixed_rate;
#[cfg(target_os = "linux")]
mod lab;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod measure;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod meter;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod page;
#[cfg(target_os = "linux")]
mod program;
#[cfg(target_os = "linux")]
mod results;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
mod stand_ins;
#[cfg(target_os = "linux")]
mod subject;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod usage;

#[cfg(target_os = "linux")]
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    run::main().await
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this benchmark reads the books of Linux");
}
