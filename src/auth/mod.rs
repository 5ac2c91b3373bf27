//! Tokens: who the proxy acts as, what it shows upstream, and how long.
//!
//! [`Tokens`] keeps one entry for each [`TokenKey`]. A key is all that a token is good for, so a token can't be used for
//! another identity, tenant or audience. [`source`] fetches and knows nothing of this cache.

pub mod aadsts;
pub mod assertion_file;
pub mod certificate;
pub mod challenge;
pub mod claims;
pub mod consent;
pub mod credential;
pub mod entra;
mod entry;
pub mod error;
pub mod identity;
pub mod keyring;
pub mod managed;
pub mod secret;
pub mod source;
pub mod token;
mod turns;
pub mod user;

use std::{pin::Pin, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use moka::{
    future::Cache,
    ops::compute::{CompResult, Op},
    policy::EvictionPolicy,
};
use tokio::{runtime::Handle, sync::Semaphore};

pub use self::token::AccessToken;
use self::{
    consent::Customer,
    entra::Ask,
    entry::{Entry, Failure, Need},
    error::{NoToken, TokenError},
    identity::{Audience, Identity, Kind, TenantId},
    source::Source,
    turns::{Turn, Turns},
};

/// What a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenKey {
    /// The identity's name in the configuration.
    pub identity: Arc<str>,
    /// The directory that issues the token.
    pub tenant: TenantId,
    /// The API that accepts it.
    pub audience: Audience,
}

/// The token cache: one fetch however many wait, renewal ahead, and failures that are remembered.
///
/// A cheap handle; clones share the cache. Fetches and renewals run on the runtime that [`Tokens::new`] was given, so
/// neither a client that hangs up nor a worker that stops can break one off.
#[derive(Clone, Debug)]
pub struct Tokens {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    entries: Entries,
    turns: Arc<Turns>,
    /// One permit for each token request under way.
    fetching: Semaphore,
    runtime: Handle,
}

impl Tokens {
    /// A cache over `source` whose fetches run on `runtime`.
    #[must_use]
    pub fn new(source: Source, runtime: Handle) -> Self {
        let entries = cache(CAPACITY);
        Self {
            shared: Arc::new(Shared {
                source,
                entries,
                turns: Arc::default(),
                fetching: Semaphore::new(MOST_FETCHES),
                runtime,
            }),
        }
    }

    /// The token for `key`: at once when there is a live one, else after one fetch that all who ask share.
    ///
    /// Cancel-safe: the fetch goes on without its asker, for the next one.
    ///
    /// # Errors
    /// The failure of the fetch, or of the last one while its hold-off lasts.
    pub async fn get(
        &self,
        identity: &Arc<Identity>,
        key: &TokenKey,
    ) -> Result<Arc<AccessToken>, NoToken> {
        let entry = self.shared.entries.get(key).await;
        if let Some(known) = entry.as_ref().and_then(|entry| entry.known()) {
            return known;
        }
        match entry.as_ref().and_then(|entry| entry.failure.as_ref()) {
            Some(failure) if failure.is_transient() => self.retry(identity, key, failure).await,
            Some(_) | None => self.fetch(identity, key).await,
        }
    }

    /// A token other than the rejected one.
    ///
    /// `Ok(None)` when it is too early to ask again: a missing licence is a `401` too, and no new token cures it. So each
    /// refusal in a row lengthens the time that the next token must have lived. Also when none comes soon in an outage.
    ///
    /// # Errors
    /// The failure of the fetch, or of the last one while its hold-off lasts, though the rejected token may serve elsewhere.
    pub async fn refresh(
        &self,
        identity: &Arc<Identity>,
        key: &TokenKey,
        rejected: Rejected,
    ) -> Result<Option<Arc<AccessToken>>, NoToken> {
        let old = Arc::clone(&rejected.token);
        // The platform would give the same token again.
        if matches!(identity.kind, Kind::Managed { .. }) && old.is_live() {
            return Ok(None);
        }
        let entry = self.shared.entries.get(key).await;
        let known = entry.and_then(|entry| entry.failure.as_ref().map(Failure::is_transient));
        let patience = if known == Some(true) {
            BRIEF
        } else {
            Duration::MAX
        };
        let update = self.update(identity, key, Need::Unrejected(rejected), None);
        let Ok(entry) = tokio::time::timeout(patience, update).await else {
            return Ok(None);
        };
        let entry = entry?;
        match entry.live() {
            Some(token) if !Arc::ptr_eq(token, &old) => {
                token.note_use();
                Ok(Some(Arc::clone(token)))
            }
            _ => entry.failed().map_or(Ok(None), Err),
        }
    }

    /// A fetch in an outage, which may take as long as the last: who waits is told of that one soon, and the first who asked lets it go
    /// on for those who come later.
    async fn retry(
        &self,
        identity: &Arc<Identity>,
        key: &TokenKey,
        failure: &Failure,
    ) -> Result<Arc<AccessToken>, NoToken> {
        if let Ok(turn) = Arc::clone(&failure.turn).try_acquire_owned() {
            let (tokens, identity, key) = (self.clone(), Arc::clone(identity), key.clone());
            self.shared.runtime.spawn(async move {
                // How it ended stands in the cache.
                let _ = tokens.update(&identity, &key, Need::Any, None).await;
                drop(turn);
            });
        }
        let ended = tokio::time::timeout(BRIEF, failure.turn.acquire()).await;
        if ended.is_ok()
            && let Some(entry) = self.shared.entries.get(key).await
            && let Some(known) = entry.known()
        {
            return known;
        }
        Err(failure.to_answer())
    }

    /// The first who comes fetches; the others wait in a row, and find it done.
    async fn fetch(
        &self,
        identity: &Arc<Identity>,
        key: &TokenKey,
    ) -> Result<Arc<AccessToken>, NoToken> {
        let turn = self.shared.turns.take(key).await;
        let entry = self.shared.entries.get(key).await;
        if let Some(known) = entry.and_then(|entry| entry.known()) {
            return known;
        }
        let entry = self.update(identity, key, Need::Any, Some(turn)).await?;
        entry.known().unwrap_or_else(|| {
            // A short hold-off may be over already.
            let failure = entry.failure.as_ref().map(Failure::to_answer);
            Err(failure.unwrap_or_else(|| {
                Failure::new(TokenError::stopped(&key.identity), None).to_answer()
            }))
        })
    }

    /// Runs the fetch as a task of its own, which keeps `turn`; the cache's lock on the key lets one run at a time.
    async fn update(
        &self,
        identity: &Arc<Identity>,
        key: &TokenKey,
        need: Need,
        turn: Option<Turn>,
    ) -> Result<Arc<Entry>, NoToken> {
        let (shared, identity) = (Arc::clone(&self.shared), Arc::clone(identity));
        let owned = key.clone();
        let update = async move {
            let entry = shared.update(&identity, &owned, &need).await;
            drop(turn);
            Ok(entry)
        };
        contained(&self.shared.runtime, &key.identity, Box::pin(update))
            .await
            .map_err(|error| Failure::new(error, None).to_answer())
    }
}

/// What a task of the cache does; boxed, so that its type doesn't grow into that of every request.
type Work<T> = Pin<Box<dyn Future<Output = Result<T, TokenError>> + Send>>;

/// Runs work on a runtime, as a task that outlives who waits for it. A panic in it becomes an error that says so.
async fn contained<T: Send + 'static>(
    runtime: &Handle,
    identity: &str,
    work: Work<T>,
) -> Result<T, TokenError> {
    match runtime.spawn(work).await {
        Ok(result) => result,
        Err(ended) if ended.is_panic() => Err(TokenError::broken(identity)),
        Err(_) => Err(TokenError::stopped(identity)),
    }
}

/// A token that upstream answered with `401`.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The token.
    pub token: Arc<AccessToken>,
    /// What the next one must meet, if upstream said so: see [`challenge::claims`].
    pub claims: Option<String>,
}

impl Shared {
    /// Replaces the entry by the outcome of a fetch, if `need` still asks for one.
    async fn update(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
        key: &TokenKey,
        need: &Need,
    ) -> Arc<Entry> {
        let compute = async |current: Option<moka::Entry<TokenKey, Arc<Entry>>>| {
            let current = current.map(moka::Entry::into_value).unwrap_or_default();
            if current.settles(need) {
                return Op::Nop;
            }
            Op::Put(Arc::new(self.next(identity, key, (&current, need)).await))
        };
        let result = self
            .entries
            .entry_by_ref(key)
            .and_compute_with(compute)
            .await;
        match result {
            CompResult::Inserted(entry)
            | CompResult::ReplacedWith(entry)
            | CompResult::Unchanged(entry) => entry.into_value(),
            CompResult::Removed(_) | CompResult::StillNone(_) => Arc::default(),
        }
    }

    /// One fetch, and the entry that follows from it. A live token outlasts a failed renewal.
    async fn next(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
        key: &TokenKey,
        was: (&Entry, &Need),
    ) -> Entry {
        let (current, need) = was;
        match self.fetch(identity, key, need).await {
            Ok(token) => {
                let after_failing_s = current.failure.as_ref().map(Failure::lasted_s);
                tracing::info!(identity = %key.identity, tenant = %key.tenant, audience = %key.audience,
                    life_s = token.life().as_secs(), after_failing_s, "token fetched");
                let token = Arc::new(token);
                self.runtime
                    .spawn(Arc::clone(self).renewal(identity, key, &token));
                Entry {
                    token: Some(token),
                    failure: None,
                }
            }
            Err(error) => {
                let customer = Customer::of(identity, key, (self.source.login(), &error));
                let failure = Failure::new(error, current.failure.as_ref()).of(customer);
                failure.report(key, current.live().is_some());
                // A user whose sign-in has ended is told so, not what upstream says of their old token. One whose sign-in is good, but
                // not for what was challenged, keeps the token for everything else.
                let is_over = matches!(need, Need::Unrejected(_))
                    && matches!(*failure.error, TokenError::NotSignedIn { .. });
                Entry {
                    token: current.token.clone().filter(|_| !is_over),
                    failure: Some(failure),
                }
            }
        }
    }

    /// One token request.
    async fn fetch(
        self: &Arc<Self>,
        identity: &Arc<Identity>,
        key: &TokenKey,
        need: &Need,
    ) -> Result<AccessToken, TokenError> {
        let (shared, identity, key) = (Arc::clone(self), Arc::clone(identity), key.clone());
        let name = Arc::clone(&key.identity);
        let (refreshes, claims) = need.ask();
        let request = async move {
            // Users are few, and each has a lock of their own.
            let _permit = if matches!(identity.kind, Kind::User { .. }) {
                None
            } else {
                shared.fetching.acquire().await.ok()
            };
            let claims = claims.as_deref();
            let ask = Ask { refreshes, claims };
            shared.source.fetch(&identity, &key, ask).await
        };
        contained(&self.runtime, &name, Box::pin(request)).await
    }

    /// Boxed, because a renewal leads to the next one.
    fn renewal(
        self: Arc<Self>,
        identity: &Arc<Identity>,
        key: &TokenKey,
        token: &Arc<AccessToken>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let weak = Arc::downgrade(token);
        let (identity, key, until) = (Arc::clone(identity), key.clone(), token.until_renewal());
        Box::pin(async move {
            tokio::time::sleep(until).await;
            // It may have been replaced long ago.
            if let Some(token) = weak.upgrade() {
                self.renew(identity, key, token).await;
            }
        })
    }

    /// Replaces a token whose time has come while it still serves.
    ///
    /// A token that no request has used since it was fetched is left to end, until one does.
    async fn renew(
        self: Arc<Self>,
        identity: Arc<Identity>,
        key: TokenKey,
        token: Arc<AccessToken>,
    ) {
        if tokio::time::timeout(token.until_end(), token.used())
            .await
            .is_err()
        {
            return;
        }
        let need = Need::Newer(Arc::clone(&token));
        while token.is_live() && self.holds(&key, &token).await {
            let entry = self.update(&identity, &key, &need).await;
            let Some(failure) = entry.failure.as_ref() else {
                return;
            };
            // Nobody waits for a user who has to sign in: the old token serves.
            let rest = failure.remaining().max(LEAST_REST);
            tokio::time::sleep(rest.min(token.until_end())).await;
        }
    }

    async fn holds(&self, key: &TokenKey, token: &Arc<AccessToken>) -> bool {
        let entry = self.entries.get(key).await;
        entry
            .and_then(|entry| entry.token.clone())
            .is_some_and(|held| Arc::ptr_eq(&held, token))
    }
}

/// The keys are the configuration's, so nobody can choose them such that they collide.
type Entries = Cache<TokenKey, Arc<Entry>, RandomState>;

/// Where entries are kept: those that were used last. (moka's usual policy turns newcomers away when it is full, and with them the
/// memory of a refusal.)
fn cache(capacity: u64) -> Entries {
    Cache::builder()
        .max_capacity(capacity)
        .eviction_policy(EvictionPolicy::lru())
        .time_to_idle(IDLE)
        .build_with_hasher(RandomState::default())
}

/// How long a request waits for a fetch when the last one failed.
const BRIEF: Duration = Duration::from_secs(2);
/// From one renewal that failed to the next, at least.
const LEAST_REST: Duration = Duration::from_secs(5);
/// More keys than this, and those that were idle longest are dropped. An entry is some KiB.
const CAPACITY: u64 = 20_000;
/// How many token requests may be under way at a time, for however many customers.
const MOST_FETCHES: usize = 64;
/// An entry that nobody asks for is dropped after this time, token and all.
const IDLE: Duration = Duration::from_hours(26);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_cache_keeps_the_newcomer_and_drops_what_was_idle_longest() {
        let key = |number: u32| TokenKey {
            identity: "mssp".into(),
            tenant: format!("00000000-0000-0000-0000-{number:012}")
                .parse()
                .unwrap(),
            audience: "https://graph.microsoft.com".parse().unwrap(),
        };
        let entries = cache(10);
        for number in 0..10 {
            entries.insert(key(number), Arc::default()).await;
        }
        for _ in 0..50 {
            for number in 1..10 {
                assert!(entries.get(&key(number)).await.is_some());
            }
        }
        entries.insert(key(10), Arc::default()).await;
        entries.run_pending_tasks().await;
        assert!(entries.get(&key(10)).await.is_some());
        assert!(entries.get(&key(0)).await.is_none());
        assert_eq!(entries.entry_count(), 10);
    }

    #[tokio::test]
    async fn a_panic_is_called_what_it_is_and_makes_no_storm() {
        let runtime = Handle::current();
        let panicked = contained::<()>(&runtime, "soc", Box::pin(async { panic!("a bug") })).await;
        let error = panicked.unwrap_err();
        assert!(matches!(error, TokenError::Broken { .. }), "{error}");
        assert!(error.hold_off(1) >= Duration::from_secs(5));
        assert!(error.hold_off(4) > error.hold_off(1));
        assert!(error.next_step().contains("bug"));
        assert_eq!(
            contained(&runtime, "soc", Box::pin(async { Ok(1) }))
                .await
                .unwrap(),
            1
        );
    }
}
