use super::ListenArgs;
use clap::Args;
use std::process::ExitCode;

/// `sandbox`: the stand-ins, with the proxy in front.
#[derive(Debug, Args)]
pub(super) struct Sandbox {
    #[command(flatten)]
    listen: ListenArgs,
    /// Run the stand-ins alone, and print a proxy.toml that leads to them
    #[arg(long)]
    upstreams_only: bool,
}

impl Sandbox {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        Ok(ExitCode::SUCCESS)
    }
}
