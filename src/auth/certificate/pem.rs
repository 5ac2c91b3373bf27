//! Certificates and keys from PEM (RFC 7468).

use pkcs8::{EncryptedPrivateKeyInfoRef, SecretDocument};
use zeroize::Zeroizing;

use super::{CertificateError, file::Contents};
use crate::auth::secret::Secret;

/// Reads all certificates and private keys of a PEM text.
pub(super) fn read(text: &str, password: Option<&Secret>) -> Result<Contents, CertificateError> {
    let mut contents = Contents::default();
    for Section { label, text } in sections(text)? {
        match label {
            "CERTIFICATE" => contents
                .certificates
                .push(decode(text)?.as_bytes().to_vec()),
            "ENCRYPTED PRIVATE KEY" => contents.keys.push(decrypt(&decode(text)?, password)?),
            label if label.ends_with("PRIVATE KEY") => {
                if text.contains("Proc-Type: 4,ENCRYPTED") {
                    return Err(CertificateError::TraditionalEncryption);
                }
                contents.keys.push(decode(text)?.to_bytes());
            }
            _ => {}
        }
    }
    Ok(contents)
}

fn decode(text: &str) -> Result<SecretDocument, CertificateError> {
    SecretDocument::from_pem(text)
        .map(|(_, document)| document)
        .map_err(|_| CertificateError::Damaged)
}

fn decrypt(
    document: &SecretDocument,
    password: Option<&Secret>,
) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    use pkcs8::{Error, pkcs5};
    let password = password.ok_or(CertificateError::PasswordMissing)?;
    let encrypted = EncryptedPrivateKeyInfoRef::try_from(document.as_bytes())
        .map_err(|_| CertificateError::Encryption)?;
    match encrypted.decrypt(password.expose()) {
        Ok(key) => Ok(key.to_bytes()),
        // A wrong password may by chance yield something that is no key.
        Err(Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | Error::Asn1(_)) => {
            Err(CertificateError::PasswordWrong)
        }
        Err(_) => Err(CertificateError::Encryption),
    }
}

/// From a `BEGIN` to its `END`, both included.
struct Section<'t> {
    label: &'t str,
    text: &'t str,
}

/// The sections of a text. What stands between them is a comment (RFC 7468 §5.2).
fn sections(text: &str) -> Result<Vec<Section<'_>>, CertificateError> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(BEGIN) {
        rest = &rest[start..];
        let label = rest[BEGIN.len()..]
            .split_once("-----")
            .map(|(label, _)| label)
            .ok_or(CertificateError::Damaged)?;
        let end = format!("-----END {label}-----");
        let length = rest.find(&end).ok_or(CertificateError::Damaged)? + end.len();
        let (text, after) = rest.split_at(length);
        found.push(Section { label, text });
        rest = after;
    }
    Ok(found)
}

pub(super) const BEGIN: &str = "-----BEGIN ";
