//! How many requests may be under way to upstream at a time.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The places for requests, shared by all workers. Who finds none free waits in turn.
///
/// They bound what answers that nobody reads cost, and the streams and connections that upstream has to bear.
#[derive(Clone, Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    wait: Duration,
}

/// One of the [`Places`], free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// So many; who finds none free waits for one as long as `wait`.
    #[must_use]
    pub fn new(count: usize, wait: Duration) -> Self {
        let free = Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        Self { free, wait }
    }

    /// Takes one, at once or after those who have waited longer.
    ///
    /// Cancel-safe: who is gone has left the queue.
    ///
    /// # Errors
    /// [`Error::Busy`] when none gets free in time.
    pub async fn take(&self) -> Result<Place, Error> {
        // Only who has to wait pays for a timer.
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Place { _permit: permit });
        }
        match tokio::time::timeout(self.wait, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Error::Busy),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_is_told_and_the_next_one_is_served() {
        let places = Places::new(1, Duration::from_millis(50));
        let place = places.take().await.unwrap();
        let error = places.take().await.unwrap_err();
        assert!(matches!(error, Error::Busy), "{error}");
        let response = error.to_response::<Vec<u8>>();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "5");
        drop(place);
        assert!(places.take().await.is_ok());
    }
}
