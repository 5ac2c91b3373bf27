//! The grants of signed-in users (RFC 6749 §4.1, §4.3, §6). The app is a public client: it sends no secret.

use std::{borrow::Cow, fmt, time::Instant};

use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, CsrfToken, EndpointNotSet, EndpointSet,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken, ResourceOwnerPassword,
    ResourceOwnerUsername, Scope, TokenResponse as _, basic::BasicTokenType,
};
use serde::{Deserialize, Serialize};

use super::{Ask, Entra, NO_TOKEN, to_token, token_error, unavailable};
use crate::auth::{AccessToken, TokenKey, error::TokenError, identity::User, secret::Secret};

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
        (username, password, ask): (&str, &Secret, Ask<'_>),
    ) -> Result<Granted, TokenError> {
        let asked = Instant::now();
        let username = ResourceOwnerUsername::new(username.to_owned());
        let password = ResourceOwnerPassword::new(password.expose().to_owned());
        let client = self.oauth(user, key)?;
        let mut request = client
            .exchange_password(&username, &password)
            .add_scopes(scopes(key));
        if let Some(claims) = ask.claims {
            request = request.add_extra_param("claims", claims);
        }
        let answer = request
            .request_async(self)
            .await
            .map_err(|error| token_error(key, error))?;
        granted(&answer, key, (asked, ask.refreshes))
    }

    pub(super) fn oauth(&self, user: &User, key: &TokenKey) -> Result<UserOAuth, TokenError> {
        let id = oauth2::ClientId::new(user.client_id.as_str().to_owned());
        Ok(oauth2::Client::new(id)
            .set_auth_type(AuthType::RequestBody)
            .set_token_uri(self.token_url(key)?))
    }

    pub(super) fn endpoint(&self, key: &TokenKey, name: &str) -> String {
        format!("{}/{}/oauth2/v2.0/{name}", self.login, key.tenant)
    }
}

pub(super) fn granted(
    answer: &UserAnswer,
    key: &TokenKey,
    asked: (Instant, u32),
) -> Result<Granted, TokenError> {
    let extra = answer.extra_fields();
    let token =
        to_token(answer, extra.refresh_in, asked).ok_or_else(|| unavailable(key, NO_TOKEN))?;
    let refresh_token = answer.refresh_token().map(RefreshToken::secret);
    Ok(Granted {
        token,
        refresh_token: refresh_token.map(|text| text.clone().into()),
        id_token: extra.id_token.as_ref().map(|text| text.0.clone().into()),
    })
}

/// All that a sign-in needs, and every permission for one API that the app was granted. (`.default` can't be combined with single
/// permissions, but with these.)
pub(super) fn scopes(key: &TokenKey) -> impl Iterator<Item = Scope> {
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

pub(super) type UserOAuth = oauth2::Client<
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
pub(super) type UserAnswer = oauth2::StandardTokenResponse<UserExtra, BasicTokenType>;

/// The fields of a user's token answer that RFC 6749 doesn't have.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct UserExtra {
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

const OFFLINE: &str = "offline_access";
