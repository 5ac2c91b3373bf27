//! How an application proves who it is, at one token request.

use super::{
    TokenKey,
    entra::unavailable,
    error::TokenError,
    identity::{ClientId, Credential},
    managed::Platform,
    secret::{Secret, SecretSource},
};

/// What a token request shows.
#[derive(Debug)]
pub enum Proof {
    /// A client secret (RFC 6749 §2.3.1).
    Secret(Secret),
    /// A signed assertion (RFC 7523 §2.2).
    Assertion(Secret),
}

/// Who proves what to whom.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The application.
    pub client_id: &'a ClientId,
    /// What the token is to be good for.
    pub key: &'a TokenKey,
    /// The token endpoint.
    pub token_url: &'a str,
}

impl Credential {
    /// Reads or signs what proves the application's identity, as it is now.
    ///
    /// # Errors
    /// When the credential can't be read.
    pub async fn prove(
        &self,
        _platform: &Platform,
        asking: Asking<'_>,
    ) -> Result<Proof, TokenError> {
        match self {
            Self::Secret(source) => read(source, asking.key).await.map(Proof::Secret),
            Self::Certificate(_) | Self::FederatedTokenFile(_) | Self::ManagedIdentity(_) => {
                Err(unavailable(asking.key, "its credential is not supported"))
            }
        }
    }
}

async fn read(source: &SecretSource, key: &TokenKey) -> Result<Secret, TokenError> {
    source
        .read()
        .await
        .map_err(|source| TokenError::Credential {
            identity: key.identity.to_string(),
            source,
        })
}
