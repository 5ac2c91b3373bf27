//! The `defender-proxy` program.

use std::process::ExitCode;

use clap::Parser;
use defender_proxy::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
