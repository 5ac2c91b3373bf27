//! TLS towards upstream: 1.2 or newer, always verified.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The system's roots and those of `ca` (PEM), with `ring` as the one crypto provider.
///
/// # Errors
/// When `ca` can't be read or holds no certificate, or when there is no root at all.
pub fn client_config(ca: Option<&Path>) -> Result<ClientConfig, RootsError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca {
        add(&mut roots, path)?;
    }
    if roots.is_empty() {
        return Err(RootsError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(RootsError::Versions)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

fn add(roots: &mut RootCertStore, path: &Path) -> Result<(), RootsError> {
    let unreadable = |source| RootsError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let before = roots.len();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        let certificate = certificate.map_err(unreadable)?;
        roots
            .add(certificate)
            .map_err(|source| RootsError::Unusable {
                path: path.to_owned(),
                source,
            })?;
    }
    if roots.len() == before {
        return Err(RootsError::Empty {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// Why there are no trusted roots.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootsError {
    /// The file of `upstream.ca` can't be read as PEM.
    #[error("upstream.ca: '{path}' can't be read as PEM")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A certificate in it is not usable as a root.
    #[error("upstream.ca: a certificate in '{path}' can't be used as a root")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// It holds no certificate.
    #[error("upstream.ca: '{path}' holds no certificate (expected -----BEGIN CERTIFICATE-----)")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither the system nor the configuration has a root.
    #[error(
        "no trusted root certificates: install the system's package (ca-certificates), or set upstream.ca"
    )]
    NoRoots,
    /// The crypto provider lacks TLS 1.2 and 1.3.
    #[error("no TLS version is usable")]
    Versions(#[source] rustls::Error),
}

#[cfg(test)]
mod tests;
