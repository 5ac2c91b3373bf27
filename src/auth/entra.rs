//! The token source: asks Entra ID's v2.0 token endpoint, through the proxy's own HTTP client.
//!
//! Knows nothing of caching. Only this module sees the types of `oauth2`.

mod device_grant;
mod user_grants;

use std::{
    borrow::Cow,
    pin::Pin,
    time::{Duration, Instant},
};

use http::{Response, StatusCode};
use oauth2::{
    AsyncHttpClient, AuthType, ClientSecret, RequestTokenError, Scope, TokenResponse as _,
    TokenUrl, basic::BasicTokenType,
};
use serde::Deserialize;

use super::{
    TokenKey,
    aadsts::Class,
    credential::Proof,
    error::{Refusal, TokenError},
    identity::ClientId,
    token::AccessToken,
};
use crate::{origin::Origin, throttle, upstream::HttpClient};

pub use self::{
    device_grant::DeviceCode,
    user_grants::{Authorizing, Granted},
};

/// Fetches tokens for the identities of one cloud.
#[derive(Clone, Debug)]
pub struct Entra {
    login: Origin,
    http: HttpClient,
}

impl Entra {
    /// A source that asks `login` (the cloud's login host) through `http`.
    #[must_use]
    pub fn new(login: Origin, http: HttpClient) -> Self {
        Self { login, http }
    }

    /// The cloud's login host.
    #[must_use]
    pub fn login(&self) -> &Origin {
        &self.login
    }

    /// The token endpoint of a tenant; also the audience of an assertion for it.
    ///
    /// # Errors
    /// When it can't be formed.
    pub fn token_url(&self, key: &TokenKey) -> Result<TokenUrl, TokenError> {
        TokenUrl::new(format!("{}/{}/oauth2/v2.0/token", self.login, key.tenant))
            .map_err(|_| unavailable(key, "its token URL can't be formed"))
    }

    /// Is it worth preparing a request? A credential may cost a program's run or a signature.
    ///
    /// # Errors
    /// When it is known that there is no connection.
    pub fn may_ask(&self, key: &TokenKey) -> Result<(), TokenError> {
        let reached = self.http.may_reach(&self.login);
        reached.map_err(|error| unreachable(key, error))
    }

    /// One token request for an application (RFC 6749 §4.4).
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn client_credentials(
        &self,
        client_id: &ClientId,
        proof: &Proof,
        key: &TokenKey,
        ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        let mut client = OAuth::new(oauth2::ClientId::new(client_id.as_str().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.token_url(key)?);
        if let Proof::Secret(secret) = proof {
            client = client.set_client_secret(ClientSecret::new(secret.expose().to_owned()));
        }
        let asked = Instant::now();
        let mut request = client
            .exchange_client_credentials()
            .add_scope(Scope::new(key.audience.scope()));
        if let Proof::Assertion(assertion) = proof {
            request = request
                .add_extra_param("client_assertion_type", ASSERTION_TYPE)
                .add_extra_param("client_assertion", assertion.expose());
        }
        if let Some(claims) = ask.claims {
            request = request.add_extra_param("claims", claims);
        }
        granted(
            key,
            request.request_async(self).await,
            (asked, ask.refreshes),
        )
    }
}

/// What [`Entra::client_credentials`] makes of an answer of the token endpoint that has just come. Never waits.
///
/// # Errors
/// When it is no token.
pub async fn read_answer(
    key: &TokenKey,
    answer: Response<Vec<u8>>,
) -> Result<AccessToken, TokenError> {
    let endpoint = TokenUrl::new("https://login.invalid".to_owned())
        .map_err(|_| unavailable(key, NO_TOKEN))?;
    let client = OAuth::new(oauth2::ClientId::new(String::new())).set_token_uri(endpoint);
    let call = |_| std::future::ready(told_apart(answer.clone()));
    let read = client.exchange_client_credentials().request_async(&call);
    granted(key, read.await, (Instant::now(), 0))
}

fn granted(
    key: &TokenKey,
    answer: Result<Answer, RequestTokenError<CallError, oauth2::basic::BasicErrorResponse>>,
    asked: (Instant, u32),
) -> Result<AccessToken, TokenError> {
    let answer = answer.map_err(|error| token_error(key, error))?;
    let refresh_in = answer.extra_fields().refresh_in;
    to_token(&answer, refresh_in, asked).ok_or_else(|| unavailable(key, NO_TOKEN))
}

impl<'c> AsyncHttpClient<'c> for Entra {
    type Error = CallError;
    type Future =
        Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async { told_apart(self.http.fetch(request, ANSWER_LIMIT).await?) })
    }
}

/// `oauth2` drops status and headers of a failure, so failures are told apart before it parses.
fn told_apart(response: Response<Vec<u8>>) -> Result<Response<Vec<u8>>, CallError> {
    match response.status() {
        StatusCode::OK if response.body().is_empty() => {
            Err(CallError::Status("an empty answer".to_owned(), None))
        }
        StatusCode::OK => Ok(response),
        status => Err(refusal(&response).unwrap_or_else(|| {
            let reason = match status {
                StatusCode::TOO_MANY_REQUESTS => format!("too many requests (status {status})"),
                _ => format!("status {status}"),
            };
            CallError::Status(reason, throttle::retry_after(response.headers()))
        })),
    }
}

/// What a token request has to know beside identity and key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// Handed to the token, see [`AccessToken::new`].
    pub refreshes: u32,
    /// The claims that upstream's challenge asks for, as JSON.
    pub claims: Option<&'a str>,
}

type OAuth = oauth2::Client<
    oauth2::basic::BasicErrorResponse,
    Answer,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
>;
type Answer = oauth2::StandardTokenResponse<Extra, BasicTokenType>;

/// The fields of a token answer that RFC 6749 doesn't have.
#[derive(Debug, Deserialize, serde::Serialize)]
struct Extra {
    refresh_in: Option<u64>,
}

impl oauth2::ExtraTokenFields for Extra {}

/// Why a call brought no token answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There was no answer.
    #[error("no answer of Entra ID")]
    Http(#[from] crate::error::Error),
    /// It was not a refusal, and says how long to wait.
    #[error("{0}")]
    Status(String, Option<Duration>),
    /// It was a refusal.
    #[error("{0}")]
    Refused(Refusal),
}

/// The error body of the token endpoint. Its `error_description` is not read: it may quote what was sent.
#[derive(Deserialize)]
struct ErrorBody<'a> {
    error: Cow<'a, str>,
    suberror: Option<Box<str>>,
    #[serde(default)]
    error_codes: Option<Vec<u32>>,
    trace_id: Option<String>,
}

fn refusal(response: &Response<Vec<u8>>) -> Option<CallError> {
    let body: ErrorBody<'_> = serde_json::from_slice(response.body()).ok()?;
    let refusal = Refusal {
        error: body.error.into_owned(),
        suberror: body.suberror,
        code: body.error_codes.unwrap_or_default().first().copied(),
        trace_id: body.trace_id,
        retry_after: throttle::retry_after(response.headers()),
    };
    // What an overloaded server answers says nothing of the configuration.
    let overloaded =
        response.status() == StatusCode::TOO_MANY_REQUESTS || response.status().is_server_error();
    (!overloaded || refusal.class() == Class::Transient).then_some(CallError::Refused(refusal))
}

fn token_error(
    key: &TokenKey,
    error: RequestTokenError<CallError, oauth2::basic::BasicErrorResponse>,
) -> TokenError {
    match error {
        RequestTokenError::Request(CallError::Refused(refusal)) => TokenError::Refused {
            identity: key.identity.to_string(),
            refusal,
        },
        RequestTokenError::Request(CallError::Status(reason, retry_after)) => {
            TokenError::Unavailable {
                identity: key.identity.to_string(),
                reason,
                retry_after,
                source: None,
            }
        }
        RequestTokenError::Request(CallError::Http(error)) if error.is_unreachable() => {
            unreachable(key, error)
        }
        RequestTokenError::Request(CallError::Http(error)) => TokenError::Unavailable {
            identity: key.identity.to_string(),
            reason: "there was no whole answer".to_owned(),
            retry_after: None,
            source: Some(error.into()),
        },
        // The parse error's text would quote the answer, which may hold a token.
        RequestTokenError::Parse(..)
        | RequestTokenError::ServerResponse(_)
        | RequestTokenError::Other(_) => unavailable(key, "its answer is not a token response"),
    }
}

/// The token of an answer, its life counted from when it was asked for; `None` if it has no life left.
fn to_token<F: oauth2::ExtraTokenFields>(
    answer: &oauth2::StandardTokenResponse<F, BasicTokenType>,
    refresh_in: Option<u64>,
    (asked, refreshes): (Instant, u32),
) -> Option<AccessToken> {
    let life = answer.expires_in().filter(|life| !life.is_zero())?;
    let refresh_in = refresh_in.map(Duration::from_secs);
    AccessToken::new(answer.access_token().secret(), life, refresh_in, refreshes)
        .map(|token| token.asked_at(asked))
        .filter(AccessToken::is_live)
}

fn unreachable(key: &TokenKey, error: crate::error::Error) -> TokenError {
    TokenError::Unreachable {
        identity: key.identity.to_string(),
        source: error.into(),
    }
}

pub(super) fn unavailable(key: &TokenKey, reason: &str) -> TokenError {
    TokenError::Unavailable {
        identity: key.identity.to_string(),
        reason: reason.to_owned(),
        retry_after: None,
        source: None,
    }
}

const NO_TOKEN: &str = "its answer holds no usable token";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The largest answer that is read, in bytes. A token is a few KiB; an endless answer must not fill the memory.
const ANSWER_LIMIT: usize = 256 * 1024;
