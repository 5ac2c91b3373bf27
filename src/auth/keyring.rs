//! The operating system's keyring: Secret Service, macOS Keychain or Windows Credential Manager.
//!
//! Everything here blocks, and may wait for a person who unlocks the keyring.

use std::sync::Arc;

use keyring_core::{CredentialStore, Entry, Error};
use thiserror::Error as ThisError;
use zeroize::Zeroizing;

#[cfg(target_os = "macos")]
use apple_native_keyring_store::keychain::Store;
#[cfg(all(unix, not(target_os = "macos")))]
use dbus_secret_service_keyring_store::Store;
#[cfg(windows)]
use windows_native_keyring_store::Store;

/// What is kept under a name.
pub(super) fn read(name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    match entry(name)?.get_secret() {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(unusable(&error)),
    }
}

/// Keeps something under a name, in place of what was there.
pub(super) fn write(name: &str, content: &[u8]) -> Result<(), KeyringError> {
    entry(name)?
        .set_secret(content)
        .map_err(|error| unusable(&error))
}

/// Removes what is kept under a name. Tells whether there was something.
pub(super) fn remove(name: &str) -> Result<bool, KeyringError> {
    match entry(name)?.delete_credential() {
        Ok(()) => Ok(true),
        Err(Error::NoEntry) => Ok(false),
        Err(error) => Err(unusable(&error)),
    }
}

fn entry(name: &str) -> Result<Entry, KeyringError> {
    let store: Arc<CredentialStore> = Store::new().map_err(|error| unusable(&error))?;
    store
        .build(SERVICE, name, None)
        .map_err(|error| unusable(&error))
}

/// Why a keyring can't be used. Holds nothing of what it keeps.
#[derive(Debug, ThisError)]
#[non_exhaustive]
pub enum KeyringError {
    /// There is no keyring, or it is locked.
    #[error("the keyring can't be used ({0}): unlock it")]
    Unusable(String),
    /// It takes only short secrets.
    #[error("this keyring takes no more than {0} bytes")]
    TooLong(u32),
}

/// Only these texts are shown: others may quote what is stored.
fn unusable(error: &Error) -> KeyringError {
    match error {
        Error::PlatformFailure(reason) | Error::NoStorageAccess(reason) => {
            KeyringError::Unusable(reason.to_string())
        }
        Error::TooLong(_, limit) => KeyringError::TooLong(*limit),
        Error::NoEntry
        | Error::BadEncoding(_)
        | Error::BadDataFormat(..)
        | Error::BadStoreFormat(_)
        | Error::Invalid(..)
        | Error::Ambiguous(_)
        | Error::NoDefaultStore
        | Error::NotSupportedByStore(_)
        | _ => KeyringError::Unusable("it keeps something else under this name".to_owned()),
    }
}

/// What a person sees in the keyring's own program.
pub(super) const SERVICE: &str = "defender-proxy";
