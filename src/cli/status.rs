use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::SystemTime,
};

use clap::Args;

use super::{
    ConfigArgs,
    login::{or_unknown, place, users},
    token,
};
use crate::{
    auth::{TokenKey, identity::Identity, user::SignIns, user::kept::Kept},
    config::Config,
    error::Chain,
    serve,
    upstream::Transport,
};

/// `status`: says who is signed in.
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    config: ConfigArgs,
}

impl Status {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let transport = Transport::new(&config.upstream)?;
        let sign_ins = serve::sign_ins(&config);
        let mut out = io::stdout().lock();
        let users = users(&config);
        if users.is_empty() {
            writeln!(
                out,
                "no identity is of kind \"user\": nobody needs to sign in"
            )?;
        }
        let mut failed = false;
        for identity in users {
            let is_in = who(&sign_ins, &identity, &mut out).await?;
            failed |= !is_in || !tokens(&config, &transport, &identity, &mut out).await?;
        }
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Says who is signed in, if anybody is. Tells whether there may be tokens.
async fn who(
    sign_ins: &SignIns,
    identity: &Identity,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let (name, store) = (&identity.name, place(sign_ins, identity));
    match sign_ins.kept(&identity.name).await {
        Ok(Some(kept)) => writeln!(out, "identity {name}: {}\n  kept in {store}", of(&kept))?,
        Ok(None) => writeln!(out, "identity {name}: nothing is kept in {store}")?,
        Err(error) => {
            writeln!(out, "identity {name}: FAILED, {}", Chain(&error))?;
            return Ok(false);
        }
    }
    Ok(true)
}

fn of(kept: &Kept) -> String {
    let (name, tenant) = (&kept.account.name, &kept.account.tenant);
    format!(
        "{}, tenant {}\n  signed in since {}, until {} if it isn't used before",
        or_unknown(name),
        or_unknown(tenant),
        shown(kept.since),
        shown(kept.until())
    )
}

/// Fetches a token for every API of the user; tells whether all were to be had.
async fn tokens(
    config: &Config,
    transport: &Transport,
    identity: &Arc<Identity>,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let tenant = token::tenant(identity, None)?;
    let mut all = true;
    // One cache for all, so that a wrong password is sent once.
    let tokens = serve::tokens(config, transport);
    for (label, audience) in config.audiences(identity) {
        let line = format!("  {label} ({audience})");
        let key = TokenKey {
            identity: Arc::clone(&identity.name),
            tenant: tenant.clone(),
            audience,
        };
        match token::fetch(&tokens, identity, &key).await {
            Ok(token) => writeln!(
                out,
                "{line}: token until {}",
                shown(SystemTime::now() + token.life().saturating_sub(token.age()))
            )?,
            Err(error) => {
                all = false;
                writeln!(out, "{line}: NO TOKEN\n  {error}")?;
            }
        }
    }
    Ok(all)
}

/// A time in UTC, as the log has it.
fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
