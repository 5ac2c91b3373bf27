//! The certificates registered for the application.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::Header;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::public_key::PublicKey as Parsed;

use crate::jwt::PublicKey;

use super::signing::KeyError;

/// A certificate as Entra keeps it: its key, and the digests by which assertions name it.
pub(crate) struct Certificate {
    pub(crate) key: PublicKey,
    sha1: String,
    sha256: String,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// When there is none, or its key is not RSA.
    pub(crate) fn read(pem: &str) -> Result<Self, KeyError> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())?;
        let (_, certificate) =
            x509_parser::parse_x509_certificate(&der).map_err(|_| KeyError::Certificate)?;
        let Ok(Parsed::RSA(rsa)) = certificate.public_key().parsed() else {
            return Err(KeyError::Certificate);
        };
        Ok(Self {
            key: PublicKey {
                n: without_sign(rsa.modulus),
                e: without_sign(rsa.exponent),
            },
            sha1: BASE64URL.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &der)),
            sha256: BASE64URL.encode(digest(&SHA256, &der)),
        })
    }

    /// Whether the head of an assertion names this certificate: by `x5t#S256`, or `x5t` as before. MSAL for Python pads them,
    /// against RFC 7515 section 2, and signs in.
    pub(crate) fn is_named_by(&self, header: &Header) -> bool {
        let unpadded = |digest: &String, known: &str| digest.trim_end_matches('=') == known;
        match (&header.x5t_s256, &header.x5t) {
            (Some(sha256), _) => unpadded(sha256, &self.sha256),
            (None, Some(sha1)) => unpadded(sha1, &self.sha1),
            (None, None) => false,
        }
    }
}

/// DER puts a zero before a number whose first bit is set.
fn without_sign(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number[zeros..].to_vec()
}
