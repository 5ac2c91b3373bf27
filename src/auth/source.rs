//! The token source: one token request, made as the kind of identity asks for. Knows nothing of caching.

use super::{
    AccessToken, TokenKey,
    claims::Capability,
    credential::Asking,
    entra::{Ask, Entra},
    error::TokenError,
    identity::{Identity, Kind, Partner},
    managed::Platform,
    user::SignIns,
};

/// Where tokens come from.
#[derive(Clone, Debug)]
pub struct Source {
    entra: Entra,
    platform: Platform,
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
            platform,
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
            }) => {
                let token_url = self.entra.token_url(key)?;
                let asking = Asking {
                    client_id,
                    key,
                    token_url: token_url.as_str(),
                };
                let proof = credential.prove(&self.platform, asking).await?;
                self.entra
                    .client_credentials(client_id, &proof, key, ask)
                    .await
            }
            Kind::Managed { managed, .. } => self.platform.fetch(managed, key, ask).await,
            Kind::User(_) => self.sign_ins.fetch(&self.entra, key, ask).await,
        }
    }
}
