use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::bail;
use clap::Args;

use super::ConfigArgs;
use crate::{
    auth::{
        identity::{Identity, Kind},
        user::{SignInError, SignIns, Way},
    },
    config::Config,
    error::Chain,
    serve,
    telemetry::LogFormat,
    upstream::Transport,
};

/// `login`: signs a user in.
#[derive(Debug, Args)]
pub(super) struct Login {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    user: UserArgs,
    /// Show a code to type into a browser on any machine, instead of opening one here
    #[arg(long)]
    device: bool,
    /// Only print the link; don't open a browser
    #[arg(long)]
    no_browser: bool,
}

/// Which user.
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    /// The identity, if the configuration has several of kind "user"
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
}

impl Login {
    pub(super) async fn run(self, format: LogFormat) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let identity = self.user.pick(&config)?;
        let sign_ins = serve::sign_ins(&config);
        let entra = serve::entra(&config, &Transport::new(&config.upstream)?);
        let way = match (self.device, self.no_browser) {
            (true, _) => Way::Device,
            (false, true) => Way::ByHand,
            (false, false) => Way::Configured,
        };
        let prompt = move |text: &str| show(format, text);
        let account = match sign_ins
            .sign_in(&entra, &identity.name, (way, &prompt))
            .await
        {
            Ok(account) => account,
            Err(error) => bail!("{}", explain(&error)),
        };
        let mut out = io::stdout().lock();
        let name = or_unknown(&account.name);
        let (tenant, store) = (or_unknown(&account.tenant), place(&sign_ins, &identity));
        writeln!(
            out,
            "identity {}: signed in as {name}, tenant {tenant}, kept in {store}",
            identity.name
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

impl UserArgs {
    /// The one that is named, or the only one there is.
    pub(super) fn pick(&self, config: &Config) -> anyhow::Result<Arc<Identity>> {
        let users = users(config);
        let found = match &self.identity {
            Some(name) => users.iter().find(|user| *user.name == **name),
            None if users.len() == 1 => users.first(),
            None => None,
        };
        match (found, users.as_slice()) {
            (Some(user), _) => Ok(Arc::clone(user)),
            (None, []) => {
                bail!(
                    "no identity of the configuration is of kind \"user\": nobody needs to sign in"
                )
            }
            (None, users) => {
                let names: Vec<&str> = users.iter().map(|user| &*user.name).collect();
                bail!("say which user with --identity: {}", names.join(", "))
            }
        }
    }
}

/// The identities of kind "user".
pub(super) fn users(config: &Config) -> Vec<Arc<Identity>> {
    let users = config
        .identities
        .iter()
        .filter(|identity| matches!(identity.kind, Kind::User(_)));
    users.cloned().collect()
}

/// Where a user's sign-in is kept, in a sentence.
pub(super) fn place(sign_ins: &SignIns, identity: &Identity) -> String {
    let store = sign_ins.store(&identity.name);
    store.map(ToString::to_string).unwrap_or_default()
}

pub(super) fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// What the person has to do, where they see it even if standard output is a pipe.
fn show(format: LogFormat, text: &str) {
    match format {
        LogFormat::Text => {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
        LogFormat::Json => tracing::warn!("{text}"),
    }
}

fn explain(error: &SignInError) -> String {
    let next = error.next_step().map(|next| format!("\n  to do: {next}"));
    format!("{}{}", Chain(error), next.unwrap_or_default())
}
