//! One process at a time reads, refreshes and stores a sign-in.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{StoreError, failed, folder};

/// The lock of a sign-in. The kernel releases it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock file's lock. The file itself stays, as another process may be waiting for it.
    pub(super) async fn take(path: PathBuf) -> Result<Self, StoreError> {
        let place = path.clone();
        let taken = tokio::task::spawn_blocking(move || block(&path));
        match tokio::time::timeout(PATIENCE, taken).await {
            Ok(Ok(lock)) => lock,
            Ok(Err(_)) => Err(StoreError::Stopping),
            Err(_) => Err(StoreError::Locked { path: place }),
        }
    }
}

fn block(path: &Path) -> Result<Lock, StoreError> {
    let locked = || {
        folder::make(path)?;
        let file = folder::private().create(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    match locked() {
        Ok(file) => Ok(Lock { _file: file }),
        Err(source) => Err(failed("lock", path, source)),
    }
}

/// The holder waits for Entra ID for half a minute at most, and several may be queued.
const PATIENCE: Duration = Duration::from_mins(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_holder_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/folder/a.lock");
        let first = Lock::take(path.clone()).await.unwrap();
        let mut second = std::pin::pin!(Lock::take(path));
        assert!(futures_ready(&mut second).await.is_none());
        drop(first);
        second.await.unwrap();
    }

    async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }
}
