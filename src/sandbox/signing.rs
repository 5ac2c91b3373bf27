//! The keys that the login host signs with, and their public halves as clients fetch them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, Header};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::jwt::{PrivateKey, PublicKey, RejectedKey};

/// The keys of one start; they are published, so they protect nothing.
pub(crate) struct Keys {
    /// Signs access tokens and id tokens.
    pub(crate) tokens: SigningKey,
    /// Signs what another issuer would: the assertions of workload identity federation.
    pub(crate) federation: SigningKey,
}

impl Keys {
    /// Reads the keys that are built in.
    ///
    /// # Errors
    /// When one of them is no RSA key.
    pub(crate) fn read() -> Result<Self, KeyError> {
        let tokens = include_bytes!("../../certs/sandbox/signing-key.pem");
        let federation = include_bytes!("../../certs/sandbox/federation-key.pem");
        Ok(Self {
            tokens: SigningKey::read(tokens, "sandbox-signing-key")?,
            federation: SigningKey::read(federation, "sandbox-federation-key")?,
        })
    }
}

/// Why a built-in key or a registered certificate can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("not PEM: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("not an RSA key: {0}")]
    Key(#[from] RejectedKey),
    #[error("not a certificate with an RSA key")]
    Certificate,
}

/// A key with the name that tokens know it by.
#[derive(Clone)]
pub(crate) struct SigningKey {
    id: &'static str,
    key: PrivateKey,
}

impl SigningKey {
    fn read(pem: &[u8], id: &'static str) -> Result<Self, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem)?;
        let key = PrivateKey::from_der(der.secret_pkcs8_der())?;
        Ok(Self { id, key })
    }

    pub(crate) fn public(&self) -> &PublicKey {
        self.key.public()
    }

    /// A token of these claims, signed with RS256. Empty, so good for nothing, where the system has no randomness left.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header {
            kid: Some(self.id.to_owned()),
            x5t: Some(self.id.to_owned()),
            ..Header::new(Algorithm::RS256)
        };
        self.key.sign(&header, claims).unwrap_or_default()
    }

    /// The key set (RFC 7517 section 5) that this key is verified with.
    pub(crate) fn set(&self) -> Value {
        let PublicKey { n, e } = self.public();
        json!({"keys": [{
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self.id,
            "x5t": self.id,
            "n": BASE64URL.encode(n),
            "e": BASE64URL.encode(e),
        }]})
    }
}
