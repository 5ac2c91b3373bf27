mod answer;
mod proof;
mod redirect;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;
use uuid::Uuid;

use self::{proof::Proof, redirect::Redirect};
use super::{ConfigArgs, token};
use crate::{
    auth::{
        consent::{self, Page},
        identity::{Audience, Identity, Kind, TenantId},
    },
    cloud::Family,
    config::Config,
    loopback,
    upstream::Transport,
};

/// `consent`: the page on which an administrator lets the partner's application in, and the proof that it was.
#[derive(Debug, Args)]
pub(super) struct Consent {
    #[command(flatten)]
    config: ConfigArgs,
    /// The customer, by name or tenant; without it, a tenant that is no customer yet
    customer: Option<String>,
    /// The partner identity, if the configuration has several
    #[arg(long, value_name = "NAME")]
    identity: Option<String>,
    /// Print the link, and open no browser
    #[arg(long)]
    no_browser: bool,
}

impl Consent {
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.load()?;
        let identity = pick(&config, self.identity.as_deref())?;
        let Kind::Partner(partner) = &identity.kind else {
            bail!(
                "identity {} is no partner, and only a partner needs its customers' consent",
                identity.name
            );
        };
        let named = self.customer.as_deref();
        let asked = named
            .map(|_| token::tenant(&identity, named))
            .transpose()
            .context("leave the customer out to add a new one")?;
        let proof = Proof {
            config: &config,
            transport: &Transport::new(&config.upstream)?,
            identity: &identity,
            partner,
            audiences: audiences(&config, &identity),
        };
        self.exchange(&proof, asked.as_ref()).await
    }

    /// Offers the link, waits for the answer, and proves it.
    async fn exchange(
        &self,
        proof: &Proof<'_>,
        asked: Option<&TenantId>,
    ) -> anyhow::Result<ExitCode> {
        let (_, audience) = proof.audiences.first().context("there is no API")?;
        let page = Page {
            login: proof.config.cloud.login(),
            tenant: asked.map_or(consent::ANY_TENANT, TenantId::as_str),
            audience,
        };
        let configured = &proof.partner.consent_redirect;
        let Some(redirect) = Redirect::bind(configured).await? else {
            self.offer(&page.url(proof.partner, configured, None))?;
            say(&format!(
                "the answer goes to {configured} and not to this program; `defender-proxy check --customer NAME` proves it then"
            ))?;
            return Ok(ExitCode::SUCCESS);
        };
        let state = new_state();
        self.offer(&page.url(proof.partner, &redirect.uri, Some(&state)))?;
        say(&format!(
            "waiting for the answer at {} (Ctrl-C gives up)",
            redirect.uri
        ))?;
        let caught = redirect.loopback.caught(&state).await?;
        match answer::tenant(&caught, asked) {
            Ok(tenant) => proof.show(caught, &tenant).await,
            Err(error) => {
                let page = loopback::Page::failed(format!("{error}."));
                caught.show(page).await;
                Err(error)
            }
        }
    }

    /// Prints the link, and opens it unless that isn't wanted.
    fn offer(&self, link: &str) -> io::Result<()> {
        let whose = self.customer.as_deref().unwrap_or("the new customer");
        say(&format!(
            "an administrator of {whose} consents at\n  {link}"
        ))?;
        if !self.no_browser
            && let Err(error) = open::that_detached(link)
        {
            tracing::warn!(%error, "no browser could be opened; open the link yourself");
        }
        Ok(())
    }
}

/// Prints at once: somebody waits to act on it.
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// The one partner, or the identity that is named.
fn pick(config: &Config, name: Option<&str>) -> anyhow::Result<Arc<Identity>> {
    let is_partner = |identity: &&Arc<Identity>| matches!(identity.kind, Kind::Partner(_));
    let partners: Vec<_> = config.identities.iter().filter(is_partner).collect();
    match (name, partners.as_slice()) {
        (Some(_), _) => token::pick(config, name),
        (None, [only]) => Ok(Arc::clone(only)),
        (None, []) => bail!("the configuration has no identity of kind \"partner\""),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|partner| &*partner.name).collect();
            bail!("say which partner with --identity: {}", names.join(", "))
        }
    }
}

/// The APIs whose tokens prove the consent; Defender XDR, if no route says which.
fn audiences(config: &Config, identity: &Arc<Identity>) -> Vec<(String, Audience)> {
    let routed: Vec<_> = config.audiences(identity).into_iter().collect();
    if routed.is_empty() {
        let audience = config.cloud.api(Family::Xdr).audience.clone();
        return vec![("Defender XDR".to_owned(), audience)];
    }
    routed
}

/// Nobody can guess it: 244 bits of the system's randomness.
fn new_state() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}
