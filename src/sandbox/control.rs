//! `/_sandbox/`: what happened, and what shall happen next. Open to every caller on loopback.

use std::borrow::Cow;
use std::time::Duration;

use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::answers::{json as json_answer, plain_text};
use super::api::Answer;
use super::counters::InFlight;
use super::outgoing::Outgoing;
use super::requests::Recorded;
use super::script::{Script, ScriptError, flag, object, text};
use super::state::{Listener, State};
use super::wire::{self, Abort, Delivery};
use super::{control_sign_in, federation};

/// Whether a path is answered here rather than by the stand-in.
pub(crate) fn is_control(path: &str) -> bool {
    path == "/" || path == "/_sandbox" || path.starts_with("/_sandbox/")
}

/// Answers a control request.
pub(crate) async fn answer(
    state: &State,
    listener: Listener,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Abort> {
    let delivery = Delivery::new(&request, InFlight::uncounted());
    let unlisted = Recorded::unlisted(listener, &request);
    let (parts, body) = request.into_parts();
    let answer = match wire::read(body, MAX_BODY, &unlisted).await? {
        Some(_) if parts.method == Method::GET && parts.uri.path() == FEDERATED_TOKEN => {
            federated_token(state, parts.uri.query().unwrap_or_default())
        }
        Some(body) => route(state, listener, &parts, &body).await,
        None => Err(ControlError::TooLong),
    };
    delivery.send(answer.unwrap_or_else(|error| error.answer()))
}

async fn route(
    state: &State,
    listener: Listener,
    parts: &Parts,
    body: &[u8],
) -> Result<Answer, ControlError> {
    let done = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/" | "/_sandbox" | "/_sandbox/") => index(listener),
        (&Method::GET, "/_sandbox/stats") => stats(state),
        (&Method::GET, "/_sandbox/requests") => json!({"requests": state.requests.to_json()}),
        (&Method::GET, "/_sandbox/wait") => {
            wait(state, parts.uri.query().unwrap_or_default()).await?
        }
        (&Method::POST, "/_sandbox/faults") => script(state, body)?,
        (&Method::POST, "/_sandbox/reset") => reset(state, body)?,
        (&Method::POST, "/_sandbox/release") => release(state, body)?,
        (&Method::POST, "/_sandbox/device") => control_sign_in::device(state, body)?,
        (&Method::POST, "/_sandbox/revoke") => control_sign_in::revoke(state, body)?,
        (_, path) if PATHS.iter().any(|(_, known, _)| *known == path) => {
            return Err(ControlError::Method);
        }
        _ => return Err(ControlError::Path),
    };
    Ok(json_answer(StatusCode::OK, &done))
}

#[derive(Debug, thiserror::Error)]
enum ControlError {
    #[error("no such control path; GET / lists them")]
    Path,
    #[error("this control path takes another method; GET / lists them")]
    Method,
    #[error("the body is larger than 1 MiB")]
    TooLong,
    #[error(transparent)]
    Script(#[from] ScriptError),
    #[error(
        "`{0}` cannot be waited for; token_requests=N, device_polls=N, managed_requests=N, api_calls=N, aborted=N and held=NAME can"
    )]
    Condition(String),
    #[error("it did not happen within {} seconds", PATIENCE.as_secs())]
    NotYet,
}

impl ControlError {
    fn answer(&self) -> Answer {
        let status = match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Script(_) | Self::Condition(_) => StatusCode::BAD_REQUEST,
            Self::NotYet => StatusCode::REQUEST_TIMEOUT,
        };
        json_answer(status, &json!({"error": self.to_string()}))
    }
}

fn index(listener: Listener) -> Value {
    let paths: Vec<Value> = PATHS
        .iter()
        .map(|(method, path, does)| json!({"method": method, "path": path, "does": does}))
        .collect();
    json!({"sandbox": "defender-proxy", "stand_in_for": listener.name(), "control": paths})
}

fn stats(state: &State) -> Value {
    let mut counts = state.counters.to_json();
    counts["executions"] = json!(state.api.executions());
    counts["held"] = json!(state.holds.counts());
    counts["queued"] = state.faults.waiting();
    counts["managed_requests"] = state.managed.counts();
    counts
}

/// What a cluster would write to `AZURE_FEDERATED_TOKEN_FILE`.
fn federated_token(state: &State, query: &str) -> Result<Answer, ControlError> {
    let mut subject = Cow::Borrowed(state.options.federated_subject.as_str());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "subject" => subject = value,
            _ => return Err(ScriptError::UnknownKey(name.into_owned()).into()),
        }
    }
    let token = federation::token(state, &subject);
    Ok(plain_text(StatusCode::OK, token))
}

fn script(state: &State, body: &[u8]) -> Result<Value, ScriptError> {
    state.apply(|settings| Script::parse(body, settings))?;
    Ok(json!({"queued": state.faults.waiting()}))
}

fn reset(state: &State, body: &[u8]) -> Result<Value, ScriptError> {
    let mut revoke = false;
    for (key, value) in object(body)? {
        match key.as_str() {
            "revoke_tokens" => revoke = flag(&key, &value)?,
            _ => return Err(ScriptError::UnknownKey(key)),
        }
    }
    state.reset();
    if revoke {
        state.tokens.revoke_all();
    }
    Ok(json!({"reset": true}))
}

fn release(state: &State, body: &[u8]) -> Result<Value, ScriptError> {
    let mut name = None;
    for (key, value) in object(body)? {
        match key.as_str() {
            "name" => name = Some(text(&key, &value)?),
            _ => return Err(ScriptError::UnknownKey(key)),
        }
    }
    let name =
        name.ok_or_else(|| ScriptError::value("name", &Value::Null, "the name of a hold"))?;
    Ok(json!({"released": state.holds.release(&name)}))
}

/// Answers once all conditions hold.
async fn wait(state: &State, query: &str) -> Result<Value, ControlError> {
    let conditions: Vec<Condition> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| Condition::parse(&name, &value))
        .collect::<Result<_, _>>()?;
    let mut changes = state.changes.subscribe();
    let reached = async {
        // The sender lives in `state`, so it is never gone while this runs.
        while !conditions.iter().all(|condition| condition.holds(state))
            && changes.changed().await.is_ok()
        {}
    };
    tokio::time::timeout(PATIENCE, reached)
        .await
        .map_err(|_| ControlError::NotYet)?;
    Ok(stats(state))
}

enum Condition {
    TokenRequests(u64),
    DevicePolls(u64),
    ManagedRequests(u64),
    ApiCalls(u64),
    Aborted(u64),
    Held(String),
}

impl Condition {
    fn parse(name: &str, value: &str) -> Result<Self, ControlError> {
        let refuse = || ControlError::Condition(format!("{name}={value}"));
        let number = || value.parse().map_err(|_| refuse());
        match name {
            "token_requests" => number().map(Self::TokenRequests),
            "device_polls" => number().map(Self::DevicePolls),
            "managed_requests" => number().map(Self::ManagedRequests),
            "api_calls" => number().map(Self::ApiCalls),
            "aborted" => number().map(Self::Aborted),
            "held" => Ok(Self::Held(value.to_owned())),
            _ => Err(refuse()),
        }
    }

    fn holds(&self, state: &State) -> bool {
        match self {
            Self::TokenRequests(wanted) => state.counters.token_requests() >= *wanted,
            Self::DevicePolls(wanted) => state.counters.device_polls() >= *wanted,
            Self::ManagedRequests(wanted) => state.managed.requests() >= *wanted,
            Self::ApiCalls(wanted) => state.counters.api_calls() >= *wanted,
            Self::Aborted(wanted) => state.counters.aborted() >= *wanted,
            Self::Held(name) => state.holds.holding(name),
        }
    }
}

const MAX_BODY: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

const FEDERATED_TOKEN: &str = "/_sandbox/federated-token";

const PATHS: &[(&str, &str, &str)] = &[
    (
        "GET",
        "/_sandbox/stats",
        "counts token requests, requests of managed identities, API calls, connections, executions and aborted requests",
    ),
    (
        "GET",
        "/_sandbox/requests",
        "lists the last 10,000 requests: targets byte for byte, header names in lower case",
    ),
    (
        "GET",
        "/_sandbox/wait",
        "answers when token_requests=N, device_polls=N, managed_requests=N, api_calls=N, aborted=N or held=NAME is reached",
    ),
    (
        "GET",
        FEDERATED_TOKEN,
        "makes a token of the trusted issuer, valid for ten minutes; subject=TEXT for another subject",
    ),
    (
        "POST",
        "/_sandbox/faults",
        "changes settings and scripts the next answers",
    ),
    (
        "POST",
        "/_sandbox/device",
        "enters a device's code: {\"user_code\": …, \"user\": …}, or {\"action\": \"decline\"} or \"expire\"",
    ),
    (
        "POST",
        "/_sandbox/revoke",
        "revokes what was issued so far: {\"user\": …} or {\"app\": true}",
    ),
    (
        "POST",
        "/_sandbox/release",
        "lets held requests go: {\"name\": …}",
    ),
    (
        "POST",
        "/_sandbox/reset",
        "puts everything back to the start; tokens stay valid unless {\"revoke_tokens\": true}",
    ),
];
