use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;

use super::{ConfigArgs, ListenArgs, Stop};
use crate::{
    config::{Config, Limits, Source},
    loose, process,
    serve::Bound,
};

/// `serve`: runs the proxy.
#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    listen: ListenArgs,
}

impl Serve {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut config = self.config.load()?;
        if let Some(address) = self.listen.listen {
            config.listen = config.listen.with_address(address).context("--listen")?;
        }
        match &config.source {
            Source::File(path) => tracing::info!(config = %path.display(), "starting"),
            Source::Environment => tracing::info!(config = "AZURE_* variables", "starting"),
        }
        loose::warn_of_all(&config);
        until_stopped(&config, |_| String::new()).await
    }
}

/// Serves until the first signal and then until what is in flight has ended, or until the second signal.
/// `hints` are printed below the ready line, given the proxy's URL.
pub(super) async fn until_stopped(
    config: &Config,
    hints: impl FnOnce(&str) -> String,
) -> anyhow::Result<ExitCode> {
    let limits = limits(config);
    let mut stop = Stop::catch()?;
    let bound = Bound::new(config, limits).await?;
    if let Err(error) = announce(bound.url(), &hints(bound.url())) {
        // To serve is the job; the line is for who waits for it.
        tracing::warn!(url = bound.url(), %error, "can't print the ready line; serving all the same");
    }
    let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut running = std::pin::pin!(bound.run(async {
        let _ = stopped.await;
    }));
    tokio::select! {
        result = &mut running => result?,
        () = stop.requested() => {
            tracing::info!("stopping: no new connections, finishing what is in flight (again to stop at once)");
            drop(stopping);
            tokio::select! {
                result = running => result?,
                () = stop.requested() => tracing::warn!("stopped at once"),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Those of the configuration, as far as the process may open files for them.
fn limits(config: &Config) -> Limits {
    let wanted = config.limits.clone();
    let Some(files) = process::allow_many_files() else {
        return wanted;
    };
    let limits = wanted.clone().within(files);
    if limits != wanted {
        tracing::warn!(
            files,
            connections = limits.connections,
            requests = limits.requests,
            "fewer files may be open than the limits ask for; they are lowered"
        );
    }
    limits
}

/// The one line that says the proxy is ready, and what may follow.
fn announce(url: &str, hints: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "listening on {url}")?;
    if !hints.is_empty() {
        writeln!(out, "{hints}")?;
    }
    out.flush()
}
