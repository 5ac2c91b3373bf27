//! What a run measures, by its arguments.

use std::path::PathBuf;

use clap::Parser;

use crate::{curves::Curve, figure::Figure, subject::Peer};

/// Compares the proxy with nginx, haproxy and envoy: CPU, latency and memory, side by side in one run.
#[derive(Debug, Parser)]
#[command(name = "cargo bench --bench side_by_side --")]
pub(crate) struct Options {
    /// Rounds; each measures every figure of every subject once
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Seconds of load for each figure and subject
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub(crate) secs: u32,
    /// Measure these figures alone
    #[arg(long, value_name = "FIGURE", value_delimiter = ',')]
    pub(crate) only: Vec<Figure>,
    /// Measure how the cost of a request grows with these instead, without peers; all, if none is named
    #[arg(
        long,
        value_name = "CURVE",
        value_delimiter = ',',
        num_args = 0..,
        require_equals = true,
        default_missing_values = ["customers", "routes", "connections", "idle"],
        conflicts_with = "only"
    )]
    pub(crate) curves: Vec<Curve>,
    /// Compare with these
    #[arg(long, value_delimiter = ',', default_value = "nginx,haproxy,envoy")]
    pub(crate) peers: Vec<Peer>,
    /// Where envoy is, if not in PATH
    #[arg(long, value_name = "PATH")]
    pub(crate) envoy: Option<PathBuf>,
    /// Measure this program, not the one that was built for the benchmark
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_defender-proxy"))]
    pub(crate) binary: PathBuf,
    /// Write every value to this file as well
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Cargo says by it that this is no test run
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    /// Where a peer is, if that was said.
    pub(crate) fn place(&self, peer: Peer) -> Option<PathBuf> {
        self.envoy.clone().filter(|_| peer == Peer::Envoy)
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        if self.only.is_empty() {
            Figure::ALL.to_vec()
        } else {
            self.only.clone()
        }
    }
}
