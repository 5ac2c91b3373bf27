//! Who waits for the same fetch waits in a row, and leaves it when its client is gone.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::TokenKey;

/// One row for each key that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<TokenKey, Arc<Semaphore>>>);

impl Turns {
    /// Comes back when nobody before has a turn any more.
    ///
    /// Cancel-safe: who is dropped has left the row.
    pub(super) async fn take(self: &Arc<Self>, key: &TokenKey) -> Turn {
        let semaphore = Arc::clone(self.lock().entry(key.clone()).or_insert_with(one));
        let row = Row {
            semaphore: Some(Arc::clone(&semaphore)),
            turns: Arc::clone(self),
            key: key.clone(),
        };
        let permit = semaphore.acquire_owned().await;
        // It is never closed.
        Turn {
            _permit: permit.ok(),
            _row: row,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TokenKey, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn one() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// The right to fetch; the next one's when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    // Is dropped first, as it holds the row's semaphore too.
    _permit: Option<OwnedSemaphorePermit>,
    _row: Row,
}

#[derive(Debug)]
struct Row {
    semaphore: Option<Arc<Semaphore>>,
    turns: Arc<Turns>,
    key: TokenKey,
}

impl Drop for Row {
    /// The last one takes it away.
    fn drop(&mut self) {
        let mut rows = self.turns.lock();
        // Under the lock, so that of two who leave at once one is the last.
        self.semaphore = None;
        if rows
            .get(&self.key)
            .is_some_and(|row| Arc::strong_count(row) == 1)
        {
            rows.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn key(identity: &str) -> TokenKey {
        TokenKey {
            identity: identity.into(),
            tenant: "00000000-0000-0000-0000-000000000001".parse().unwrap(),
            audience: "https://graph.microsoft.com".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn one_at_a_time_and_nothing_stays_behind() {
        let turns = Arc::<Turns>::default();
        let (a, b) = (key("a"), key("b"));
        let first = turns.take(&a).await;
        let other = turns.take(&b).await;
        let mut second = Box::pin(turns.take(&a));
        let waits = tokio::time::timeout(Duration::from_millis(10), &mut second);
        assert!(waits.await.is_err());
        let mut gone = Box::pin(turns.take(&a));
        let waits = tokio::time::timeout(Duration::from_millis(10), &mut gone);
        assert!(waits.await.is_err());
        drop((first, gone));
        drop((second.await, other));
        assert!(turns.lock().is_empty());
    }
}
