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
        identity::{Audience, Identity, Kind, TenantId},
    },
    cloud::Family,
    config::Config,
    customer::{Listed, Selection},
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
    /// The customer, by name or tenant, if the identity is a partner with several
    #[arg(long, value_name = "CUSTOMER")]
    customer: Option<String>,
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
        let key = TokenKey {
            identity: Arc::clone(&identity.name),
            tenant: tenant(&identity, self.customer.as_deref())?,
            audience,
        };
        let transport = Transport::new(&config.upstream)?;
        let tokens = serve::tokens(&config, &transport);
        let token = fetch(&tokens, &identity, &key).await?;
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
    tokens: &Tokens,
    identity: &Arc<Identity>,
    key: &TokenKey,
) -> anyhow::Result<Arc<AccessToken>> {
    tokens.get(identity, key).await.map_err(|none| {
        let mut told = format!("{}\n  to do: {}", Chain(&none), none.next_step());
        if let Some(url) = none.consent_url() {
            told.push_str("\n  consent link: ");
            told.push_str(url);
        }
        anyhow::anyhow!(told)
    })
}

/// The tenant of an identity, or of the customer that is named.
pub(super) fn tenant(identity: &Identity, customer: Option<&str>) -> anyhow::Result<TenantId> {
    let selection = Selection {
        path: customer,
        ..Selection::default()
    };
    let Kind::Partner(partner) = &identity.kind else {
        let own = identity
            .kind
            .tenant()
            .context("the identity has no tenant")?;
        if selection.is_only(own).is_err() {
            bail!(
                "identity {} is no partner: leave --customer out",
                identity.name
            );
        }
        return Ok(own.clone());
    };
    let place = selection.among(&partner.customers).map_err(|error| {
        let names = error.listed().map(Listed::to_string).unwrap_or_default();
        let name = &identity.name;
        match customer {
            Some(customer) => {
                anyhow::anyhow!("identity {name} has no customer '{customer}'; it has: {names}")
            }
            None => {
                anyhow::anyhow!("say which customer of identity {name} with --customer: {names}")
            }
        }
    })?;
    let customer = partner.customers.at(place).context("no customer")?;
    Ok(customer.1.clone())
}

/// The token's own text.
pub(super) fn text(token: &AccessToken) -> anyhow::Result<&str> {
    let value = token.header().to_str().context("the token is not text")?;
    value
        .strip_prefix("Bearer ")
        .context("the token is no bearer token")
}

/// The only identity, or the one that is named.
pub(super) fn pick(config: &Config, name: Option<&str>) -> anyhow::Result<Arc<Identity>> {
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
