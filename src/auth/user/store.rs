//! Where sign-ins are kept: the keyring, an encrypted file, or nowhere but here.
//!
//! A store keeps bytes under a name and knows nothing of what they mean. What is read, changed and written is so under one lock, which
//! all processes share.

mod file;
mod folder;
mod lock;
mod sealed;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ring::digest;
use thiserror::Error;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::lock::Lock;
use super::kept::Bytes;
use crate::{
    auth::{
        identity::{Identity, StoreConfig, User},
        keyring::{self, KeyringError},
        secret::{SecretError, SecretSource},
    },
    origin::Origin,
};

/// Where one sign-in is kept. Clones share the place.
#[derive(Clone, Debug)]
pub struct Store {
    name: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Keyring,
    File {
        path: Option<PathBuf>,
        key: SecretSource,
    },
    Memory(Arc<Mutex<Option<Bytes>>>),
}

impl Store {
    /// The store of a user. The name under which it keeps is of login host, tenant, client and identity: all that a sign-in is good
    /// for.
    #[must_use]
    pub fn new(login: &Origin, identity: &Identity, user: &User) -> Self {
        let name = format!(
            "{} at {login} tenant {} client {}",
            identity.name, user.tenant, user.client_id
        );
        let place = match &user.store {
            StoreConfig::Keyring => Place::Keyring,
            StoreConfig::File { path, key } => Place::File {
                path: path
                    .clone()
                    .or_else(|| folder::file(&format!("{}.sign-in", short(&identity.name, &name)))),
                key: key.clone(),
            },
            StoreConfig::Memory => Place::Memory(Arc::default()),
        };
        Self { name, place }
    }

    /// Whom a sign-in that is kept here is for.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.name
    }

    /// Is it gone when the process ends?
    #[must_use]
    pub fn is_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }

    /// Damaged files that were set aside and that nobody has removed.
    #[must_use]
    pub fn set_aside(&self) -> Vec<PathBuf> {
        match &self.place {
            Place::File {
                path: Some(path), ..
            } => file::set_aside_before(path),
            Place::File { path: None, .. } | Place::Keyring | Place::Memory(_) => Vec::new(),
        }
    }

    /// Waits until nobody else uses the sign-in, here or in another process.
    ///
    /// # Errors
    /// When there is no place for the lock, or another process doesn't give it back.
    pub async fn open(&self) -> Result<Opened, StoreError> {
        let held = match &self.place {
            Place::Memory(kept) => Held::Memory(Arc::clone(kept).lock_owned().await),
            Place::Keyring => {
                let name = &self.name;
                let lock = folder::file(&format!("{}.lock", short("keyring", name)));
                let lock = Lock::take(lock.ok_or(StoreError::NoFolder)?).await?;
                Held::Outside(Arc::new(Outside::Keyring(name.clone(), lock)))
            }
            Place::File { path, key } => {
                let path = path.clone().ok_or(StoreError::NoFolder)?;
                let lock = Lock::take(file::beside(&path, ".lock")).await?;
                Held::Outside(Arc::new(Outside::File(path, key.clone(), lock)))
            }
        };
        Ok(Opened { held })
    }
}

impl fmt::Display for Store {
    /// Where, in a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Keyring => f.write_str("the keyring of the operating system"),
            Place::File {
                path: Some(path), ..
            } => write!(f, "the encrypted file {}", path.display()),
            Place::File { path: None, .. } => f.write_str("an encrypted file"),
            Place::Memory(_) => f.write_str("the memory of the running proxy"),
        }
    }
}

/// A store, while nobody else may use it.
#[derive(Debug)]
pub struct Opened {
    held: Held,
}

#[derive(Debug)]
enum Held {
    Memory(OwnedMutexGuard<Option<Bytes>>),
    Outside(Arc<Outside>),
}

/// What is kept outside of this process, with its lock.
#[derive(Debug)]
enum Outside {
    Keyring(
        String,
        #[expect(dead_code, reason = "held until dropped")] Lock,
    ),
    File(
        PathBuf,
        SecretSource,
        #[expect(dead_code, reason = "held until dropped")] Lock,
    ),
}

impl Opened {
    /// What is kept.
    ///
    /// # Errors
    /// When the place or its key can't be read. A file that is damaged is set aside instead.
    pub async fn read(&self) -> Result<Option<Bytes>, StoreError> {
        match &self.held {
            Held::Memory(kept) => Ok((**kept).clone()),
            Held::Outside(outside) => {
                let passphrase = outside.passphrase().await?;
                blocking(outside, move |outside| match outside {
                    Outside::Keyring(name, _) => Ok(keyring::read(name)?),
                    Outside::File(path, ..) => file::read(path, passphrase.expose()),
                })
                .await
            }
        }
    }

    /// Replaces what is kept.
    ///
    /// # Errors
    /// When the place can't be written to, or its key not be read. What was kept is kept on.
    pub async fn write(&mut self, content: Bytes) -> Result<(), StoreError> {
        match &mut self.held {
            Held::Memory(kept) => {
                **kept = Some(content);
                Ok(())
            }
            Held::Outside(outside) => {
                let passphrase = outside.passphrase().await?;
                blocking(outside, move |outside| match outside {
                    Outside::Keyring(name, _) => Ok(keyring::write(name, &content)?),
                    Outside::File(path, ..) => file::write(path, passphrase.expose(), &content),
                })
                .await
            }
        }
    }

    /// Forgets what is kept, whatever it is. Tells whether there was anything.
    ///
    /// # Errors
    /// When the place can't be written to.
    pub async fn remove(&mut self) -> Result<bool, StoreError> {
        match &mut self.held {
            Held::Memory(kept) => Ok(kept.take().is_some()),
            Held::Outside(outside) => {
                blocking(outside, |outside| match outside {
                    Outside::Keyring(name, _) => Ok(keyring::remove(name)?),
                    Outside::File(path, ..) => file::remove(path),
                })
                .await
            }
        }
    }
}

impl Outside {
    /// What a file is sealed with; nothing for the keyring, which has locks of its own.
    async fn passphrase(&self) -> Result<crate::auth::secret::Secret, StoreError> {
        match self {
            Self::Keyring(..) => Ok(String::new().into()),
            Self::File(_, key, _) => key.read().await.map_err(StoreError::Key),
        }
    }
}

/// Off the runtime: it waits for disks, for Argon2id, and perhaps for a person. The lock is held until it has ended, even if nobody
/// waits for that any more.
async fn blocking<T: Send + 'static>(
    outside: &Arc<Outside>,
    work: impl FnOnce(&Outside) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let patience = match **outside {
        Outside::Keyring(..) => UNLOCKING,
        Outside::File(..) => Duration::MAX,
    };
    let outside = Arc::clone(outside);
    within(patience, move || work(&outside)).await
}

async fn within<T: Send + 'static>(
    patience: Duration,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, tokio::task::spawn_blocking(work)).await {
        Ok(ended) => ended.unwrap_or(Err(StoreError::Stopping)),
        Err(_) => Err(StoreError::Waiting),
    }
}

/// How long a person may take to unlock the keyring, while requests wait for it.
const UNLOCKING: Duration = Duration::from_mins(1);

/// A file name for a person to recognise, and for no other sign-in to have.
fn short(name: &str, whole: &str) -> String {
    let hash = digest::digest(&digest::SHA256, whole.as_bytes());
    let mut number = [0; 8];
    number.copy_from_slice(&hash.as_ref()[..8]);
    format!("{name}-{:016x}", u64::from_be_bytes(number))
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> StoreError {
    StoreError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Why a sign-in can't be read or kept. Holds nothing of it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The environment says not where state is kept.
    #[error("there is no folder for sign-ins: set `store_file`, or the variable HOME")]
    NoFolder,
    /// The passphrase can't be read.
    #[error("`store_key` can't be read")]
    Key(#[source] SecretError),
    /// The file is whole, but the passphrase is not the one.
    #[error(
        "the sign-in in {} is sealed with another key: give `store_key` its old value, or sign in again with `login`",
        path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
    },
    /// It is good for another login host, tenant, client or identity.
    #[error(
        "the sign-in in {place} is another identity's, tenant's or app's: give each its own `store_file`, or sign in again with `login`"
    )]
    Another {
        /// The place.
        place: String,
    },
    /// It can't be understood.
    #[error(
        "the sign-in in {place} was kept by a newer version of this program: use that one, or sign in again with `login`"
    )]
    Newer {
        /// The place.
        place: String,
    },
    /// The system says no.
    #[error("cannot {what} {}: make file and folder this user's own", path.display())]
    File {
        /// The verb.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The passphrase is too short or too long, or there is no randomness.
    #[error("the sign-in can't be encrypted: check `store_key`")]
    Sealing,
    /// Another process doesn't give the lock back.
    #[error("another process holds {}: end the defender-proxy that hangs", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no keyring, it is locked, or takes only short secrets.
    #[error("the sign-in can't be kept in the keyring: mend that, or set store = \"file\"")]
    Keyring(#[from] KeyringError),
    /// Nobody has unlocked the keyring.
    #[error("the keyring waits to be unlocked: unlock it, or set store = \"file\"")]
    Waiting,
    /// Another process has it, perhaps.
    #[error(
        "store = \"memory\" keeps a sign-in in the running proxy only, which alone knows of it: stop the proxy to sign out"
    )]
    Memory,
    /// The runtime ends.
    #[error("the program is stopping")]
    Stopping,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_keyring_that_nobody_unlocks_is_not_waited_for() {
        let (unlock, locked) = std::sync::mpsc::channel::<()>();
        let work = move || {
            let _ = locked.recv();
            Ok(())
        };
        let ended = within(Duration::from_millis(1), work).await;
        assert!(matches!(ended, Err(StoreError::Waiting)), "{ended:?}");
        drop(unlock);
    }
}
