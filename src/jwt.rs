//! JSON Web Tokens (RFC 7519) with RSA signatures: `jsonwebtoken` for the format, `ring` for the arithmetic, as for TLS.
//!
//! `jsonwebtoken` looks its arithmetic up in one place for the whole process. If a program that embeds this crate has put its own
//! there, that one is used.

use std::fmt;

use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header, TokenData, Validation,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPair, PublicKeyComponents},
    signature::{
        RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256,
        RsaEncoding, RsaParameters,
    },
};
use serde::{Serialize, de::DeserializeOwned};
use signature::{Signer, Verifier};

/// An RSA private key of 2,048 to 4,096 bits.
#[derive(Clone)]
pub(crate) struct PrivateKey {
    encoding: EncodingKey,
    public: PublicKey,
}

impl PrivateKey {
    /// Reads PKCS#8 (RFC 5958) or PKCS#1 (RFC 8017 appendix A.1.2) in DER.
    ///
    /// # Errors
    /// When it is no such key, or one that is too short or too long.
    pub(crate) fn from_der(der: &[u8]) -> Result<Self, RejectedKey> {
        let pair = key_pair(der).map_err(RejectedKey)?;
        let PublicKeyComponents { n, e } = pair.public().into();
        Ok(Self {
            encoding: EncodingKey::from_rsa_der(der),
            public: PublicKey { n, e },
        })
    }

    /// Its public half.
    pub(crate) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs `claims` with the algorithm that `header` names: RS256 or PS256.
    ///
    /// # Errors
    /// When the algorithm is another, or the claims are no JSON object.
    pub(crate) fn sign(&self, header: &Header, claims: &impl Serialize) -> Result<String, Error> {
        use_ring();
        jsonwebtoken::encode(header, claims, &self.encoding)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

/// Why a key can't sign.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct RejectedKey(ring::error::KeyRejected);

/// An RSA public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    /// Modulus, big-endian.
    pub(crate) n: Vec<u8>,
    /// Exponent, big-endian.
    pub(crate) e: Vec<u8>,
}

impl PublicKey {
    /// Verifies the signature of a token, and of its claims what `validation` asks for.
    ///
    /// # Errors
    /// When either fails.
    pub(crate) fn verify<T: DeserializeOwned + Clone>(
        &self,
        token: &str,
        validation: &Validation,
    ) -> Result<TokenData<T>, Error> {
        use_ring();
        let key = DecodingKey::from_rsa_raw_components(&self.n, &self.e);
        jsonwebtoken::decode(token, &key, validation)
    }
}

fn use_ring() {
    static RING: CryptoProvider = CryptoProvider {
        signer_factory,
        verifier_factory,
        key_utils: KeyUtils::new_unimplemented(),
    };
    // It fails from the second time on.
    let _ = RING.install_default();
}

fn key_pair(der: &[u8]) -> Result<KeyPair, ring::error::KeyRejected> {
    KeyPair::from_pkcs8(der).or_else(|pkcs8| KeyPair::from_der(der).map_err(|_| pkcs8))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is jsonwebtoken's"
)]
fn signer_factory(
    algorithm: &Algorithm,
    key: &EncodingKey,
) -> jsonwebtoken::errors::Result<Box<dyn JwtSigner>> {
    let padding: &'static dyn RsaEncoding = if *algorithm == Algorithm::RS256 {
        &RSA_PKCS1_SHA256
    } else if *algorithm == Algorithm::PS256 {
        &RSA_PSS_SHA256
    } else {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    };
    let pair = key_pair(key.as_bytes())
        .map_err(|error| Error::from(ErrorKind::InvalidRsaKey(error.to_string())))?;
    Ok(Box::new(RingSigner {
        algorithm: *algorithm,
        padding,
        pair,
    }))
}

struct RingSigner {
    algorithm: Algorithm,
    padding: &'static dyn RsaEncoding,
    pair: KeyPair,
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        let mut signed = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(self.padding, &SystemRandom::new(), message, &mut signed)
            .map_err(|_| signature::Error::new())?;
        Ok(signed)
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature is jsonwebtoken's"
)]
fn verifier_factory(
    algorithm: &Algorithm,
    key: &DecodingKey,
) -> jsonwebtoken::errors::Result<Box<dyn JwtVerifier>> {
    let parameters = if *algorithm == Algorithm::RS256 {
        &RSA_PKCS1_2048_8192_SHA256
    } else if *algorithm == Algorithm::PS256 {
        &RSA_PSS_2048_8192_SHA256
    } else {
        return Err(ErrorKind::UnsupportedAlgorithm.into());
    };
    let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
        return Err(ErrorKind::InvalidKeyFormat.into());
    };
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        parameters,
        key: PublicKeyComponents {
            n: n.clone(),
            e: e.clone(),
        },
    }))
}

struct RingVerifier {
    algorithm: Algorithm,
    parameters: &'static RsaParameters,
    key: PublicKeyComponents<Vec<u8>>,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        self.key
            .verify(self.parameters, message, signed)
            .map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    use serde_json::{Value, json};

    use super::*;

    fn key() -> PrivateKey {
        let pem = include_bytes!("../certs/sandbox/signing-key.pem");
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
        PrivateKey::from_der(der.secret_pkcs8_der()).unwrap()
    }

    #[test]
    fn what_is_signed_is_verified() {
        for algorithm in [Algorithm::RS256, Algorithm::PS256] {
            let claims = json!({"exp": 4_000_000_000_u64, "aud": "a"});
            let token = key().sign(&Header::new(algorithm), &claims).unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["a"]);
            let read = key().public().verify::<Value>(&token, &validation).unwrap();
            assert_eq!(read.claims, claims);

            let changed = token.replacen('.', ".e", 1);
            assert!(
                key()
                    .public()
                    .verify::<Value>(&changed, &validation)
                    .is_err()
            );
            let other = Validation::new(if algorithm == Algorithm::RS256 {
                Algorithm::PS256
            } else {
                Algorithm::RS256
            });
            assert!(key().public().verify::<Value>(&token, &other).is_err());
        }
    }

    #[test]
    fn other_keys_and_algorithms_are_refused() {
        assert!(PrivateKey::from_der(b"no key").is_err());
        let elliptic = rcgen::KeyPair::generate().unwrap();
        assert!(PrivateKey::from_der(&elliptic.serialize_der()).is_err());
        let header = Header::new(Algorithm::ES256);
        assert!(key().sign(&header, &json!({})).is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", key()), "PrivateKey(…)");
    }
}
