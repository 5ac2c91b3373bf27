//! The Entra stand-in: the token endpoint for the client credentials grant (SIM-E1 to E5, E10, E12).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, PRAGMA, RETRY_AFTER, SET_COOKIE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::actions::{Effect, Plain, Queue, StatusFault};
use super::api::{Answer, Payload};
use super::calls::{empty, html, plain_text, wait};
use super::counters::{InFlight, TokenRequest};
use super::entra_errors::{self as errors, EntraError};
use super::family::Family;
use super::metadata;
use super::roles;
use super::settings::{RefreshIn, Settings};
use super::state::{Listener, State, guid};
use super::tokens::Order;
use super::wire::{self, Abort, Delivery, Outgoing};

/// Answers a request to the login host.
pub(crate) async fn answer(
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Abort> {
    let recorded = state.requests.record(Listener::Entra, &request);
    let delivery = Delivery::new(&request, InFlight::counted(&state.counters));
    let caller = Caller::of(request.headers());
    let (parts, body) = request.into_parts();
    let body = wire::read(body, MAX_BODY, &recorded).await?;
    let (mut answer, damage) = match (Endpoint::of(parts.uri.path()), body) {
        (None, _) => (metadata::answer(state, &parts.uri, &caller), None),
        (Some(_), None) => (
            caller.refuse(&EntraError::usual(&errors::MALFORMED), &state.settings()),
            None,
        ),
        (Some(_), Some(_)) if parts.method != Method::POST => (
            caller.refuse(&EntraError::usual(&errors::POST_ONLY), &state.settings()),
            None,
        ),
        (Some(endpoint), Some(body)) => {
            let form = Form::parse(&parts.headers, &body);
            state
                .counters
                .token_request(form.key(&endpoint), form.get("claims").is_some());
            let effect = state
                .faults
                .take(Queue::Token, Listener::Entra, parts.uri.path());
            let usual = || caller.token(state, &endpoint, &form);
            match effect {
                Some(Effect::Plain(plain)) => (scripted(plain), None),
                Some(Effect::Entra(row)) => (
                    caller.refuse(&EntraError::usual(row), &state.settings()),
                    None,
                ),
                Some(Effect::Wait(pause)) => {
                    wait(state, pause).await;
                    (usual(), None)
                }
                Some(Effect::Damage(damage)) => (usual(), Some(damage)),
                Some(Effect::Api(_)) | None => (usual(), None),
            }
        }
    };
    caller.label(&mut answer);
    delivery.damaged(damage).send(answer)
}

/// What identifies an exchange to both sides.
pub(crate) struct Caller {
    trace_id: String,
    correlation_id: String,
    echo: bool,
    /// From a client Entra knows, going by its `x-client-SKU`.
    known_sku: bool,
}

impl Caller {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            trace_id: guid(),
            correlation_id: text("client-request-id")
                .filter(|id| uuid::Uuid::try_parse(id).is_ok())
                .map_or_else(guid, str::to_owned),
            echo: text("return-client-request-id")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
            known_sku: text("x-client-sku").is_some_and(known_sku),
        }
    }

    /// An error, with the numbers of this exchange.
    pub(crate) fn refuse(&self, error: &EntraError, settings: &Settings) -> Answer {
        let mut answer = json(
            error.row.status,
            &error.body(&self.trace_id, &self.correlation_id, settings),
        );
        let telemetry = format!("1,{},0,,", error.row.code);
        if let Ok(value) = HeaderValue::try_from(telemetry) {
            answer
                .headers
                .push((HeaderName::from_static("x-ms-clitelem"), value));
        }
        answer
    }

    fn token(&self, state: &State, endpoint: &Endpoint, form: &Form) -> Answer {
        let settings = state.settings();
        match issue(state, endpoint, form) {
            Ok(issued) => {
                let known = self.known_sku || form.get("x-client-SKU").is_some_and(known_sku);
                let hint = match settings.refresh_in {
                    RefreshIn::Always => true,
                    RefreshIn::KnownSku => known,
                    RefreshIn::Never => false,
                };
                json(StatusCode::OK, &issued.body(endpoint.version, hint))
            }
            Err(error) => self.refuse(&error, &settings),
        }
    }

    /// The headers every answer of the login host has, cookies included: a client must not mind them.
    fn label(&self, answer: &mut Answer) {
        let header =
            |text: &str| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("-"));
        answer.headers.extend([
            (
                CACHE_CONTROL,
                HeaderValue::from_static("no-store, no-cache"),
            ),
            (PRAGMA, HeaderValue::from_static("no-cache")),
            (EXPIRES, HeaderValue::from_static("-1")),
            (
                HeaderName::from_static("strict-transport-security"),
                HeaderValue::from_static("max-age=31536000; includeSubDomains"),
            ),
            (
                HeaderName::from_static("x-ms-request-id"),
                header(&self.trace_id),
            ),
            (
                HeaderName::from_static("x-ms-ests-server"),
                HeaderValue::from_static("2.1.0.0 - SANDBOX"),
            ),
            (
                SET_COOKIE,
                header(&format!(
                    "fpc={}; path=/; secure; HttpOnly; SameSite=None",
                    guid()
                )),
            ),
            (
                SET_COOKIE,
                HeaderValue::from_static("x-ms-gateway-slice=estsfd; path=/; secure; httponly"),
            ),
            (
                SET_COOKIE,
                HeaderValue::from_static("stsservicecookie=estsfd; path=/; secure; httponly"),
            ),
        ]);
        if self.echo {
            answer.headers.push((
                HeaderName::from_static("client-request-id"),
                header(&self.correlation_id),
            ));
        }
    }
}

/// A token endpoint of a tenant.
struct Endpoint {
    tenant: String,
    version: Version,
}

impl Endpoint {
    fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let (tenant, version) = match segments.as_slice() {
            [tenant, "oauth2", "v2.0", "token"] => (tenant, Version::V2),
            [tenant, "oauth2", "token"] => (tenant, Version::V1),
            _ => return None,
        };
        Some(Self {
            tenant: tenant.to_ascii_lowercase(),
            version,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// A token request: the form, and the client's credentials wherever they stand.
struct Form {
    fields: Vec<(String, String)>,
    client_id: Option<String>,
    secret: Option<String>,
}

impl Form {
    /// Anything but a form has no fields, as for Entra.
    fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| {
                kind.to_ascii_lowercase()
                    .starts_with("application/x-www-form-urlencoded")
            });
        let fields = if is_form {
            form_urlencoded::parse(body).into_owned().collect()
        } else {
            Vec::new()
        };
        let mut form = Self {
            fields,
            client_id: None,
            secret: None,
        };
        let basic = headers.get(AUTHORIZATION).and_then(basic);
        let (id, secret) = basic.map_or((None, None), |(id, secret)| (Some(id), Some(secret)));
        form.client_id = form.get("client_id").map(str::to_owned).or(id);
        form.secret = form.get("client_secret").map(str::to_owned).or(secret);
        form
    }

    /// A field that is there and not empty.
    fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, value)| field == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    fn require(&self, name: &str) -> Result<&str, EntraError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    fn key(&self, endpoint: &Endpoint) -> TokenRequest {
        let scope = match endpoint.version {
            Version::V2 => self.get("scope"),
            Version::V1 => self.get("resource"),
        };
        TokenRequest {
            tenant: endpoint.tenant.clone(),
            client_id: self.client_id.clone().unwrap_or_default(),
            scope: scope.unwrap_or_default().to_owned(),
        }
    }
}

/// A new token and what the answer says about it.
struct Issued {
    token: String,
    resource: String,
    lifetime: Duration,
}

impl Issued {
    fn body(self, version: Version, with_refresh_in: bool) -> Value {
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

fn issue(state: &State, endpoint: &Endpoint, form: &Form) -> Result<Issued, EntraError> {
    let options = &state.options;
    let known = |tenant: &&String| tenant.eq_ignore_ascii_case(&endpoint.tenant);
    let tenant = std::iter::once(&options.tenant)
        .chain(&options.customers)
        .find(known)
        .ok_or_else(|| {
            let text = format!(
                "Tenant '{}' not found. Check that you have the right tenant id and cloud.",
                endpoint.tenant
            );
            EntraError::saying(&errors::UNKNOWN_TENANT, text)
        })?;
    if form.require("grant_type")? != "client_credentials" {
        return Err(EntraError::usual(&errors::BAD_GRANT_TYPE));
    }
    authenticate(state, tenant, form)?;
    let (resource, family) = resource(endpoint, tenant, form)?;
    let settings = state.settings();
    let lifetime = settings.token_lifetime.pick();
    let token = state.tokens.issue(Order {
        family,
        audience: resource.clone(),
        tenant: tenant.clone(),
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
        return Err(EntraError::saying(&errors::UNKNOWN_APP, text));
    }
    match &form.secret {
        Some(secret) if *secret == state.options.client_secret => Ok(()),
        Some(_) => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret \
                 value, not the client secret ID, for a secret added to app '{client_id}'."
            );
            Err(EntraError::saying(&errors::WRONG_SECRET, text))
        }
        // No certificate is registered here, so no assertion can be right.
        None if form.get("client_assertion").is_some() => {
            Err(EntraError::usual(&errors::BAD_ASSERTION))
        }
        None => Err(EntraError::usual(&errors::NO_CREDENTIAL)),
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
                return Err(EntraError::saying(&errors::BAD_SCOPE, text));
            }
            scope.trim().strip_suffix("/.default").ok_or_else(|| {
                let text = format!(
                    "The provided value for scope {scope} is not valid. Client credential flows must have a scope \
                     value with /.default suffixed to the resource identifier (application ID URI)."
                );
                EntraError::saying(&errors::SCOPE_NOT_DEFAULT, text)
            })?
        }
    };
    let family = Family::of_resource(resource).ok_or_else(|| {
        let text = format!(
            "The resource principal named {resource} was not found in the tenant named {tenant}. This can happen if \
             the application has not been installed by the administrator of the tenant."
        );
        EntraError::saying(&errors::UNKNOWN_RESOURCE, text)
    })?;
    Ok((resource.to_owned(), family))
}

fn missing(name: &str) -> EntraError {
    let text = format!("The request body must contain the following parameter: '{name}'.");
    EntraError::saying(&errors::MISSING_FIELD, text)
}

/// Id and secret of HTTP Basic, each form-encoded (RFC 6749 section 2.3.1).
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let decode = |text: &str| {
        // The two characters that would end a field may come unencoded.
        let field = text.replace('&', "%26").replace('=', "%3D");
        form_urlencoded::parse(field.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

/// Throttling by Entra comes as plain text, not JSON (SIM-E5); so does everything else its front doors say.
fn scripted(plain: Plain) -> Answer {
    match plain {
        Plain::Html(status) => html(status),
        Plain::Empty(status) => empty(status),
        Plain::Status(StatusFault {
            status,
            retry_after,
            code,
            body,
        }) => {
            let text = body
                .or(code)
                .unwrap_or_else(|| status.canonical_reason().unwrap_or("Error").to_owned());
            let mut answer = plain_text(status, text);
            if let Some(retry_after) = retry_after {
                answer.headers.push((RETRY_AFTER, retry_after.header()));
            }
            answer
        }
    }
}

fn known_sku(sku: &str) -> bool {
    sku.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("msal."))
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    Answer {
        status,
        headers: vec![(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        )],
        payload: Payload::Full(Bytes::from(body.to_string())),
    }
}

const MAX_BODY: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        for (plain, id, secret) in [
            ("id:secret", "id", "secret"),
            ("id:a%2Bb+c", "id", "a+b c"),
            ("id:a=b&c:d", "id", "a=b&c:d"),
        ] {
            let value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(plain))).unwrap();
            assert_eq!(
                basic(&value),
                Some((id.to_owned(), secret.to_owned())),
                "{plain}"
            );
        }
        assert_eq!(basic(&HeaderValue::from_static("Bearer x")), None);
    }

    #[test]
    fn endpoints_are_known_by_their_path() {
        assert!(
            Endpoint::of("/t/oauth2/v2.0/token")
                .is_some_and(|endpoint| endpoint.version == Version::V2)
        );
        assert!(Endpoint::of("/T/oauth2/token").is_some_and(|endpoint| endpoint.tenant == "t"));
        assert!(Endpoint::of("/t/oauth2/v2.0/authorize").is_none());
    }
}
