//! Scripted faults: what one entry of `POST /_sandbox/faults` asks for.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::entra_errors::{self, Row};
use super::script::{KINDS, ScriptError, choice, number, text};
use super::state::Listener;

/// One scripted fault and the requests it is for.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) effect: Effect,
    pub(crate) times: Times,
    /// Matching requests that pass unharmed first.
    pub(crate) after: u64,
    /// Lower-case start of the paths it is for; all when absent.
    path: Option<String>,
}

impl Action {
    pub(crate) fn parse(mut map: Map<String, Value>, queue: Queue) -> Result<Self, ScriptError> {
        let times = map
            .remove("times")
            .map(|value| Times::parse(&value))
            .transpose()?;
        let after = map
            .remove("after")
            .map_or(Ok(0), |value| number("after", &value))?;
        let path = map
            .remove("path")
            .map(|value| text("path", &value))
            .transpose()?;
        let mut modifiers = Modifiers::take(&mut map)?;
        let (kind, value) = only_kind(map)?;
        let (effect, usual) = Effect::parse(&kind, &value, &mut modifiers)?;
        modifiers.refuse_left(&kind)?;
        match (&effect, queue) {
            (Effect::Entra(_), Queue::Api) | (Effect::Api(_), Queue::Token) => {
                return Err(ScriptError::Queue {
                    kind,
                    queue: queue.name(),
                });
            }
            (
                Effect::Entra(_) | Effect::Wait(_) | Effect::Damage(_) | Effect::Plain(_),
                Queue::Token,
            )
            | (
                Effect::Api(_) | Effect::Wait(_) | Effect::Damage(_) | Effect::Plain(_),
                Queue::Api,
            ) => {}
        }
        if path.is_some() && queue == Queue::Token {
            return Err(ScriptError::Queue {
                kind: "path".into(),
                queue: queue.name(),
            });
        }
        Ok(Self {
            effect,
            times: times.unwrap_or(usual),
            after,
            path: path.map(|path| path.to_ascii_lowercase()),
        })
    }

    /// Whether a request is one this action is for; `path` in lower case.
    pub(crate) fn matches(&self, listener: Listener, path: &str) -> bool {
        let by_kind = match &self.effect {
            Effect::Api(ApiFault::ClaimsChallenge) => listener == Listener::Graph,
            Effect::Api(ApiFault::Hunting(_)) => {
                HUNTING_PATHS.iter().any(|end| path.ends_with(end))
            }
            Effect::Api(ApiFault::Unauthorized | ApiFault::Licence)
            | Effect::Wait(_)
            | Effect::Damage(_)
            | Effect::Plain(_)
            | Effect::Entra(_) => true,
        };
        by_kind
            && self
                .path
                .as_ref()
                .is_none_or(|start| path.starts_with(start))
    }
}

/// Which stand-in a list of actions is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Token,
    Api,
}

impl Queue {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Api => "api",
        }
    }
}

/// How many requests an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Count(u64),
    /// Until the next reset.
    Always,
}

impl Times {
    fn parse(value: &Value) -> Result<Self, ScriptError> {
        match (value.as_str(), value.as_u64()) {
            (Some("always"), _) => Ok(Self::Always),
            (None, Some(count)) if count > 0 => Ok(Self::Count(count)),
            (Some(_) | None, _) => Err(ScriptError::value(
                "times",
                value,
                "a number from 1, or \"always\"",
            )),
        }
    }
}

/// What happens to the request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// The usual answer, later.
    Wait(Wait),
    /// The usual answer, broken on its way.
    Damage(Damage),
    /// Another answer, the same from every server.
    Plain(Plain),
    /// An Entra error.
    Entra(&'static Row),
    /// An API error.
    Api(ApiFault),
}

impl Effect {
    /// Reads `kind` and says how often such an effect usually happens.
    fn parse(
        kind: &str,
        value: &Value,
        modifiers: &mut Modifiers,
    ) -> Result<(Self, Times), ScriptError> {
        let effect = match kind {
            "aadsts" => aadsts(kind, value)?,
            "status" => Self::Plain(Plain::Status(modifiers.answer(status(kind, value)?, None))),
            "code" => {
                let code = text(kind, value)?;
                Self::Plain(Plain::Status(
                    modifiers.answer(StatusCode::TOO_MANY_REQUESTS, Some(code)),
                ))
            }
            "html" => Self::Plain(Plain::Html(status(kind, value)?)),
            "empty" => Self::Plain(Plain::Empty(status(kind, value)?)),
            "empty_200" => only_true(kind, value, Self::Plain(Plain::Empty(StatusCode::OK)))?,
            "reset" => Self::Damage(choice(kind, value, "before-headers or mid-body", RESETS)?),
            "delay_ms" => Self::Wait(Wait::Delay(Duration::from_millis(number(kind, value)?))),
            "slow_body_ms" => {
                Self::Damage(Damage::Slow(Duration::from_millis(number(kind, value)?)))
            }
            "truncate" => Self::Damage(Damage::Truncate(number(kind, value)?)),
            "truncated_json" => only_true(kind, value, Self::Damage(Damage::CutJson))?,
            "hold" => Self::Wait(Wait::Hold(text(kind, value)?)),
            "unauthorized" => {
                let times = choice(kind, value, "once or always", UNAUTHORIZED)?;
                return Ok((Self::Api(ApiFault::Unauthorized), times));
            }
            "claims_challenge" => only_true(kind, value, Self::Api(ApiFault::ClaimsChallenge))?,
            "licence_401" => {
                return Ok((
                    only_true(kind, value, Self::Api(ApiFault::Licence))?,
                    Times::Always,
                ));
            }
            "hunting" => {
                let takes = "cpu_quota, timeout_400, timeout_504 or oversize";
                Self::Api(ApiFault::Hunting(choice(kind, value, takes, HUNTING)?))
            }
            _ => return Err(ScriptError::UnknownKey(kind.to_owned())),
        };
        Ok((effect, Times::Count(1)))
    }
}

/// A pause before the usual answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    Delay(Duration),
    /// Until released by this name.
    Hold(String),
}

/// What breaks an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The connection (of HTTP/2: the stream) ends instead of an answer.
    BeforeHeaders,
    /// It ends amid the body.
    MidBody,
    /// It ends after so many bytes of the body, with the full length declared.
    Truncate(u64),
    /// The body comes in pieces with this pause between them.
    Slow(Duration),
    /// Half of the body, but cleanly ended.
    CutJson,
}

/// Answers that look alike from every server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Plain {
    Html(StatusCode),
    Empty(StatusCode),
    Status(StatusFault),
}

/// A status in the error shape of the server, unless a body is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusFault {
    pub(crate) status: StatusCode,
    pub(crate) retry_after: Option<RetryAfter>,
    pub(crate) code: Option<String>,
    /// Sent as plain text.
    pub(crate) body: Option<String>,
}

/// A `Retry-After` header to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    Seconds(u64),
    /// The HTTP date this many seconds from the answer.
    Date(u64),
}

impl RetryAfter {
    pub(crate) fn header(self) -> HeaderValue {
        match self {
            Self::Seconds(seconds) => HeaderValue::from(seconds),
            Self::Date(seconds) => {
                let date =
                    httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(seconds));
                HeaderValue::try_from(date).unwrap_or(HeaderValue::from_static("60"))
            }
        }
    }

    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        if let Some(seconds) = value.as_u64() {
            return Ok(Self::Seconds(seconds));
        }
        let date = value.as_str().and_then(|text| text.strip_prefix("date"));
        let seconds = match date {
            Some("") => Some(60),
            Some(rest) => rest
                .strip_prefix('+')
                .and_then(|seconds| seconds.parse().ok()),
            None => None,
        };
        match seconds {
            // More would leave the years an HTTP date can name.
            Some(seconds) if seconds <= 366 * 24 * 3600 => Ok(Self::Date(seconds)),
            Some(_) | None => Err(ScriptError::value(
                key,
                value,
                "seconds, \"date\" or \"date+SECONDS\"",
            )),
        }
    }
}

/// Errors of the API stand-ins alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ApiFault {
    /// 401 though the token is right.
    Unauthorized,
    /// 401 that asks for a token with other claims (Graph).
    ClaimsChallenge,
    /// 401 because the tenant has no licence: no token helps.
    Licence,
    Hunting(HuntingFault),
}

/// How a hunting query can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HuntingFault {
    CpuQuota,
    Timeout400,
    Timeout504,
    Oversize,
}

/// Keys that go with `status` and `code` alone.
struct Modifiers {
    retry_after: Option<RetryAfter>,
    code: Option<String>,
    body: Option<String>,
}

impl Modifiers {
    fn take(map: &mut Map<String, Value>) -> Result<Self, ScriptError> {
        // `code` alone is a kind of its own.
        let code = if map.contains_key("status") {
            map.remove("code")
        } else {
            None
        };
        Ok(Self {
            retry_after: map
                .remove("retry_after")
                .map(|value| RetryAfter::parse("retry_after", &value))
                .transpose()?,
            code: code.map(|value| text("code", &value)).transpose()?,
            body: map
                .remove("body")
                .map(|value| text("body", &value))
                .transpose()?,
        })
    }

    fn answer(&mut self, status: StatusCode, code: Option<String>) -> StatusFault {
        StatusFault {
            status,
            retry_after: self.retry_after.take(),
            code: self.code.take().or(code),
            body: self.body.take(),
        }
    }

    fn refuse_left(self, kind: &str) -> Result<(), ScriptError> {
        let left = [
            ("retry_after", self.retry_after.is_some()),
            ("code", self.code.is_some()),
            ("body", self.body.is_some()),
        ];
        match left.into_iter().find(|(_, present)| *present) {
            Some((key, _)) => Err(ScriptError::Modifier {
                key,
                kind: kind.to_owned(),
            }),
            None => Ok(()),
        }
    }
}

fn only_kind(map: Map<String, Value>) -> Result<(String, Value), ScriptError> {
    if let Some(unknown) = map
        .keys()
        .find(|key| !KINDS.split(", ").any(|kind| kind == *key))
    {
        return Err(ScriptError::UnknownKey(unknown.clone()));
    }
    let names = map.keys().cloned().collect::<Vec<_>>().join(" and ");
    let mut entries = map.into_iter();
    match (entries.next(), entries.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(ScriptError::Kinds("none".into())),
        (Some(_), Some(_)) => Err(ScriptError::Kinds(names)),
    }
}

fn aadsts(kind: &str, value: &Value) -> Result<Effect, ScriptError> {
    let code = number(kind, value)?;
    if code == TENANT_THROTTLED {
        return Ok(Effect::Plain(Plain::Status(StatusFault {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(RetryAfter::Seconds(60)),
            code: None,
            body: None,
        })));
    }
    entra_errors::row(code)
        .map(Effect::Entra)
        .ok_or_else(|| ScriptError::value(kind, value, "a number of the table of Entra errors"))
}

fn status(kind: &str, value: &Value) -> Result<StatusCode, ScriptError> {
    u16::try_from(number(kind, value)?)
        .ok()
        .filter(|status| (200..=599).contains(status))
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or_else(|| ScriptError::value(kind, value, "a status from 200 to 599"))
}

fn only_true(kind: &str, value: &Value, effect: Effect) -> Result<Effect, ScriptError> {
    if value.as_bool() == Some(true) {
        Ok(effect)
    } else {
        Err(ScriptError::value(kind, value, "true"))
    }
}

/// AADSTS90055 comes as a 429 in plain text like every throttling of Entra.
const TENANT_THROTTLED: u64 = 90055;
const RESETS: &[(&str, Damage)] = &[
    ("before-headers", Damage::BeforeHeaders),
    ("mid-body", Damage::MidBody),
];
const UNAUTHORIZED: &[(&str, Times)] = &[("once", Times::Count(1)), ("always", Times::Always)];
const HUNTING: &[(&str, HuntingFault)] = &[
    ("cpu_quota", HuntingFault::CpuQuota),
    ("timeout_400", HuntingFault::Timeout400),
    ("timeout_504", HuntingFault::Timeout504),
    ("oversize", HuntingFault::Oversize),
];
const HUNTING_PATHS: &[&str] = &[
    "/advancedhunting/run",
    "/advancedqueries/run",
    "/runhuntingquery",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, queue: Queue) -> Result<Action, ScriptError> {
        let Value::Object(map) = serde_json::from_str(text).unwrap() else {
            panic!("not an object")
        };
        Action::parse(map, queue)
    }

    #[test]
    fn every_kind_is_read() {
        for text in [
            r#"{"status": 429, "retry_after": 7, "times": 3}"#,
            r#"{"status": 429, "retry_after": "date", "body": "slow down"}"#,
            r#"{"code": "429", "retry_after": "date+5"}"#,
            r#"{"html": 502}"#,
            r#"{"empty": 404, "after": 2}"#,
            r#"{"empty_200": true}"#,
            r#"{"reset": "before-headers"}"#,
            r#"{"reset": "mid-body", "path": "/api/Incidents"}"#,
            r#"{"delay_ms": 200000}"#,
            r#"{"slow_body_ms": 5}"#,
            r#"{"truncate": 10}"#,
            r#"{"hold": "a"}"#,
            r#"{"unauthorized": "once"}"#,
            r#"{"claims_challenge": true}"#,
            r#"{"licence_401": true}"#,
            r#"{"hunting": "oversize"}"#,
        ] {
            assert!(parse(text, Queue::Api).is_ok(), "{text}");
        }
        assert!(parse(r#"{"aadsts": 7000215}"#, Queue::Token).is_ok());
        assert!(parse(r#"{"truncated_json": true}"#, Queue::Token).is_ok());
    }

    #[test]
    fn faults_of_a_script_are_named() {
        for (text, queue, part) in [
            (r#"{"statsu": 429}"#, Queue::Api, "unknown key `statsu`"),
            (r#"{"status": 42}"#, Queue::Api, "`status` cannot be 42"),
            (r#"{"times": 2}"#, Queue::Api, "this one has none"),
            (
                r#"{"html": 500, "empty": 404}"#,
                Queue::Api,
                "html and empty",
            ),
            (
                r#"{"delay_ms": 5, "retry_after": 1}"#,
                Queue::Api,
                "`retry_after` has no meaning with `delay_ms`",
            ),
            (r#"{"aadsts": 1}"#, Queue::Token, "`aadsts` cannot be 1"),
            (
                r#"{"aadsts": 65001}"#,
                Queue::Api,
                "`aadsts` cannot be used in `api`",
            ),
            (
                r#"{"licence_401": true}"#,
                Queue::Token,
                "`licence_401` cannot be used in `token`",
            ),
            (
                r#"{"status": 503, "path": "/x"}"#,
                Queue::Token,
                "`path` cannot be used in `token`",
            ),
            (
                r#"{"hold": "a", "times": 0}"#,
                Queue::Api,
                "`times` cannot be 0",
            ),
            (
                r#"{"reset": "later"}"#,
                Queue::Api,
                "before-headers or mid-body",
            ),
        ] {
            let error = parse(text, queue).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_retry_date_is_an_http_date() {
        let header = RetryAfter::Date(5).header();
        let date = httpdate::parse_http_date(header.to_str().unwrap()).unwrap();
        assert!(date > SystemTime::now() && date < SystemTime::now() + Duration::from_secs(7));
    }

    #[test]
    fn some_kinds_are_for_some_requests() {
        let hunting = parse(r#"{"hunting": "cpu_quota"}"#, Queue::Api).unwrap();
        assert!(hunting.matches(Listener::Graph, "/v1.0/security/runhuntingquery"));
        assert!(!hunting.matches(Listener::Defender, "/api/incidents"));
        let challenge = parse(r#"{"claims_challenge": true}"#, Queue::Api).unwrap();
        assert!(!challenge.matches(Listener::Defender, "/api/incidents"));
        let prefixed = parse(r#"{"empty": 404, "path": "/API/In"}"#, Queue::Api).unwrap();
        assert!(prefixed.matches(Listener::Defender, "/api/incidents"));
        assert!(!prefixed.matches(Listener::Defender, "/api/alerts"));
    }
}
