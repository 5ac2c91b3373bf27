//! A certificate whose private key signs assertions.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, Header};
use ring::digest;
use serde_json::json;
use uuid::Uuid;
use x509_parser::prelude::X509Certificate;

use super::CertificateError;
use crate::{
    auth::{credential::Asking, identity::AssertionAlgorithm, secret::Secret},
    jwt::PrivateKey,
};

/// A certificate with its key.
pub struct Signer {
    key: PrivateKey,
    sha1: String,
    sha256: String,
    subject: String,
    begins: SystemTime,
    ends: SystemTime,
}

impl Signer {
    pub(super) fn new(key: PrivateKey, certificate: &X509Certificate<'_>) -> Self {
        let thumbprint = |algorithm| {
            let digest = digest::digest(algorithm, certificate.as_raw());
            URL_SAFE_NO_PAD.encode(digest)
        };
        let validity = certificate.validity();
        Self {
            key,
            sha1: thumbprint(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            sha256: thumbprint(&digest::SHA256),
            subject: certificate.subject().to_string(),
            begins: time(validity.not_before.timestamp()),
            ends: time(validity.not_after.timestamp()),
        }
    }

    /// The subject of the certificate, for a person to read.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// When the certificate ends.
    #[must_use]
    pub fn ends(&self) -> SystemTime {
        self.ends
    }

    /// Checks that the certificate may be used now: Entra ID would refuse it otherwise.
    ///
    /// # Errors
    /// When it has expired, or is not valid yet.
    pub fn check_time(&self, now: SystemTime) -> Result<(), CertificateError> {
        if now >= self.ends {
            return Err(CertificateError::Expired(day(self.ends)));
        }
        if now < self.begins {
            return Err(CertificateError::NotYetValid(day(self.begins)));
        }
        Ok(())
    }

    /// Signs an assertion for one token request (RFC 7523 §3; Entra ID, "Application authentication certificate
    /// credentials").
    pub(super) fn sign(
        &self,
        algorithm: AssertionAlgorithm,
        asking: Asking<'_>,
    ) -> Result<Secret, CertificateError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_err(|_| CertificateError::Signing)?.as_secs();
        let claims = json!({
            "aud": asking.token_url,
            "iss": asking.client_id.as_str(),
            "sub": asking.client_id.as_str(),
            "jti": Uuid::new_v4().to_string(),
            "nbf": now,
            "iat": now,
            "exp": now + LIFE.as_secs(),
        });
        let signed = self.key.sign(&self.header(algorithm), &claims);
        signed
            .map(Secret::from)
            .map_err(|_| CertificateError::Signing)
    }

    fn header(&self, algorithm: AssertionAlgorithm) -> Header {
        match algorithm {
            AssertionAlgorithm::Ps256 => Header {
                x5t_s256: Some(self.sha256.clone()),
                ..Header::new(Algorithm::PS256)
            },
            AssertionAlgorithm::Rs256 => Header {
                x5t: Some(self.sha1.clone()),
                ..Header::new(Algorithm::RS256)
            },
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer")
            .field("subject", &self.subject)
            .field("ends", &day(self.ends))
            .finish_non_exhaustive()
    }
}

/// The day of a time, in UTC, as in `2026-11-22`.
#[must_use]
pub fn day(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.split('T').next().unwrap_or_default().to_owned()
}

/// A time in seconds since 1970, within the years that can be written.
fn time(seconds: i64) -> SystemTime {
    let seconds = u64::try_from(seconds).unwrap_or(0).min(END_OF_9999);
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// As long as Microsoft's own libraries make it.
const LIFE: Duration = Duration::from_mins(10);
const END_OF_9999: u64 = 253_402_300_799;
