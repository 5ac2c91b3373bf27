//! How an application proves who it is, at one token request.

mod error;

pub use self::error::ProofError;
use super::{
    TokenKey, assertion_file,
    certificate::Certificates,
    error::TokenError,
    identity::{Certificate, ClientId, Credential},
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

/// Reads and signs proofs, and keeps what doing that anew each time would cost too much.
#[derive(Clone, Debug)]
pub struct Prover {
    certificates: Certificates,
    platform: Platform,
}

impl Prover {
    /// A prover whose managed identities are those of `platform`.
    #[must_use]
    pub fn new(platform: Platform) -> Self {
        Self {
            certificates: Certificates::default(),
            platform,
        }
    }

    /// What gives tokens of managed identities.
    #[must_use]
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Reads or signs what proves the application's identity, as it is now.
    ///
    /// # Errors
    /// When the credential can't be read or used, or the platform gives no token to show.
    pub async fn prove(
        &self,
        credential: &Credential,
        asking: Asking<'_>,
    ) -> Result<Proof, TokenError> {
        match credential {
            Credential::Secret(source) => read(source, asking.key).await.map(Proof::Secret),
            Credential::Certificate(certificate) => self.sign(certificate, asking).await,
            Credential::FederatedTokenFile(file) => assertion_file::read(file)
                .await
                .map(Proof::Assertion)
                .map_err(|error| unproven(asking.key, error.into())),
            Credential::ManagedIdentity(managed) => self
                .platform
                .assertion(managed, asking.key)
                .await
                .map(Proof::Assertion),
        }
    }

    async fn sign(
        &self,
        certificate: &Certificate,
        asking: Asking<'_>,
    ) -> Result<Proof, TokenError> {
        let signed = self.certificates.sign(certificate, asking).await;
        signed.map(Proof::Assertion).map_err(|source| {
            let file = certificate.file.clone();
            unproven(asking.key, ProofError::Certificate { file, source })
        })
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

fn unproven(key: &TokenKey, source: ProofError) -> TokenError {
    TokenError::Proof {
        identity: key.identity.to_string(),
        source,
    }
}
