//! Certificates and keys from PKCS#12 (RFC 7292).

use p12_keystore::{Pkcs12Archive, error::Error};
use zeroize::Zeroizing;

use super::{CertificateError, file::Contents};
use crate::auth::secret::Secret;

/// Reads all certificates and private keys of a PKCS#12 file. Without a password the empty one is tried.
pub(super) fn read(der: &[u8], password: Option<&Secret>) -> Result<Contents, CertificateError> {
    let given = password.map_or("", Secret::expose);
    let archive = Pkcs12Archive::from_pkcs12(der, given).map_err(|error| match error {
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) if password.is_none() => {
            CertificateError::PasswordMissing
        }
        Error::MacError(_) | Error::UnpadError | Error::Pkcs5Error(_) => {
            CertificateError::PasswordWrong
        }
        Error::UnsupportedEncryptionScheme
        | Error::UnsupportedMacAlgorithm
        | Error::InvalidParameters => CertificateError::Encryption,
        Error::IoError(_)
        | Error::DerError(_)
        | Error::InvalidVersion
        | Error::UnsupportedContentType
        | Error::UnsupportedCertificateType
        | Error::X509Error(_)
        | Error::InvalidLength
        | Error::InvalidData
        | Error::InvalidPrivateKey => CertificateError::Damaged,
    })?;
    let key = |bag: &p12_keystore::PrivateKeyBag| Zeroizing::new(bag.key.as_der().to_vec());
    let certificate = |bag: &p12_keystore::CertificateBag| bag.cert.as_der().to_vec();
    Ok(Contents {
        keys: archive.keys.iter().map(key).collect(),
        certificates: archive.certs.iter().map(certificate).collect(),
    })
}
