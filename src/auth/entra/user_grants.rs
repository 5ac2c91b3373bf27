//! The grants of signed-in users (RFC 6749 §4.1, §4.3, §6; RFC 8628). The app is a public client: it sends no secret.

use std::{
    borrow::Cow,
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use oauth2::{
    AsyncHttpClient, AuthType, AuthUrl, AuthorizationCode, CsrfToken, DeviceAuthorizationResponse,
    DeviceAuthorizationUrl, EndpointNotSet, EndpointSet, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RefreshToken, RequestTokenError, ResourceOwnerPassword, ResourceOwnerUsername,
    Scope, TokenResponse as _, basic::BasicTokenType,
};
use serde::{Deserialize, Serialize};

use super::{Ask, CallError, Entra, refusal, token_error, unavailable};
use crate::auth::{
    AccessToken, TokenKey,
    aadsts::Class,
    error::{Refusal, TokenError},
    identity::User,
    secret::Secret,
};

/// What a grant of a user brings.
#[derive(Debug)]
pub struct Granted {
    /// The token of the audience that was asked for.
    pub token: AccessToken,
    /// The refresh token, which serves all audiences. Absent in an answer to a refresh: the old one stays.
    pub refresh_token: Option<Secret>,
    /// Says who signed in.
    pub id_token: Option<Secret>,
}

/// A sign-in by browser that has begun: what the answer must match, and what redeems it.
#[derive(Debug)]
pub struct Authorizing {
    /// Where the browser is to go. Holds no secret but `state` and `nonce`, which are of no use without the verifier.
    pub url: String,
    /// What the redirect must repeat.
    pub state: String,
    /// What the ID token must repeat.
    pub nonce: String,
    verifier: PkceCodeVerifier,
    redirect: RedirectUrl,
}

/// A sign-in by device code that has begun.
#[derive(Debug)]
pub struct DeviceCode(DeviceAuthorizationResponse<Message>);

impl DeviceCode {
    /// What the person has to do, in Entra ID's words.
    #[must_use]
    pub fn message(&self) -> String {
        let told = &self.0.extra_fields().message;
        match told {
            Some(message) => message.chars().filter(|c| !c.is_control()).collect(),
            None => format!(
                "To sign in, open {} in a browser and enter the code {}",
                self.0.verification_uri().as_str(),
                self.0.user_code().secret()
            ),
        }
    }
}

impl Entra {
    /// Begins a sign-in by browser: authorization code with PKCE (RFC 7636), `state` and `nonce`.
    ///
    /// # Errors
    /// When the URL can't be formed.
    pub fn authorize(
        &self,
        user: &User,
        key: &TokenKey,
        redirect_uri: String,
    ) -> Result<Authorizing, TokenError> {
        let wrong = |_| unavailable(key, "its sign-in URL can't be formed");
        let url = AuthUrl::new(self.endpoint(key, "authorize")).map_err(wrong)?;
        let redirect = RedirectUrl::new(redirect_uri).map_err(wrong)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let nonce = CsrfToken::new_random().into_secret();
        let (url, state) = self
            .oauth(user, key)?
            .set_auth_uri(url)
            .authorize_url(CsrfToken::new_random)
            .add_scopes(scopes(key))
            .set_pkce_challenge(challenge)
            .set_redirect_uri(Cow::Borrowed(&redirect))
            .add_extra_param("nonce", nonce.as_str())
            .add_extra_param("response_mode", "query")
            .add_extra_param("prompt", "select_account")
            .url();
        Ok(Authorizing {
            url: url.into(),
            state: state.into_secret(),
            nonce,
            verifier,
            redirect,
        })
    }

    /// Redeems the code that the redirect brought.
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn redeem(
        &self,
        user: &User,
        key: &TokenKey,
        (code, begun): (&str, Authorizing),
    ) -> Result<Granted, TokenError> {
        let asked = Instant::now();
        let answer = self
            .oauth(user, key)?
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(begun.verifier)
            .set_redirect_uri(Cow::Owned(begun.redirect))
            .add_extra_param("scope", scope(key))
            .request_async(self)
            .await
            .map_err(|error| token_error(key, error))?;
        granted(&answer, key, (asked, 0))
    }

    /// Gets a token with the refresh token: for any audience, whichever it was issued for.
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn refresh(
        &self,
        user: &User,
        key: &TokenKey,
        (refresh_token, ask): (&Secret, Ask<'_>),
    ) -> Result<Granted, TokenError> {
        let asked = Instant::now();
        let refresh_token = RefreshToken::new(refresh_token.expose().to_owned());
        let client = self.oauth(user, key)?;
        let mut request = client
            .exchange_refresh_token(&refresh_token)
            .add_scopes([key.audience.scope(), OFFLINE.to_owned()].map(Scope::new));
        if let Some(claims) = ask.claims {
            request = request.add_extra_param("claims", claims);
        }
        let answer = request
            .request_async(self)
            .await
            .map_err(|error| token_error(key, error))?;
        granted(&answer, key, (asked, ask.refreshes))
    }

    /// Signs in with the password itself.
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn password(
        &self,
        user: &User,
        key: &TokenKey,
        (username, password): (&str, &Secret),
    ) -> Result<Granted, TokenError> {
        let asked = Instant::now();
        let answer = self
            .oauth(user, key)?
            .exchange_password(
                &ResourceOwnerUsername::new(username.to_owned()),
                &ResourceOwnerPassword::new(password.expose().to_owned()),
            )
            .add_scopes(scopes(key))
            .request_async(self)
            .await
            .map_err(|error| token_error(key, error))?;
        granted(&answer, key, (asked, 0))
    }

    /// Begins a sign-in by device code.
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn device_code(&self, user: &User, key: &TokenKey) -> Result<DeviceCode, TokenError> {
        let url = DeviceAuthorizationUrl::new(self.endpoint(key, "devicecode"))
            .map_err(|_| unavailable(key, "its device code URL can't be formed"))?;
        self.oauth(user, key)?
            .set_device_authorization_url(url)
            .exchange_device_code()
            .add_scopes(scopes(key))
            .request_async(self)
            .await
            .map(DeviceCode)
            .map_err(|error| token_error(key, error))
    }

    /// Asks, as often as Entra ID allows, until the person has signed in, has declined, or the code has ended.
    ///
    /// # Errors
    /// When Entra ID says no. What fails on the way is asked again, more slowly.
    pub async fn poll(
        &self,
        user: &User,
        key: &TokenKey,
        code: &DeviceCode,
    ) -> Result<Granted, TokenError> {
        let polling = Polling {
            entra: self,
            refusal: Mutex::default(),
        };
        // Nobody can have signed in yet.
        tokio::time::sleep(code.0.interval()).await;
        let answer = self
            .oauth(user, key)?
            .exchange_device_access_token(&code.0)
            .set_max_backoff_interval(Duration::from_mins(1))
            .request_async(&polling, pause, None)
            .await;
        // The answer to the last question: the token's life begins no later than that.
        let asked = Instant::now();
        match answer {
            Ok(answer) => granted(&answer, key, (asked, 0)),
            Err(RequestTokenError::ServerResponse(_)) => Err(TokenError::Refused {
                identity: key.identity.to_string(),
                refusal: polling.refusal().unwrap_or_else(expired),
            }),
            Err(_) => Err(unavailable(key, "its answer is not a token response")),
        }
    }

    fn oauth(&self, user: &User, key: &TokenKey) -> Result<UserOAuth, TokenError> {
        let id = oauth2::ClientId::new(user.client_id.as_str().to_owned());
        Ok(oauth2::Client::new(id)
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.token_url(key)?))
    }

    fn endpoint(&self, key: &TokenKey, name: &str) -> String {
        format!("{}/{}/oauth2/v2.0/{name}", self.login, key.tenant)
    }
}

/// A sandbox may have no interval at all; a server must not be asked without a pause.
async fn pause(interval: Duration) {
    tokio::time::sleep(interval.max(SHORTEST_INTERVAL)).await;
}

/// While a device code is polled, `oauth2` has to see what is no failure yet, and takes any error for a passing one.
struct Polling<'e> {
    entra: &'e Entra,
    /// Why Entra ID said no at last: `oauth2` forgets the number.
    refusal: Mutex<Option<Refusal>>,
}

impl Polling<'_> {
    fn refusal(&self) -> Option<Refusal> {
        let refusal = self.refusal.lock();
        refusal.unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<'c> AsyncHttpClient<'c> for Polling<'_> {
    type Error = CallError;
    type Future =
        Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async {
            let response = self.entra.http.fetch(request, super::ANSWER_LIMIT).await?;
            match refusal(&response) {
                _ if response.status() == StatusCode::OK => Ok(response),
                Some(CallError::Refused(refusal)) if refusal.class() != Class::Transient => {
                    let mut last = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
                    *last = Some(refusal);
                    drop(last);
                    Ok(response)
                }
                Some(error) => Err(error),
                None => super::told_apart(response),
            }
        })
    }
}

/// `oauth2` saw the end of the code's life before Entra ID said so.
fn expired() -> Refusal {
    Refusal {
        error: "expired_token".to_owned(),
        suberror: None,
        code: None,
        trace_id: None,
        retry_after: None,
    }
}

fn granted(
    answer: &UserAnswer,
    key: &TokenKey,
    (asked, refreshes): (Instant, u32),
) -> Result<Granted, TokenError> {
    let extra = answer.extra_fields();
    let life = answer.expires_in().filter(|life| !life.is_zero());
    let token = life.and_then(|life| {
        let refresh_in = extra.refresh_in.map(Duration::from_secs);
        AccessToken::new(answer.access_token().secret(), life, refresh_in, refreshes)
    });
    let token = token
        .map(|token| token.asked_at(asked))
        .filter(AccessToken::is_live)
        .ok_or_else(|| unavailable(key, "its answer holds no usable token"))?;
    let refresh_token = answer.refresh_token().map(RefreshToken::secret);
    Ok(Granted {
        token,
        refresh_token: refresh_token.map(|text| text.clone().into()),
        id_token: extra.id_token.as_ref().map(|text| text.0.clone().into()),
    })
}

/// All that a sign-in needs, and every permission for one API that the app was granted. (`.default` can't be combined with single
/// permissions, but with these.)
fn scopes(key: &TokenKey) -> impl Iterator<Item = Scope> {
    let wanted = [
        "openid".to_owned(),
        "profile".to_owned(),
        OFFLINE.to_owned(),
        key.audience.scope(),
    ];
    wanted.into_iter().map(Scope::new)
}

fn scope(key: &TokenKey) -> String {
    let wanted: Vec<String> = scopes(key).map(|scope| scope.to_string()).collect();
    wanted.join(" ")
}

type UserOAuth = oauth2::Client<
    oauth2::basic::BasicErrorResponse,
    UserAnswer,
    oauth2::basic::BasicTokenIntrospectionResponse,
    oauth2::StandardRevocableToken,
    oauth2::basic::BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;
type UserAnswer = oauth2::StandardTokenResponse<UserExtra, BasicTokenType>;

/// The fields of a user's token answer that RFC 6749 doesn't have.
#[derive(Debug, Deserialize, Serialize)]
struct UserExtra {
    refresh_in: Option<u64>,
    id_token: Option<Hidden>,
}

impl oauth2::ExtraTokenFields for UserExtra {}

/// A text that no `Debug` shows.
#[derive(Deserialize, Serialize)]
struct Hidden(String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hidden")
    }
}

/// What Entra ID tells the person beside RFC 8628's fields.
#[derive(Debug, Deserialize, Serialize)]
struct Message {
    message: Option<String>,
}

impl oauth2::ExtraDeviceAuthorizationFields for Message {}

const OFFLINE: &str = "offline_access";
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
