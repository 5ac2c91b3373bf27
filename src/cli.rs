//! The command line: one definition for help, completions and the manual page.
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 clean, 1 failed, 2 usage, 78 bad configuration.

mod check;
mod claims;
mod consent;
mod init;
mod login;
mod logout;
mod sandbox;
mod serve;
mod status;
mod token;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use tokio::signal;

use crate::{
    config::{Config, ConfigError, ExposedError, ListenAddress},
    process,
    telemetry::{self, LogFormat},
};

/// Point any HTTP tool at localhost and it talks to Microsoft Defender, signed in.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines on standard error look
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: LogFormat,
    /// Log more (-vv and -vvv: still more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log only what went wrong (-qq: only what ends the program)
    #[arg(short, long, global = true, action = clap::ArgAction::Count, conflicts_with = "verbose")]
    quiet: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy
    Serve(serve::Serve),
    /// Try everything without a tenant: embedded stand-ins for Entra ID, Defender and Graph behind the proxy
    Sandbox(sandbox::Sandbox),
    /// Check the configuration, then fetch a token for every identity and say what it reaches
    Check(check::Check),
    /// Show the claims of the token that an identity gets
    Token(token::Token),
    /// Ask an administrator of a partner's customer for consent, and prove it
    Consent(consent::Consent),
    /// Sign a user in, and keep the sign-in
    Login(login::Login),
    /// Forget a user's sign-in
    Logout(logout::Logout),
    /// Say who is signed in, until when, and for which APIs
    Status(status::Status),
    /// Write a commented proxy.toml
    Init(init::Init),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Where the configuration comes from.
#[derive(Debug, Args)]
struct ConfigArgs {
    // Not a doc comment, as that would need marks around the names.
    #[arg(
        long,
        short,
        value_name = "FILE",
        help = "Configuration file [default: $DEFENDER_PROXY_CONFIG, ./proxy.toml, the user's configuration directory, or AZURE_* variables]"
    )]
    config: Option<PathBuf>,
}

impl ConfigArgs {
    fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.config.as_deref(), &|name| std::env::var(name).ok())
    }
}

/// Where the proxy listens.
#[derive(Debug, Args)]
struct ListenArgs {
    #[arg(
        long,
        value_name = "ADDR",
        help = "Address to listen on, such as 127.0.0.1:8080, localhost:0 or unix:/run/user/1000/defender-proxy.sock"
    )]
    listen: Option<ListenAddress>,
}

impl Cli {
    /// Runs the command. Errors are printed here, and nowhere else.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let verbosity = i16::from(self.verbose) - i16::from(self.quiet);
        telemetry::init(self.log_format, verbosity, self.command.usual_log());
        process::forbid_core_dumps();
        let error = match self.command.run(self.log_format) {
            Ok(code) => return code,
            Err(error) => error,
        };
        let mut err = io::stderr().lock();
        if is_broken_pipe(&error) {
            // The reader of a pipe has seen enough.
            return ExitCode::SUCCESS;
        }
        if error.is::<ConfigError>() || error.is::<ExposedError>() {
            let _ = writeln!(err, "bad configuration:\n{error:#}");
            return ExitCode::from(BAD_CONFIG);
        }
        let _ = writeln!(err, "error: {error:#}");
        ExitCode::FAILURE
    }
}

impl Command {
    fn usual_log(&self) -> &'static str {
        match self {
            Self::Check(_)
            | Self::Token(_)
            | Self::Consent(_)
            | Self::Login(_)
            | Self::Logout(_)
            | Self::Status(_) => telemetry::FAULTS,
            Self::Serve(_)
            | Self::Sandbox(_)
            | Self::Init(_)
            | Self::Completions { .. }
            | Self::Man => telemetry::REQUESTS,
        }
    }

    fn run(self, format: LogFormat) -> anyhow::Result<ExitCode> {
        match self {
            Self::Serve(command) => block_on(command.run()),
            Self::Sandbox(command) => block_on(command.run()),
            Self::Check(command) => block_on(command.run()),
            Self::Token(command) => block_on(command.run()),
            Self::Consent(command) => block_on(command.run()),
            Self::Login(command) => block_on(command.run(format)),
            Self::Logout(command) => block_on(command.run()),
            Self::Status(command) => block_on(command.run()),
            Self::Init(command) => command.run(),
            Self::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "defender-proxy", &mut script);
                io::stdout().write_all(&script)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Man => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                io::stdout().write_all(&page)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// One thread for accepting, signals and token fetches; connections have threads of their own.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the asynchronous runtime")?;
    let result = runtime.block_on(command);
    // A secret's command that hangs must not keep the program from ending.
    runtime.shutdown_background();
    result
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The signals that ask the program to stop, caught from when this is made.
struct Stop {
    #[cfg(unix)]
    terminate: signal::unix::Signal,
    #[cfg(unix)]
    interrupt: signal::unix::Signal,
}

impl Stop {
    #[cfg(unix)]
    fn catch() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "catching can fail on Unix")]
    fn catch() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn requested(&mut self) {
        let _ = signal::ctrl_c().await;
    }
}

/// `EX_CONFIG` of sysexits.h.
const BAD_CONFIG: u8 = 78;
