//! The client credentials grant: who gets which token.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::cloud::Family;

use super::aadsts;
use super::claims::Claims;
use super::client_auth::authenticate;
use super::entra_errors::EntraError;
use super::family;
use super::roles;
use super::state::State;
use super::token_form::{CLIENT_CREDENTIALS, Endpoint, Form, Version};
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
    if form.require("grant_type")? != CLIENT_CREDENTIALS {
        return Err(EntraError::usual(&aadsts::BAD_GRANT_TYPE));
    }
    let client = authenticate(state, endpoint, tenant, form)?;
    let claims = Claims::read(form.get("claims"))?;
    let (resource, family) = resource(endpoint, tenant, form)?;
    let settings = state.settings();
    let lifetime = settings.token_lifetime.pick();
    let token = state.tokens.issue(Order {
        family,
        audience: resource.clone(),
        tenant: tenant.to_owned(),
        client_id: client.id,
        roles: settings.roles.clone().unwrap_or_else(|| roles::all(family)),
        user: None,
        proof: client.proof,
        claims,
        lifetime,
        opaque: settings.opaque_tokens,
    });
    Ok(Issued {
        token,
        resource,
        lifetime,
    })
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
