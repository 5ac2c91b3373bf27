//! The token source: one token request, made as the kind of identity asks for. Knows nothing of caching.

use super::{
    AccessToken, TokenKey,
    credential::Asking,
    entra::{Ask, Entra},
    error::TokenError,
    identity::{Identity, Kind, Partner},
    managed::Platform,
    user::SignIns,
};
use crate::origin::Origin;

/// Where tokens come from.
#[derive(Clone, Debug)]
pub struct Source {
    entra: Entra,
    platform: Platform,
    sign_ins: SignIns,
}

impl Source {
    /// A source that asks Entra ID, the platform, or the store of sign-ins.
    #[must_use]
    pub fn new(entra: Entra, platform: Platform, sign_ins: SignIns) -> Self {
        Self {
            entra,
            platform,
            sign_ins,
        }
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
            Kind::User(user) => self.sign_ins.fetch(&self.entra, user, key, ask).await,
        }
    }
}
