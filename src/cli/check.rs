mod users;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use super::{ConfigArgs, claims::Claims, token};
use crate::{
    auth::{
        AccessToken,
        identity::{Credential, Identity, Kind},
    },
    config::{Config, Source},
    error::Chain,
    serve,
    server::tls,
    upstream::Transport,
};

/// `check`: reads the configuration, then asks Entra ID.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    config: ConfigArgs,
    /// Stop before the network
    #[arg(long)]
    offline: bool,
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let mut out = io::stdout().lock();
        match &config.source {
            Source::File(path) => writeln!(out, "configuration: {} is valid", path.display())?,
            Source::Environment => writeln!(out, "configuration: the AZURE_* variables are valid")?,
        }
        writeln!(
            out,
            "cloud: {}, login {}",
            config.cloud.name(),
            config.cloud.login()
        )?;
        let transport = Transport::new(&config.upstream)?;
        config.listen.tls.as_ref().map(tls::acceptor).transpose()?;
        let mut failed = local(&config, &mut out).await?;
        failed |= users::local(&config, &mut out).await?;
        if !self.offline {
            for identity in &config.identities {
                failed |= online(&config, &transport, identity, &mut out).await?;
            }
        }
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Fetches a token for every API of an identity; tells whether one failed.
async fn online(
    config: &Config,
    transport: &Transport,
    identity: &Arc<Identity>,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let audiences = config.audiences(identity);
    if audiences.is_empty() {
        writeln!(out, "identity {}: no route uses it", identity.name)?;
    }
    let mut failed = false;
    // One cache for all, so that what a user's sign-in was refused is not asked again.
    let tokens = serve::tokens(config, transport);
    for (label, audience) in audiences {
        let line = format!("identity {}, {label} ({audience})", identity.name);
        match token::fetch_from(&tokens, (identity, audience)).await {
            Ok(token) => writeln!(out, "{line}: ok\n{}", describe(&token)?)?,
            Err(error) => {
                failed = true;
                writeln!(out, "{line}: FAILED\n  {error}")?;
            }
        }
    }
    Ok(failed)
}

/// What can be checked without the network: that the secrets are there.
async fn local(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut failed = false;
    let keys = config
        .listen
        .client_key
        .iter()
        .map(|source| ("listen.client_key".to_owned(), source));
    let credentials = config.identities.iter().filter_map(|identity| {
        let Kind::Application {
            credential: Credential::Secret(source),
            ..
        } = &identity.kind
        else {
            return None;
        };
        Some((format!("identity {}, secret", identity.name), source))
    });
    for (label, source) in keys.chain(credentials) {
        match source.read().await {
            Ok(_) => writeln!(out, "{label}: can be read")?,
            Err(error) => {
                failed = true;
                writeln!(out, "{label}: FAILED\n  {}", Chain(&error))?;
            }
        }
    }
    Ok(failed)
}

fn describe(token: &AccessToken) -> anyhow::Result<String> {
    let minutes = token.life().as_secs() / 60;
    let Some(claims) = Claims::decode(token::text(token)?) else {
        return Ok(format!("  opaque token, lives {minutes} min"));
    };
    let claim = |name| claims.text(name).unwrap_or("?");
    let app = claims
        .text("appid")
        .or_else(|| claims.text("azp"))
        .unwrap_or("?");
    let permissions = claims.permissions();
    let reach = if permissions.is_empty() {
        "none: every call will be answered 403 until an administrator grants the app permissions for this API".to_owned()
    } else {
        permissions.join(", ")
    };
    Ok(format!(
        "  tenant {}, app {}, lives {minutes} min\n  permissions: {reach}",
        claim("tid"),
        app
    ))
}
