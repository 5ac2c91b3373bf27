//! The device authorization endpoint (RFC 8628 section 3.1).

use serde_json::{Map, Value};

use super::client_auth::known;
use super::consent::Consent;
use super::device::Asked;
use super::entra_errors::EntraError;
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
    let number = |seconds: u64| match endpoint.version {
        Version::V2 => Value::from(seconds),
        Version::V1 => Value::from(seconds.to_string()),
    };
    let address = match endpoint.version {
        Version::V2 => "verification_uri",
        Version::V1 => "verification_url",
    };
    let message = format!(
        "To sign in, use a web browser to open the page {page} and enter the code {} to authenticate.",
        pair.user_code
    );
    let (lifetime, interval) = (
        settings.entra.device_lifetime,
        settings.entra.device_interval,
    );
    let body: [(&str, Value); 6] = [
        ("user_code", pair.user_code.into()),
        ("device_code", pair.device_code.into()),
        (address, page.into()),
        ("expires_in", number(lifetime.as_secs())),
        ("interval", number(interval.as_secs())),
        ("message", message.into()),
    ];
    let body = body.map(|(name, value)| (name.to_owned(), value));
    Ok(Value::Object(Map::from_iter(body)))
}
