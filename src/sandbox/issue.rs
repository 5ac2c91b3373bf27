//! The client credentials grant: who gets which token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::cloud::Family;

use super::aadsts;
use super::entra_errors::EntraError;
use super::family;
use super::roles;
use super::state::State;
use super::token_form::{Endpoint, Form, Version, missing};
use super::tokens::Order;

/// A new token and what the answer says about it.
pub(crate) struct Issued {
    token: String,
    resource: String,
    lifetime: Duration,
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
        Value::Object(body)
    }
}

pub(crate) fn issue(state: &State, endpoint: &Endpoint, form: &Form) -> Result<Issued, EntraError> {
    let options = &state.options;
    let tenant = options.tenant_named(&endpoint.tenant).ok_or_else(|| {
        let text = format!(
            "Tenant '{}' not found. Check that you have the right tenant id and cloud.",
            endpoint.tenant
        );
        EntraError::saying(&aadsts::UNKNOWN_TENANT, text)
    })?;
    if form.require("grant_type")? != "client_credentials" {
        return Err(EntraError::usual(&aadsts::BAD_GRANT_TYPE));
    }
    authenticate(state, tenant, form)?;
    let (resource, family) = resource(endpoint, tenant, form)?;
    let settings = state.settings();
    let lifetime = settings.token_lifetime.pick();
    let token = state.tokens.issue(Order {
        family,
        audience: resource.clone(),
        tenant: tenant.to_owned(),
        client_id: options.client_id.clone(),
        roles: settings.roles.clone().unwrap_or_else(|| roles::all(family)),
        lifetime,
        opaque: settings.opaque_tokens,
    });
    Ok(Issued {
        token,
        resource,
        lifetime,
    })
}

fn authenticate(state: &State, tenant: &str, form: &Form) -> Result<(), EntraError> {
    let client_id = form
        .client_id
        .as_deref()
        .ok_or_else(|| missing("client_id"))?;
    if !client_id.eq_ignore_ascii_case(&state.options.client_id) {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        );
        return Err(EntraError::saying(&aadsts::UNKNOWN_APP, text));
    }
    match &form.secret {
        Some(secret) if *secret == state.options.client_secret => Ok(()),
        Some(_) => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client_id}'."
            );
            Err(EntraError::saying(&aadsts::WRONG_SECRET, text))
        }
        // No certificate is registered here, so no assertion can be right.
        None if form.get("client_assertion").is_some() => {
            Err(EntraError::usual(&aadsts::BAD_ASSERTION))
        }
        None => Err(EntraError::usual(&aadsts::NO_CREDENTIAL)),
    }
}

/// The one resource a token is asked for.
fn resource(
    endpoint: &Endpoint,
    tenant: &str,
    form: &Form,
) -> Result<(String, Family), EntraError> {
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
    let family = family::of_resource(resource).ok_or_else(|| {
        let text = format!(
            "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if \
             the application has not been installed by the administrator of the tenant."
        );
        EntraError::saying(&aadsts::UNKNOWN_RESOURCE, text)
    })?;
    Ok((resource.to_owned(), family))
}
