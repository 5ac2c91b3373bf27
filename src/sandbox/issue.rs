//! Who gets which token: the way from a token request to its grant, and the grant of applications.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::cloud::Family;

use super::aadsts;
use super::claims::Claims;
use super::client_auth::authenticate;
use super::consent::Consent;
use super::delegated::Request;
use super::entra_errors::EntraError;
use super::family;
use super::roles;
use super::state::State;
use super::token_form::{CLIENT_CREDENTIALS, DEVICE_CODE, DEVICE_CODE_V1, Endpoint, Form, Version};
use super::tokens::Order;
use super::user_errors::UNKNOWN_USER;

/// A new token and what the answer says about it.
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) resource: String,
    pub(crate) lifetime: Duration,
    /// What the answer to a user has besides.
    pub(crate) more: Map<String, Value>,
}

impl Issued {
    pub(crate) fn body(self, version: Version, with_refresh_in: bool) -> Value {
        let number = |number: u64| match version {
            Version::V2 => Value::from(number),
            Version::V1 => Value::from(number.to_string()),
        };
        let seconds = self.lifetime.as_secs();
        let mut body = Map::new();
        body.insert("token_type".into(), "Bearer".into());
        body.insert("expires_in".into(), number(seconds));
        body.insert("ext_expires_in".into(), number(seconds));
        if with_refresh_in {
            body.insert("refresh_in".into(), number(seconds / 2));
        }
        if version == Version::V1 {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |now| now.as_secs());
            body.insert("expires_on".into(), number(now + seconds));
            body.insert("not_before".into(), number(now.saturating_sub(300)));
            body.insert("resource".into(), self.resource.into());
        }
        body.insert("access_token".into(), self.token.into());
        body.extend(self.more);
        Value::Object(body)
    }
}

/// Answers a token request.
pub(crate) fn issue(state: &State, endpoint: &Endpoint, form: &Form) -> Result<Issued, EntraError> {
    let tenant = tenant(state, endpoint, form)?;
    let grant = form.require("grant_type")?;
    if !GRANTS.contains(&grant) {
        return Err(EntraError::usual(&aadsts::BAD_GRANT_TYPE));
    }
    let settings = state.settings();
    let consent = Consent::of(&settings, tenant);
    consent.has_app(form.client_id.as_deref().unwrap_or_default(), tenant)?;
    let client = authenticate(state, endpoint, tenant, form)?;
    consent.lets_in()?;
    let request = Request {
        state,
        settings: &settings,
        endpoint,
        form,
        client,
        claims: Claims::read(form.get("claims"))?,
    };
    match grant {
        CLIENT_CREDENTIALS => application(request, tenant),
        _ if tenant != state.options.tenant => Err(EntraError::usual(&UNKNOWN_USER)),
        "authorization_code" => request.code(),
        "refresh_token" => request.refresh(),
        "password" => request.password(),
        _ => request.device(),
    }
}

/// An application has no tenant of its own, so an alias doesn't say which is meant; a user has one.
fn tenant<'a>(state: &'a State, endpoint: &Endpoint, form: &Form) -> Result<&'a str, EntraError> {
    let options = &state.options;
    if form.get("grant_type") != Some(CLIENT_CREDENTIALS) {
        return options.tenant_of_user(&endpoint.tenant);
    }
    let known = options.tenant_named(&endpoint.tenant);
    known.ok_or_else(|| EntraError::unknown_tenant(&endpoint.tenant))
}

/// `client_credentials`.
fn application(request: Request<'_>, tenant: &str) -> Result<Issued, EntraError> {
    let Request {
        state, settings, ..
    } = request;
    let (resource, family) = resource(request.endpoint, request.form)?;
    let lifetime = settings.token_lifetime.pick();
    let token = state.tokens.issue(Order {
        family,
        audience: resource.clone(),
        tenant: tenant.to_owned(),
        client_id: request.client.id,
        roles: settings.roles.clone().unwrap_or_else(|| roles::all(family)),
        user: None,
        proof: request.client.proof,
        claims: request.claims,
        lifetime,
        opaque: settings.opaque_tokens,
    });
    Ok(Issued {
        token,
        resource,
        lifetime,
        more: Map::new(),
    })
}

/// The one resource a token is asked for.
fn resource(endpoint: &Endpoint, form: &Form) -> Result<(String, Family), EntraError> {
    let resource = match endpoint.version {
        Version::V1 => form.require("resource")?,
        Version::V2 => {
            let scope = form.require("scope")?;
            if scope.split_ascii_whitespace().count() != 1 {
                let text = format!(
                    "The provided value for the input parameter 'scope' is not valid. The scope '{scope}' \
                                    must name one resource."
                );
                return Err(EntraError::saying(&aadsts::BAD_SCOPE, text));
            }
            scope.trim().strip_suffix("/.default").ok_or_else(|| {
                let text = format!(
                    "The provided value for scope {scope} is not valid. Client credential flows must have a scope \
                     value with /.default suffixed to the resource identifier (application ID URI)."
                );
                EntraError::saying(&aadsts::SCOPE_NOT_DEFAULT, text)
            })?
        }
    };
    let family = family::of_resource(resource).ok_or_else(|| unknown_resource(resource))?;
    Ok((resource.to_owned(), family))
}

pub(crate) fn unknown_resource(resource: &str) -> EntraError {
    let text = format!(
        "The resource principal named {resource} was not found in the tenant. This can happen if the application has not \
         been installed by the administrator of the tenant."
    );
    EntraError::saying(&aadsts::UNKNOWN_RESOURCE, text)
}

const GRANTS: &[&str] = &[
    CLIENT_CREDENTIALS,
    "authorization_code",
    "refresh_token",
    "password",
    DEVICE_CODE,
    DEVICE_CODE_V1,
];
