//! A sign-in in the operating system's keyring: Secret Service, macOS Keychain or Windows Credential Manager.
//!
//! Everything here blocks, and may wait for a person who unlocks the keyring.

use keyring_core::{CredentialStore, Entry, Error};
use std::sync::Arc;

use super::StoreError;
use crate::auth::user::kept::Bytes;

#[cfg(target_os = "macos")]
use apple_native_keyring_store::keychain::Store;
#[cfg(all(unix, not(target_os = "macos")))]
use dbus_secret_service_keyring_store::Store;
#[cfg(windows)]
use windows_native_keyring_store::Store;

pub(super) fn read(name: &str) -> Result<Option<Bytes>, StoreError> {
    match entry(name)?.get_secret() {
        Ok(content) => Ok(Some(Bytes::new(content))),
        Err(Error::NoEntry) => Ok(None),
        Err(error) => Err(unusable(&error)),
    }
}

pub(super) fn write(name: &str, content: &[u8]) -> Result<(), StoreError> {
    entry(name)?
        .set_secret(content)
        .map_err(|error| unusable(&error))
}

pub(super) fn remove(name: &str) -> Result<bool, StoreError> {
    match entry(name)?.delete_credential() {
        Ok(()) => Ok(true),
        Err(Error::NoEntry) => Ok(false),
        Err(error) => Err(unusable(&error)),
    }
}

fn entry(name: &str) -> Result<Entry, StoreError> {
    let store: Arc<CredentialStore> = Store::new().map_err(|error| unusable(&error))?;
    store
        .build(SERVICE, name, None)
        .map_err(|error| unusable(&error))
}

/// Only these texts are shown: others may quote what is stored.
fn unusable(error: &Error) -> StoreError {
    match error {
        Error::PlatformFailure(reason) | Error::NoStorageAccess(reason) => {
            StoreError::Keyring(reason.to_string())
        }
        Error::TooLong(_, limit) => StoreError::TooLong(*limit),
        Error::NoEntry
        | Error::BadEncoding(_)
        | Error::BadDataFormat(..)
        | Error::BadStoreFormat(_)
        | Error::Invalid(..)
        | Error::Ambiguous(_)
        | Error::NoDefaultStore
        | Error::NotSupportedByStore(_)
        | _ => StoreError::Keyring("it keeps something else under this name".to_owned()),
    }
}

/// What a person sees in the keyring's own program.
const SERVICE: &str = "defender-proxy";
