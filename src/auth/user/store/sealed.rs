//! The form of an encrypted sign-in: Argon2id (RFC 9106) makes a key of the passphrase, XChaCha20-Poly1305 seals with it.
//!
//! A checksum over everything tells a damaged file from a wrong key. It says nothing about the content: it is of what is already sealed.

use orion::{aead, errors::UnknownCryptoError, hash, kdf};
use zeroize::Zeroizing;

/// Why a file can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// It is not what was written.
    Damaged,
    /// It is whole, but sealed with another key.
    WrongKey,
}

/// Seals `content`, which must not be empty.
pub(super) fn seal(passphrase: &str, content: &[u8]) -> Result<Vec<u8>, UnknownCryptoError> {
    let salt = kdf::Salt::generate()?;
    let key = key(passphrase, &salt)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(salt.as_ref());
    bytes.extend(aead::seal(&key, content)?);
    let checksum = hash::digest(&bytes)?;
    bytes.extend_from_slice(checksum.as_ref());
    Ok(bytes)
}

/// Opens what [`seal`] made.
pub(super) fn open(passphrase: &str, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
    let (salt, sealed) = parts(bytes).ok_or(Unopened::Damaged)?;
    let key = key(passphrase, &salt).map_err(|_| Unopened::WrongKey)?;
    let content = aead::open(&key, sealed).map_err(|_| Unopened::WrongKey)?;
    Ok(Zeroizing::new(content))
}

fn parts(bytes: &[u8]) -> Option<(kdf::Salt, &[u8])> {
    let (bytes, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    if hash::digest(bytes).ok()?.as_ref() != checksum {
        return None;
    }
    let (salt, sealed) = bytes.strip_prefix(MAGIC)?.split_at_checked(SALT)?;
    Some((kdf::Salt::try_from(salt).ok()?, sealed))
}

fn key(passphrase: &str, salt: &kdf::Salt) -> Result<aead::SecretKey, UnknownCryptoError> {
    let passphrase = kdf::Password::try_from(passphrase.as_bytes())?;
    kdf::derive_key(&passphrase, salt, &kdf::OWASP_ARGON2ID_2ND, 32)
}

/// Names the program and the form; the costs of Argon2id belong to the form.
const MAGIC: &[u8] = b"defender-proxy sign-in 1\n";
/// In bytes, as `kdf::Salt::generate` makes it.
const SALT: usize = 16;
/// In bytes: BLAKE2b-256.
const CHECKSUM: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: &[u8] = b"a refresh token";

    #[test]
    fn opens_what_it_sealed_and_hides_it() {
        let sealed = seal("key", CONTENT).unwrap();
        assert_eq!(*open("key", &sealed).unwrap(), CONTENT);
        assert!(!sealed.windows(7).any(|window| window == b"refresh"));
        assert_ne!(sealed, seal("key", CONTENT).unwrap());
    }

    #[test]
    fn a_wrong_key_is_told_from_damage() {
        let sealed = seal("key", CONTENT).unwrap();
        assert_eq!(open("other", &sealed), Err(Unopened::WrongKey));
        for at in [0, MAGIC.len(), MAGIC.len() + SALT + 3, sealed.len() - 1] {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(open("key", &damaged), Err(Unopened::Damaged), "{at}");
        }
        for length in 0..sealed.len() {
            assert_eq!(open("key", &sealed[..length]), Err(Unopened::Damaged));
        }
        assert_eq!(
            open(
                "key",
                b"something else entirely, but long enough for a checksum"
            ),
            Err(Unopened::Damaged)
        );
    }
}
