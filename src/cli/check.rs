mod credentials;
mod subjects;
mod users;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use self::subjects::{Subject, announce, subjects};
use super::{ConfigArgs, claims::Claims, token};
use crate::{
    auth::{AccessToken, TokenKey, Tokens, identity::Identity},
    config::{Config, Source},
    error::Chain,
    loose, serve,
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
    /// Ask for this customer of a partner alone, by name or tenant [default: the first 20]
    #[arg(long, value_name = "CUSTOMER")]
    customer: Option<String>,
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
        for note in &config.notes {
            writeln!(out, "{note}")?;
        }
        loose::warn_of_all(&config);
        let transport = Transport::new(&config.upstream)?;
        config.listen.tls.as_ref().map(tls::acceptor).transpose()?;
        let mut failed = local(&config, &mut out).await?;
        failed |= users::local(&config, &mut out).await?;
        let customer = self.customer.as_deref();
        let subjects = subjects(&config, customer)?;
        for (identity, subjects) in config.identities.iter().zip(&subjects) {
            let asked = if self.offline { 0 } else { subjects.len() };
            announce(identity, asked, &mut out)?;
        }
        if !self.offline {
            let tokens = serve::tokens(&config, &transport);
            for (identity, subjects) in config.identities.iter().zip(subjects) {
                let asked = (identity, subjects);
                failed |= online(&config, &tokens, asked, &mut out).await?;
            }
        }
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Fetches a token for every API of an identity, in each of the tenants; tells whether one failed.
async fn online(
    config: &Config,
    tokens: &Tokens,
    asked: (&Arc<Identity>, Vec<Subject<'_>>),
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let (identity, subjects) = asked;
    let audiences = config.audiences(identity);
    if audiences.is_empty() {
        writeln!(out, "identity {}: no route uses it", identity.name)?;
    }
    let mut failed = false;
    for (customer, tenant) in subjects {
        let of = customer
            .map(|name| format!(", customer {name}"))
            .unwrap_or_default();
        for (label, audience) in &audiences {
            let line = format!("identity {}{of}, {label} ({audience})", identity.name);
            let key = TokenKey {
                identity: Arc::clone(&identity.name),
                tenant: tenant.clone(),
                audience: audience.clone(),
            };
            match token::fetch(tokens, identity, &key).await {
                Ok(token) => writeln!(out, "{line}: ok\n{}", describe(&token)?)?,
                Err(error) => {
                    failed = true;
                    writeln!(out, "{line}: FAILED\n  {error}")?;
                }
            }
        }
    }
    Ok(failed)
}

/// What can be checked without the network: that secrets, certificates and files are there.
async fn local(config: &Config, out: &mut impl Write) -> anyhow::Result<bool> {
    let mut findings = Vec::new();
    if let Some(source) = &config.listen.client_key {
        let read = source.read().await;
        let found = read.map(|_| "can be read".to_owned());
        let found = found.map_err(|error| Chain(&error).to_string());
        findings.push(("listen.client_key".to_owned(), found));
    }
    for identity in &config.identities {
        let found = credentials::look(&identity.kind).await;
        findings.extend(
            found.map(|(label, found)| (format!("identity {}, {label}", identity.name), found)),
        );
    }
    for (label, found) in &findings {
        match found {
            Ok(found) => writeln!(out, "{label}: {found}")?,
            Err(reason) => writeln!(out, "{label}: FAILED\n  {reason}")?,
        }
    }
    Ok(findings.iter().any(|(_, found)| found.is_err()))
}

/// Who a token is for and what it reaches, in lines for a person.
pub(super) fn describe(token: &AccessToken) -> anyhow::Result<String> {
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
