//! Why a certificate can't sign.

use std::io;

use crate::auth::secret::SecretError;

/// Why the file of a certificate credential is of no use. No message holds anything of the file but numbers and dates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file or its password could not be read.
    #[error(transparent)]
    Read(#[from] SecretError),
    /// It is no file of the known formats.
    #[error("it is neither PEM nor PKCS#12: export the certificate together with its private key")]
    Format,
    /// It is PEM without a private key.
    #[error("it has no private key: put certificate and key into one file")]
    NoKey,
    /// There is a key, and no certificate.
    #[error("it has no certificate: put certificate and key into one file")]
    NoCertificate,
    /// A section or bag is damaged.
    #[error("it is damaged or cut off: write it again")]
    Damaged,
    /// The key is encrypted with OpenSSL's own scheme of old (RFC 1421's `Proc-Type`).
    #[error(
        "its key is encrypted in the traditional form (Proc-Type: 4,ENCRYPTED): convert it with \
         `openssl pkcs8 -topk8 -in FILE -out key.pem`, and put the certificate and key.pem into one file"
    )]
    TraditionalEncryption,
    /// The key is encrypted with something unknown, or too weak.
    #[error(
        "its encryption is not supported: convert a PEM key with `openssl pkcs8 -topk8 -v2 aes-256-cbc`, or PKCS#12 \
         with `openssl pkcs12 -export`"
    )]
    Encryption,
    /// The key is encrypted, and no password is configured.
    #[error("its key is encrypted: add password = {{ env = \"NAME\" }} to the certificate")]
    PasswordMissing,
    /// The password opens nothing.
    #[error("the password doesn't open it: configure the one that it was encrypted with")]
    PasswordWrong,
    /// Entra ID takes RSA alone for certificate credentials.
    #[error(
        "its key is not RSA, and Entra ID takes no other: make a new certificate with an RSA key"
    )]
    NotRsa,
    /// RSA, but of a size that can't be used.
    #[error("its RSA key has {0} bits: make a new certificate with 2048, 3072 or 4096 bits")]
    KeySize(usize),
    /// The key is not RSA, or its numbers are not such as can sign safely.
    #[error("its private key is no RSA key that can sign: make a new certificate with an RSA key")]
    UnusableKey,
    /// The certificate is another's.
    #[error(
        "its private key belongs to none of its certificates: put those that belong together into one file"
    )]
    Mismatch,
    /// The certificate has ended.
    #[error("it expired on {0}: make a new one, and upload it to the app in the Entra portal")]
    Expired(String),
    /// The certificate is not valid yet.
    #[error("it is valid from {0} only: check this machine's clock")]
    NotYetValid(String),
    /// Reading went wrong inside.
    #[error("it could not be worked on: try again")]
    Stopped(#[from] io::Error),
    /// Signing went wrong.
    #[error("its key can't sign: make a new certificate")]
    Signing,
}
