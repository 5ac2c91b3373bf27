//! The certificates of one start: an authority and a leaf for the loopback names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What the servers show and what clients must trust.
pub(crate) struct Identity {
    pub(crate) ca_pem: String,
    pub(crate) server: Arc<ServerConfig>,
}

impl Identity {
    /// Makes a new authority and a leaf for `localhost`, `127.0.0.1` and `::1`; both keys stay in
    /// memory, and the authority's is dropped here.
    pub(crate) fn generate(http2: bool) -> Result<Self, TlsError> {
        let ca_key = KeyPair::generate()?;
        let ca_params = authority()?;
        let ca = ca_params.self_signed(&ca_key)?;
        let leaf_key = KeyPair::generate()?;
        let leaf = leaf()?.signed_by(&leaf_key, &Issuer::new(ca_params, ca_key))?;
        Ok(Self {
            ca_pem: ca.pem(),
            server: Arc::new(server(leaf.der().clone(), &leaf_key, http2)?),
        })
    }
}

/// Why the certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot make the sandbox certificates")]
    Certificate(#[from] rcgen::Error),
    #[error("cannot set up TLS for the sandbox")]
    Setup(#[from] rustls::Error),
}

fn authority() -> Result<CertificateParams, rcgen::Error> {
    let mut params = dated(CertificateParams::new(Vec::new())?);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
        .distinguished_name
        .push(DnType::CommonName, "defender-proxy sandbox (this run only)");
    Ok(params)
}

fn leaf() -> Result<CertificateParams, rcgen::Error> {
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = dated(CertificateParams::new(names)?);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    Ok(params)
}

/// Valid from a day ago, for clients whose clock is behind, and no longer than all clients accept (Apple's: 825 days).
fn dated(mut params: CertificateParams) -> CertificateParams {
    let now = SystemTime::now();
    params.not_before = (now - DAY).into();
    params.not_after = (now + LIFETIME).into();
    params
}

fn server(
    leaf: CertificateDer<'static>,
    key: &KeyPair,
    http2: bool,
) -> Result<ServerConfig, rustls::Error> {
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![leaf], key)?;
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(config)
}

const DAY: Duration = Duration::from_hours(24);
const LIFETIME: Duration = Duration::from_hours(24 * 800);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_valid_now_and_for_long() {
        let now = SystemTime::now();
        let (hour, month) = (Duration::from_hours(1), Duration::from_hours(24 * 31));
        let apple = Duration::from_hours(24 * 825);
        for params in [authority().unwrap(), leaf().unwrap()] {
            let (start, end) = (
                SystemTime::from(params.not_before),
                SystemTime::from(params.not_after),
            );
            assert!(start < now - hour && end > now + month);
            assert!(end.duration_since(start).unwrap() < apple);
        }
    }
}
