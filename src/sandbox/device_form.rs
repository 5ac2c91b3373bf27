//! The device authorization endpoint (RFC 8628 section 3.1).

use std::time::Duration;

use serde_json::{Value, json};

use super::client_auth::known;
use super::consent::Consent;
use super::device::{Asked, Pair};
use super::entra_errors::EntraError;
use super::entra_settings::EntraSettings;
use super::scopes::{self, Scope, Several};
use super::state::State;
use super::token_form::{Endpoint, Form, Version, missing};

/// Begins a sign-in on another device and says how it goes on.
pub(crate) fn begin(state: &State, endpoint: &Endpoint, form: &Form) -> Result<Value, EntraError> {
    let tenant = state.options.tenant_of_user(&endpoint.tenant)?;
    let client_id = form.client_id.as_deref();
    let client_id = known(
        state,
        tenant,
        client_id.ok_or_else(|| missing("client_id"))?,
    )?;
    let settings = state.settings();
    Consent::of(&settings, tenant).has_app(client_id, tenant)?;
    let scope = scopes::asked(endpoint.version, form).ok_or_else(|| {
        missing(match endpoint.version {
            Version::V1 => "resource",
            Version::V2 => "scope",
        })
    })?;
    Scope::parse(&scope, Several::Refused)?;
    let asked = Asked {
        client_id: client_id.to_owned(),
        scope,
    };
    let pair = state.devices.begin(asked, &settings.entra);
    let page = format!("{}/devicelogin", state.origins.entra);
    Ok(answer(&pair, &page, endpoint.version, &settings.entra))
}

fn answer(pair: &Pair, page: &str, version: Version, settings: &EntraSettings) -> Value {
    let number = |duration: Duration| match version {
        Version::V2 => Value::from(duration.as_secs()),
        Version::V1 => Value::from(duration.as_secs().to_string()),
    };
    let address = match version {
        Version::V2 => "verification_uri",
        Version::V1 => "verification_url",
    };
    let message = format!(
        "To sign in, use a web browser to open the page {page} and enter the code {} to authenticate.",
        pair.user_code
    );
    json!({
        "user_code": pair.user_code,
        "device_code": pair.device_code,
        address: page,
        "expires_in": number(settings.device_lifetime),
        "interval": number(settings.device_interval),
        "message": message,
    })
}
