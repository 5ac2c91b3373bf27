//! The authorize endpoint: who signs in is chosen on its page, or by `sandbox_user` in the address.
//!
//! Entra ID, "Microsoft identity platform and OAuth 2.0 authorization code flow".

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::StatusCode;
use serde_json::json;

use super::aadsts::{self, MALFORMED, Row};
use super::answers::page;
use super::api::Answer;
use super::client_auth;
use super::codes::{Authorized, CODE_LIFETIME, Challenge};
use super::consent::Consent;
use super::entra_errors::EntraError;
use super::pages::Visit;
use super::redirect::Redirect;
use super::scopes::{self, Scope, Several};
use super::state::guid;
use super::token_form::{Form, Version, missing};
use super::user_errors::{BAD_RESPONSE_TYPE, DECLINED, FOREIGN_USER, NO_SESSION};
use super::users::{self, SandboxUser};

/// The page, or the way back to the client.
pub(crate) fn answer(visit: &Visit<'_>, tenant: &str, version: Version) -> Answer {
    let request = match Request::of(visit, tenant, version) {
        Ok(request) => request,
        Err(error) => return visit.refused(&error),
    };
    match request.outcome(visit) {
        Ok(Outcome::SignedIn(user)) => request.code(visit, user),
        Ok(Outcome::Ask) => choice(visit),
        Ok(Outcome::Unknown) => visit.refused(&EntraError::usual(&FOREIGN_USER)),
        Err(error) => back_with_error(visit, &request.redirect, &error),
    }
}

/// Tells the client what is wrong.
pub(crate) fn back_with_error(
    visit: &Visit<'_>,
    redirect: &Redirect,
    error: &EntraError,
) -> Answer {
    let description = visit.caller.describe(error, &visit.state.settings());
    redirect.with(&[
        ("error", error.row.error),
        ("error_description", &description),
    ])
}

/// The error that `sandbox_error` in the address asks for; `sandbox_aadsts` gives it a number.
pub(crate) fn scripted(query: &Form) -> Option<EntraError> {
    let word = query.get("sandbox_error")?;
    let row = query
        .get("sandbox_aadsts")
        .and_then(|code| code.parse().ok())
        .and_then(aadsts::row)
        .unwrap_or(&DECLINED);
    let error = aadsts::ERRORS.iter().find(|known| **known == word);
    Some(EntraError::usual(&Row {
        error: error.unwrap_or(&DECLINED.error),
        ..*row
    }))
}

/// A request whose answer may go to the client.
struct Request {
    redirect: Redirect,
    client_id: String,
    consent: Consent,
    home: bool,
    version: Version,
}

enum Outcome {
    SignedIn(Arc<SandboxUser>),
    /// Show the page.
    Ask,
    /// Such a user there is not.
    Unknown,
}

impl Request {
    fn of(visit: &Visit<'_>, tenant: &str, version: Version) -> Result<Self, EntraError> {
        let options = &visit.state.options;
        let tenant = options.tenant_of_user(tenant)?;
        let asked = visit.query.client_id.as_deref();
        let asked = asked.ok_or_else(|| missing("client_id"))?;
        let client_id = client_auth::known(visit.state, tenant, asked)?.to_owned();
        let consent = Consent::of(&visit.state.settings(), tenant);
        consent.has_app(&client_id, tenant)?;
        Ok(Self {
            redirect: Redirect::of(options, &visit.query)?,
            client_id,
            consent,
            home: tenant == options.tenant,
            version,
        })
    }

    fn outcome(&self, visit: &Visit<'_>) -> Result<Outcome, EntraError> {
        let query = &visit.query;
        if let Some(error) = scripted(query) {
            return Err(error);
        }
        if query.require("response_type")? != "code" {
            return Err(EntraError::usual(&BAD_RESPONSE_TYPE));
        }
        Scope::parse(&self.scope(query)?, Several::Refused)?;
        challenge(query)?;
        let silent = query.get("prompt") == Some("none");
        let name = query
            .get("sandbox_user")
            .or_else(|| query.get("login_hint").filter(|_| silent));
        match name.map(|name| users::named(visit.state, name)) {
            Some(Some(_)) if !self.home => Err(EntraError::usual(&FOREIGN_USER)),
            Some(Some(user)) => self.consent.lets_in().map(|()| Outcome::SignedIn(user)),
            None | Some(None) if silent => Err(EntraError::usual(&NO_SESSION)),
            Some(None) => Ok(Outcome::Unknown),
            None => Ok(Outcome::Ask),
        }
    }

    fn scope(&self, query: &Form) -> Result<String, EntraError> {
        match scopes::asked(self.version, query) {
            Some(scope) => Ok(scope),
            // The token request may name the resource.
            None if self.version == Version::V1 => Ok("openid offline_access".to_owned()),
            None => Err(missing("scope")),
        }
    }

    fn code(&self, visit: &Visit<'_>, user: Arc<SandboxUser>) -> Answer {
        let query = &visit.query;
        let client_info = client_info(&visit.state.options.tenant, &user);
        let code = visit.state.codes.issue(
            Authorized {
                user,
                client_id: self.client_id.clone(),
                redirect_uri: self.redirect.text.clone(),
                scope: self.scope(query).unwrap_or_default(),
                nonce: query.get("nonce").map(str::to_owned),
                challenge: challenge(query).ok().flatten(),
            },
            CODE_LIFETIME,
        );
        let session = guid();
        let mut parameters = vec![("code", code.as_str())];
        if query.get("client_info") == Some("1") {
            parameters.push(("client_info", &client_info));
        }
        parameters.push(("session_state", &session));
        self.redirect.with(&parameters)
    }
}

/// Who signed in, as clients keep it: base64url of a JSON object.
pub(crate) fn client_info(tenant: &str, user: &SandboxUser) -> String {
    BASE64URL.encode(json!({"uid": user.object_id, "utid": tenant}).to_string())
}

fn challenge(query: &Form) -> Result<Option<Challenge>, EntraError> {
    let Some(text) = query.get("code_challenge") else {
        return Ok(None);
    };
    match query.get("code_challenge_method") {
        Some("S256") => Ok(Some(Challenge::Sha256(text.to_owned()))),
        Some("plain") | None => Ok(Some(Challenge::Plain(text.to_owned()))),
        Some(_) => Err(EntraError::usual(&MALFORMED)),
    }
}

fn choice(visit: &Visit<'_>) -> Answer {
    let users = visit.state.options.users.iter();
    let links: String = users
        .map(|user| visit.link(&user.name, &[("sandbox_user", &user.name)]))
        .collect();
    let deny = visit.link("Deny", &[("sandbox_error", "access_denied")]);
    let body = format!("<p>Sign in to the sandbox as</p>{links}{deny}");
    page(StatusCode::OK, "Sign in", &body)
}
