//! What Entra ID refused, so that it isn't asked the same again too soon.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::auth::{aadsts::Class, error::Refusal, secret::Secret};

/// Refusals by what was asked: another secret, or another question, is asked at once.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Of this process, so that the hash of a secret says nothing.
    hasher: RandomState,
    list: Mutex<Vec<(u64, Refusal, Instant)>>,
}

impl Refusals {
    /// The refusal that still stands, if there is one.
    pub(super) fn known(&self, secret: &Secret, question: &str) -> Option<Refusal> {
        let hash = self.hasher.hash_one((secret.expose(), question));
        let mut list = self.list();
        list.retain(|(_, _, until)| Instant::now() < *until);
        let found = list.iter().find(|(known, ..)| *known == hash);
        found.map(|(_, refusal, _)| refusal.clone())
    }

    /// Lets a refusal stand for a time, unless it may pass by itself: for that the token cache has its own hold-off.
    pub(super) fn remember(&self, asked: (&Secret, &str), refusal: &Refusal, time: Duration) {
        if refusal.class() == Class::Transient {
            return;
        }
        let hash = self.hasher.hash_one((asked.0.expose(), asked.1));
        self.list()
            .push((hash, refusal.clone(), Instant::now() + time));
    }

    fn list(&self) -> MutexGuard<'_, Vec<(u64, Refusal, Instant)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_for_the_same_question_and_secret_for_a_time() {
        let refusal = Refusal {
            error: "invalid_grant".to_owned(),
            suberror: None,
            code: Some(65_001),
            trace_id: None,
            retry_after: None,
        };
        let (old, new) = (Secret::from("a".to_owned()), Secret::from("b".to_owned()));
        let refusals = Refusals::default();
        refusals.remember((&old, "graph"), &refusal, Duration::from_mins(1));
        assert!(refusals.known(&old, "graph").is_some());
        assert!(refusals.known(&old, "xdr").is_none());
        assert!(refusals.known(&new, "graph").is_none());
        refusals.remember((&old, "xdr"), &refusal, Duration::ZERO);
        assert!(refusals.known(&old, "xdr").is_none());
        let passing = Refusal {
            code: Some(90_033),
            ..refusal
        };
        refusals.remember((&new, "graph"), &passing, Duration::from_mins(1));
        assert!(refusals.known(&new, "graph").is_none());
    }
}
