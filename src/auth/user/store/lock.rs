//! One process at a time reads, refreshes and stores a sign-in.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
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
        Self::take_within(path, PATIENCE).await
    }

    /// Asks again and again: a thread that waits in the kernel can't be called back, and holds up the program's end.
    async fn take_within(path: PathBuf, patience: Duration) -> Result<Self, StoreError> {
        let file = file(&path).map_err(|source| failed("lock", &path, source))?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if began.elapsed() >= patience => {
                    return Err(StoreError::Locked { path });
                }
                Err(TryLockError::WouldBlock) => tokio::time::sleep(STEP).await,
                Err(TryLockError::Error(source)) => return Err(failed("lock", &path, source)),
            }
        }
    }
}

fn file(path: &Path) -> io::Result<File> {
    folder::make(path)?;
    folder::private().create(true).open(path)
}

/// The holder waits for Entra ID for half a minute at most, and several may be queued.
const PATIENCE: Duration = Duration::from_mins(2);
/// From one question to the next.
const STEP: Duration = Duration::from_millis(50);

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

    #[tokio::test]
    async fn a_holder_that_hangs_is_named_and_leaves_no_thread_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.lock");
        let first = Lock::take(path.clone()).await.unwrap();
        let error = Lock::take_within(path.clone(), Duration::ZERO).await;
        assert!(matches!(error, Err(StoreError::Locked { .. })), "{error:?}");
        drop(first);
        // Nobody who has given up may still get the lock.
        file(&path).unwrap().try_lock().unwrap();
    }

    async fn futures_ready<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = tokio::task::yield_now() => None,
        }
    }
}
