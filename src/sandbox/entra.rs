//! The Entra stand-in: the token endpoint, and the way to everything else on the login host.

use http::header::{CACHE_CONTROL, EXPIRES, PRAGMA, RETRY_AFTER, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::aadsts;
use super::actions::Queue;
use super::answers::{html, json, plain_text};
use super::api::Answer;
use super::calls::wait;
use super::counters::InFlight;
use super::effects::{Damage, Effect, Plain, StatusFault};
use super::entra_errors::EntraError;
use super::issue::issue;
use super::outgoing::Outgoing;
use super::settings::{RefreshIn, Settings};
use super::state::{Listener, State, guid};
use super::token_form::{Endpoint, Form, Purpose};
use super::wire::{self, Abort, Delivery};
use super::{device_form, metadata, pages};

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
    let settings = state.settings();
    let (mut answer, damage) = match (Endpoint::of(parts.uri.path()), body) {
        (None, _) => (elsewhere(state, &caller, &parts), None),
        (Some(_), None) => (
            caller.refuse(&EntraError::usual(&aadsts::MALFORMED), &settings),
            None,
        ),
        (Some(endpoint), Some(body)) if parts.method == Method::POST => {
            let form = Form::parse(&parts.headers, &body);
            match endpoint.purpose {
                Purpose::Token => token_request(state, &caller, &endpoint, &form).await,
                Purpose::DeviceCode => (device_code(state, &caller, &endpoint, &form), None),
            }
        }
        (Some(_), Some(_)) => (
            caller.refuse(&EntraError::usual(&aadsts::POST_ONLY), &settings),
            None,
        ),
    };
    caller.label(&mut answer);
    delivery.damaged(damage).send(answer)
}

/// What takes no forms: pages for people, and what clients read.
fn elsewhere(state: &State, caller: &Caller, parts: &Parts) -> Answer {
    pages::answer(state, caller, &parts.method, &parts.uri)
        .unwrap_or_else(|| metadata::answer(state, &parts.uri, caller))
}

/// Counts a token request and answers it, or does what is scripted for it.
async fn token_request(
    state: &State,
    caller: &Caller,
    endpoint: &Endpoint,
    form: &Form,
) -> (Answer, Option<Damage>) {
    count(state, endpoint, form);
    match state.faults.take(Queue::Token, Listener::Entra, "") {
        Some(Effect::Plain(plain)) => (scripted(plain), None),
        Some(Effect::Entra(row)) => (
            caller.refuse(&EntraError::usual(&row), &state.settings()),
            None,
        ),
        Some(Effect::Wait(pause)) => {
            wait(state, pause).await;
            (caller.token(state, endpoint, form), None)
        }
        Some(Effect::Damage(damage)) => (caller.token(state, endpoint, form), Some(damage)),
        Some(Effect::Api(_) | Effect::Partial) | None => {
            (caller.token(state, endpoint, form), None)
        }
    }
}

/// Polls that are only told to wait are counted for themselves.
fn count(state: &State, endpoint: &Endpoint, form: &Form) {
    let device_code = form.device_code();
    if device_code.is_some() {
        state.counters.device_poll();
    }
    if !device_code.is_some_and(|code| state.devices.is_pending(code)) {
        state.counters.token_request(form.arrival(endpoint));
    }
}

fn device_code(state: &State, caller: &Caller, endpoint: &Endpoint, form: &Form) -> Answer {
    match device_form::begin(state, endpoint, form) {
        Ok(body) => json(StatusCode::OK, &body),
        Err(error) => caller.refuse(&error, &state.settings()),
    }
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

    /// The words of an error, with the numbers of this exchange.
    pub(crate) fn describe(&self, error: &EntraError, settings: &Settings) -> String {
        error.describe(&self.trace_id, &self.correlation_id, settings)
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

    /// The headers every answer of the login host has, cookies included: a client must not mind
    /// them.
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
                HeaderValue::from_static(NO_HSTS),
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

/// Throttling by Entra comes as plain text, not JSON; so does everything else its front
/// doors say.
fn scripted(plain: Plain) -> Answer {
    match plain {
        Plain::Html(status) => html(status),
        Plain::Empty(status) => Answer::without_body(status),
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

const MAX_BODY: usize = 64 * 1024;
/// The real servers forbid plain HTTP for a year. Of localhost that would be a browser's word for every port, and neither the end of a
/// sign-in nor any other server there could be reached.
pub(crate) const NO_HSTS: &str = "max-age=0";
