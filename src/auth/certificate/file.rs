//! From the bytes of a file to the certificate that signs: PEM or PKCS#12, told apart by content.

use x509_parser::{prelude::X509Certificate, public_key::PublicKey as Spki};
use zeroize::Zeroizing;

use super::{CertificateError, pem, pkcs12, signer::Signer};
use crate::{
    auth::secret::Secret,
    jwt::{PrivateKey, PublicKey},
};

/// What a file holds, in DER.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) keys: Vec<Zeroizing<Vec<u8>>>,
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Reads the key and the certificate that belongs to it.
pub(super) fn read(bytes: &[u8], password: Option<&Secret>) -> Result<Signer, CertificateError> {
    let contents = match str::from_utf8(bytes) {
        Ok(text) if text.contains(pem::BEGIN) => pem::read(text, password)?,
        _ if bytes.first() == Some(&SEQUENCE) => pkcs12::read(bytes, password)?,
        _ => return Err(CertificateError::Format),
    };
    contents.signer()
}

impl Contents {
    fn signer(&self) -> Result<Signer, CertificateError> {
        let certificates = self
            .certificates
            .iter()
            .map(|der| x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CertificateError::Damaged)?;
        if self.keys.is_empty() {
            return Err(CertificateError::NoKey);
        }
        if certificates.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let publics = publics(&certificates)?;
        let keys = self.keys.iter().map(|der| PrivateKey::from_der(der));
        let keys: Vec<_> = keys.filter_map(Result::ok).collect();
        if keys.is_empty() {
            return Err(CertificateError::UnusableKey);
        }
        keys.into_iter()
            .find_map(|key| belonging(&key, &publics).map(|found| Signer::new(key, found)))
            .ok_or(CertificateError::Mismatch)
    }
}

type Owned<'c, 'd> = (PublicKey, &'c X509Certificate<'d>);

/// The RSA keys of certificates, each with its certificate.
fn publics<'c, 'd>(
    certificates: &'c [X509Certificate<'d>],
) -> Result<Vec<Owned<'c, 'd>>, CertificateError> {
    let rsa =
        certificates
            .iter()
            .filter_map(|certificate| match certificate.public_key().parsed() {
                Ok(Spki::RSA(key)) => {
                    let [n, e] = [key.modulus, key.exponent].map(unpadded);
                    Some((PublicKey { n, e }, certificate))
                }
                _ => None,
            });
    let rsa: Vec<_> = rsa.collect();
    // The first is the one that names the app, unless the file is a chain in another order: then its key tells.
    let Some((first, _)) = rsa.first() else {
        return Err(CertificateError::NotRsa);
    };
    match first.n.len() * 8 {
        2048..=4096 => Ok(rsa),
        bits => Err(CertificateError::KeySize(bits)),
    }
}

/// The certificate of a key; of several (a renewed one) that which lasts longest.
fn belonging<'c, 'd>(key: &PrivateKey, owned: &[Owned<'c, 'd>]) -> Option<&'c X509Certificate<'d>> {
    let own = owned.iter().filter(|(public, _)| public == key.public());
    own.map(|(_, certificate)| *certificate)
        .max_by_key(|certificate| certificate.validity().not_after.timestamp())
}

/// An ASN.1 integer begins with a zero where its first bit is set.
fn unpadded(integer: &[u8]) -> Vec<u8> {
    let zeros = integer.iter().take_while(|&&byte| byte == 0).count();
    integer[zeros..].to_vec()
}

/// The first byte of whatever is a structure in DER.
const SEQUENCE: u8 = 0x30;
