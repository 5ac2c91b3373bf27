//! How many requests may be under way to upstream at a time.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The places for requests, shared by all workers. Who finds none free waits in turn.
///
/// They bound what answers that nobody reads cost, and the streams and connections that upstream has to bear.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

/// One of the [`Places`], free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many.
    #[must_use]
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes one, at once or after those who have waited longer.
    ///
    /// Cancel-safe: who is gone has left the queue.
    ///
    /// # Errors
    /// [`Error::Busy`] when none gets free within half a minute.
    pub async fn take(&self) -> Result<Place, Error> {
        // Only who has to wait pays for a timer.
        if let Ok(permit) = Arc::clone(&self.0).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        match tokio::time::timeout(LONGEST_WAIT, Arc::clone(&self.0).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}

/// As long as many clients wait for an answer by default.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
