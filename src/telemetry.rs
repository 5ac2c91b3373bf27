//! Logs: to standard error, as text or as one JSON object a line.

pub mod lines;
mod text;

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use self::{
    lines::Lines,
    text::{Clock, Plain},
};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// Starts logging. `RUST_LOG` decides what is logged; without it, `verbosity` does: below 0 only what went wrong, 0 what is
/// `usual` for the command, above that more and more.
pub fn init(format: LogFormat, verbosity: i16, usual: &str) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(directives(verbosity, usual)));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(Clock)
        .with_writer(Lines);
    // A second call finds the first one's subscriber in place, which is as good.
    let _ = match format {
        LogFormat::Text if io::stderr().is_terminal() => {
            builder.with_ansi(true).with_target(false).try_init()
        }
        LogFormat::Text => builder
            .with_ansi(false)
            .with_target(false)
            .fmt_fields(Plain)
            .try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// What is usual for a server: a line for each request, and what went wrong. `h2` warns of every odd frame, so clients could fill
/// the log.
pub const REQUESTS: &str = "warn,h2=error,defender_proxy=info";
/// What is usual for a command that prints by itself why there is no token.
pub const FAULTS: &str = "warn,defender_proxy::auth=error,defender_proxy::auth::secret=warn,defender_proxy::auth::user=warn";

fn directives(verbosity: i16, usual: &str) -> &str {
    match verbosity {
        i16::MIN..=-2 => "error",
        -1 => "warn,h2=error",
        0 => usual,
        1 => "info,h2=error,defender_proxy=debug",
        2 => "debug,defender_proxy=trace",
        3.. => "trace",
    }
}
