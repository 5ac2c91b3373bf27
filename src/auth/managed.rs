//! Managed identities: tokens from the platform that the proxy runs on.
//!
//! The platform keeps its tokens and can't be made to issue another, so a token that an API refuses is not asked for again
//! (App Service, "How to use managed identities": "Configure target resource").

mod answer;
mod arc;
mod endpoint;
mod error;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, Response, StatusCode, header::AUTHORIZATION};
use moka::{future::Cache, ops::compute::Op};

pub use self::{endpoint::Endpoint, error::PlatformError};
use super::{
    AccessToken, TokenKey,
    entra::Ask,
    error::TokenError,
    identity::{Audience, ManagedIdentity},
    secret::Secret,
};
use crate::upstream::HttpClient;

/// The platform's token endpoint. A cheap handle.
#[derive(Clone, Debug)]
pub struct Platform {
    endpoint: Endpoint,
    http: HttpClient,
    assertions: Cache<ManagedIdentity, Arc<Kept>>,
}

/// The last token that was fetched to be shown to Entra ID, or why there was none.
#[derive(Debug)]
struct Kept {
    outcome: Result<AccessToken, PlatformError>,
    at: Instant,
}

impl Platform {
    /// The platform at `endpoint`. `http` must lead there directly: no HTTP proxy may see these requests.
    #[must_use]
    pub fn new(endpoint: Endpoint, http: HttpClient) -> Self {
        Self {
            endpoint,
            http,
            assertions: Cache::new(KEPT),
        }
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// One token request, with some retries while the platform is busy.
    ///
    /// Claims and earlier refusals are not looked at, as the platform can't be told of them.
    ///
    /// # Errors
    /// When there is no such platform here, or it says no.
    pub async fn fetch(
        &self,
        managed: &ManagedIdentity,
        key: &TokenKey,
        _ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        let fetched = self.patiently(managed, &key.audience).await;
        fetched.map_err(|error| no_token(key, error))
    }

    /// The identity's own token, which an application that trusts it takes for an assertion (Entra ID, "Configure an application to
    /// trust a managed identity"). All customers of a partner share one.
    ///
    /// # Errors
    /// As [`Platform::fetch`].
    pub async fn assertion(
        &self,
        managed: &ManagedIdentity,
        key: &TokenKey,
    ) -> Result<Secret, TokenError> {
        let compute = async |current: Option<moka::Entry<_, Arc<Kept>>>| {
            if current.is_some_and(|entry| entry.value().serves()) {
                return Op::Nop;
            }
            Op::Put(Arc::new(self.kept(managed).await))
        };
        let entry = self.assertions.entry_by_ref(managed);
        let entry = entry.and_compute_with(compute).await.into_entry();
        let kept = entry.ok_or_else(|| no_token(key, self.useless()))?;
        let token = kept.value().outcome.as_ref();
        let token = token.map_err(|error| no_token(key, error.clone()))?;
        text(token).ok_or_else(|| no_token(key, self.useless()))
    }

    async fn kept(&self, managed: &ManagedIdentity) -> Kept {
        let outcome = match EXCHANGE.parse() {
            Ok(audience) => self.patiently(managed, &audience).await,
            Err(_) => Err(self.useless()),
        };
        Kept {
            outcome,
            at: Instant::now(),
        }
    }

    fn useless(&self) -> PlatformError {
        PlatformError::NoToken(self.endpoint.platform())
    }

    async fn patiently(
        &self,
        managed: &ManagedIdentity,
        audience: &Audience,
    ) -> Result<AccessToken, PlatformError> {
        for pause in PAUSES {
            match self.once(managed, audience).await {
                Err(error @ PlatformError::Busy { .. }) if error.retry_after() <= Some(pause) => {
                    tracing::debug!(%error, "asking again soon");
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
        self.once(managed, audience).await
    }

    async fn once(
        &self,
        managed: &ManagedIdentity,
        audience: &Audience,
    ) -> Result<AccessToken, PlatformError> {
        let asked = Instant::now();
        let response = self.exchange((managed, audience), None).await?;
        if let Endpoint::Arc { keys, .. } = &self.endpoint
            && response.status() == StatusCode::UNAUTHORIZED
        {
            let key = arc::answer(response.headers(), keys).await?;
            let response = self.exchange((managed, audience), Some(key)).await?;
            return answer::read(self.endpoint.platform(), response, asked);
        }
        answer::read(self.endpoint.platform(), response, asked)
    }

    async fn exchange(
        &self,
        wanted: (&ManagedIdentity, &Audience),
        key: Option<HeaderValue>,
    ) -> Result<Response<Vec<u8>>, PlatformError> {
        let mut request = self.endpoint.request(wanted.0, wanted.1)?;
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, key);
        }
        let request = request.body(Vec::new()).map_err(|_| self.useless())?;
        let fetched = self.http.fetch(request, ANSWER_LIMIT).await;
        fetched.map_err(|error| PlatformError::Unreachable {
            platform: self.endpoint.platform(),
            source: Arc::new(error),
        })
    }
}

impl Kept {
    /// Can it be used again? A failure, too, for a moment: so many customers make no storm.
    fn serves(&self) -> bool {
        match &self.outcome {
            Ok(token) => token.is_live() && !token.until_renewal().is_zero(),
            Err(_) => self.at.elapsed() < FAILURE_SERVES,
        }
    }
}

fn text(token: &AccessToken) -> Option<Secret> {
    let value = token.header().to_str().ok()?;
    let text = value.strip_prefix("Bearer ")?;
    Some(Secret::from(text.to_owned()))
}

fn no_token(key: &TokenKey, source: PlatformError) -> TokenError {
    TokenError::Platform {
        identity: key.identity.to_string(),
        source,
    }
}

/// What an assertion by a managed identity is for (Entra ID, "Important considerations and restrictions for federated identity
/// credentials").
const EXCHANGE: &str = "api://AzureADTokenExchange";
/// Between the tries of one token request, as in Microsoft's own libraries. What takes longer is left to the hold-off.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
const FAILURE_SERVES: Duration = Duration::from_secs(5);
/// More identities than a configuration has.
const KEPT: u64 = 1000;
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 * 1024;
