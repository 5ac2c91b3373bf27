use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::{ConfigArgs, claims::Claims};
use crate::{
    auth::{
        AccessToken, TokenKey, Tokens,
        identity::{Audience, Identity},
    },
    cloud::Family,
    config::Config,
    error::Chain,
    serve,
    upstream::Transport,
};

/// `token`: fetches one token and shows its claims.
#[derive(Debug, Args)]
pub(super) struct Token {
    #[command(flatten)]
    config: ConfigArgs,
    /// The identity, if the configuration has several
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// The API the token is for
    #[arg(long, value_enum, default_value_t = Api::DefenderXdr)]
    api: Api,
    /// An audience of a route of your own, instead of an API
    #[arg(long, value_name = "URI", conflicts_with = "api")]
    audience: Option<Audience>,
    /// Print the token itself, for scripts. It is a secret
    #[arg(long)]
    raw: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Api {
    DefenderXdr,
    DefenderEndpoint,
    Graph,
}

impl Token {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let identity = pick(&config, self.identity.as_deref())?;
        let audience = self.audience.clone().unwrap_or_else(|| {
            let family = match self.api {
                Api::DefenderXdr => Family::Xdr,
                Api::DefenderEndpoint => Family::Endpoint,
                Api::Graph => Family::Graph,
            };
            config.cloud.api(family).audience.clone()
        });
        let transport = Transport::new(&config.upstream)?;
        let token = fetch(&config, &transport, (&identity, audience)).await?;
        let text = text(&token)?;
        let mut out = io::stdout().lock();
        match Claims::decode(text) {
            _ if self.raw => writeln!(out, "{text}")?,
            Some(claims) => writeln!(out, "{}", claims.json())?,
            None => writeln!(
                out,
                "the token is opaque; it lives for {} s",
                token.life().as_secs()
            )?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Fetches one token, as the proxy itself would.
pub(super) async fn fetch(
    config: &Config,
    transport: &Transport,
    wanted: (&Arc<Identity>, Audience),
) -> anyhow::Result<Arc<AccessToken>> {
    fetch_from(&serve::tokens(config, transport), wanted).await
}

/// The same from a cache that knows what was refused before.
pub(super) async fn fetch_from(
    tokens: &Tokens,
    wanted: (&Arc<Identity>, Audience),
) -> anyhow::Result<Arc<AccessToken>> {
    let (identity, audience) = wanted;
    let tenant = identity.kind.tenant().context("say which customer")?;
    let key = TokenKey {
        identity: Arc::clone(&identity.name),
        tenant: tenant.clone(),
        audience,
    };
    tokens
        .get(identity, &key)
        .await
        .map_err(|error| anyhow::anyhow!("{}\n  to do: {}", Chain(&error), error.error.next_step()))
}

/// The token's own text.
pub(super) fn text(token: &AccessToken) -> anyhow::Result<&str> {
    let value = token.header().to_str().context("the token is not text")?;
    value
        .strip_prefix("Bearer ")
        .context("the token is no bearer token")
}

fn pick(config: &Config, name: Option<&str>) -> anyhow::Result<Arc<Identity>> {
    let found = match name {
        Some(name) => config
            .identities
            .iter()
            .find(|identity| &*identity.name == name),
        None if config.identities.len() == 1 => config.identities.first(),
        None => None,
    };
    let Some(identity) = found else {
        let names: Vec<&str> = config
            .identities
            .iter()
            .map(|identity| &*identity.name)
            .collect();
        bail!("say which identity with --identity: {}", names.join(", "));
    };
    Ok(Arc::clone(identity))
}
