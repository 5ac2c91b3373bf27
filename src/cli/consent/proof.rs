//! Fetching the tokens that a consent is for: that alone shows that it was given.

use std::{io, process::ExitCode, sync::Arc, time::Duration};

use anyhow::bail;

use crate::{
    auth::{
        AccessToken, TokenKey, aadsts,
        error::NoToken,
        identity::{Audience, Identity, Partner, TenantId},
    },
    cli::check,
    config::Config,
    error::Chain,
    loopback::{Caught, Page},
    serve,
    upstream::Transport,
};

/// Whose consent is proven, and how.
pub(super) struct Proof<'c> {
    pub(super) config: &'c Config,
    pub(super) transport: &'c Transport,
    pub(super) identity: &'c Arc<Identity>,
    pub(super) partner: &'c Partner,
    /// The APIs, with a name for a person.
    pub(super) audiences: Vec<(String, Audience)>,
}

impl Proof<'_> {
    /// Proves the consent, and tells the person in the browser and the one at the terminal.
    pub(super) async fn show(&self, caught: Caught, tenant: &TenantId) -> anyhow::Result<ExitCode> {
        super::say("the administrator consented; asking for tokens as a proof")?;
        let refused = self.refused(tenant).await?;
        self.introduce(tenant)?;
        if refused.is_empty() {
            let text = "The application may act in this tenant now.";
            caught.show(Page::done(text)).await;
            return Ok(ExitCode::SUCCESS);
        }
        let text = "Entra ID doesn't give the application all tokens for this tenant; the program says why.";
        caught.show(Page::failed(text)).await;
        if refused.iter().all(is_cured) {
            bail!(
                "the consent is not proven yet: wait some minutes, then run the same command again"
            );
        }
        bail!("the consent is not proven: see what is to do above");
    }

    /// Asks for a token for each API, and says what it reaches. The refusals.
    async fn refused(&self, tenant: &TenantId) -> anyhow::Result<Vec<NoToken>> {
        let mut refused = Vec::new();
        let mut pauses = PAUSES.into_iter();
        for (label, audience) in &self.audiences {
            let key = TokenKey {
                identity: Arc::clone(&self.identity.name),
                tenant: tenant.clone(),
                audience: audience.clone(),
            };
            let outcome = match self.token(&key, &mut pauses).await {
                Ok(token) => format!("ok\n{}", check::describe(&token)?),
                Err(none) => {
                    let told = format!("FAILED\n  {}\n  to do: {}", Chain(&none), none.next_step());
                    refused.push(none);
                    told
                }
            };
            super::say(&format!("{label} ({audience}): {outcome}"))?;
        }
        Ok(refused)
    }

    /// A consent takes some time to spread, and Entra ID minds many equal requests: so there are few pauses, for all APIs.
    async fn token(
        &self,
        key: &TokenKey,
        pauses: &mut impl Iterator<Item = Duration>,
    ) -> Result<Arc<AccessToken>, NoToken> {
        loop {
            let none = match self.ask(key).await {
                Ok(token) => return Ok(token),
                Err(none) => none,
            };
            let Some(pause) = pauses.next().filter(|_| is_cured(&none)) else {
                return Err(none);
            };
            tracing::info!(pause_s = pause.as_secs(), "the consent has not spread yet");
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks with a cache of its own, which remembers no failure.
    async fn ask(&self, key: &TokenKey) -> Result<Arc<AccessToken>, NoToken> {
        let tokens = serve::tokens(self.config, self.transport);
        tokens.get(self.identity, key).await
    }

    /// Says how a new customer gets into the configuration.
    fn introduce(&self, tenant: &TenantId) -> io::Result<()> {
        let customers = &self.partner.customers;
        let known = customers.find(tenant.as_str());
        match known.and_then(|place| customers.at(place)) {
            Some((name, _)) => super::say(&format!(
                "tenant {tenant} is customer {name}; a proxy that was refused asks again within a minute"
            )),
            None => super::say(&format!(
                "add the customer to `customers` of [identity.{}], under a name of your choice:\n  NAME = \"{tenant}\"",
                self.identity.name
            )),
        }
    }
}

/// May it pass when the consent has spread?
fn is_cured(none: &NoToken) -> bool {
    none.error.code().is_some_and(aadsts::is_cured_by_consent)
}

/// Between asking again.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
