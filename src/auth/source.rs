//! The token source: one token request, made as the kind of identity asks for. Knows nothing of caching.

use super::{
    AccessToken, TokenKey,
    claims::Capability,
    credential::{Asking, Proof, Prover},
    entra::{Ask, Entra},
    error::TokenError,
    identity::{ClientId, Credential, Identity, Kind, Partner},
    managed::Platform,
    user::SignIns,
};
use crate::origin::Origin;

/// Where tokens come from.
#[derive(Clone, Debug)]
pub struct Source {
    entra: Entra,
    prover: Prover,
    sign_ins: SignIns,
    capability: Capability,
}

impl Source {
    /// A source that asks Entra ID, the platform, or the store of sign-ins, and declares what the proxy is capable of.
    #[must_use]
    pub fn new(
        entra: Entra,
        platform: Platform,
        sign_ins: SignIns,
        capability: Capability,
    ) -> Self {
        Self {
            entra,
            prover: Prover::new(platform),
            sign_ins,
            capability,
        }
    }

    /// From now on, who must sign in to the running proxy is asked to.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn prompt(&self) {
        self.sign_ins.prompt(&self.entra);
    }

    /// The cloud's login host.
    #[must_use]
    pub fn login(&self) -> &Origin {
        self.entra.login()
    }

    /// One token request.
    ///
    /// # Errors
    /// When the credential can't be read, the issuer can't be reached or says no, or nobody is signed in.
    pub async fn fetch(
        &self,
        identity: &Identity,
        key: &TokenKey,
        ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        let claims = self
            .capability
            .claims(&identity.kind, &key.audience, ask.claims);
        let ask = Ask {
            claims: claims.as_deref(),
            ..ask
        };
        if !matches!(identity.kind, Kind::Managed { .. }) {
            self.entra.may_ask(key)?;
        }
        match &identity.kind {
            Kind::Application {
                client_id,
                credential,
                ..
            }
            | Kind::Partner(Partner {
                client_id,
                credential,
                ..
            }) => self.proven((client_id, credential), key, ask).await,
            Kind::Managed { managed, .. } => self.prover.platform().fetch(managed, key, ask).await,
            Kind::User(_) => self.sign_ins.fetch(&self.entra, key, ask).await,
        }
    }

    /// A token for an application, which proves who it is anew.
    async fn proven(
        &self,
        application: (&ClientId, &Credential),
        key: &TokenKey,
        ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        let (client_id, credential) = application;
        let once = async || {
            let proof = self.prove(application, key).await?;
            self.entra
                .client_credentials(client_id, &proof, key, ask)
                .await
        };
        match once().await {
            // The clock may have jumped between signing and sending. If it's wrong, a second assertion helps as little.
            Err(error) if error.code() == Some(OUT_OF_TIME) && signs(credential) => once().await,
            outcome => outcome,
        }
    }

    async fn prove(
        &self,
        application: (&ClientId, &Credential),
        key: &TokenKey,
    ) -> Result<Proof, TokenError> {
        let (client_id, credential) = application;
        let token_url = self.entra.token_url(key)?;
        let asking = Asking {
            client_id,
            key,
            token_url: token_url.as_str(),
        };
        self.prover.prove(credential, asking).await
    }
}

/// Is the assertion made here?
fn signs(credential: &Credential) -> bool {
    matches!(credential, Credential::Certificate(_))
}

/// "Client assertion is not within its valid time range" (Entra ID, "Microsoft Entra authentication and authorization error
/// codes").
const OUT_OF_TIME: u32 = 700_024;
