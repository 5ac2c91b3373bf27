//! Scripted faults: what can happen to a request.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::aadsts::{self, Row};
use super::actions::Times;
use super::modifiers::{Modifiers, RetryAfter};
use super::script::{ScriptError, choice, number, text};

/// What happens to the request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    /// The usual answer, later.
    Wait(Wait),
    /// The usual answer, broken on its way.
    Damage(Damage),
    /// Another answer, the same from every server.
    Plain(Plain),
    /// The usual answer of Graph, said to lack what one provider should have added.
    Partial,
    /// An Entra error.
    Entra(Row),
    /// An API error.
    Api(ApiFault),
}

impl Effect {
    /// Reads `kind` and says how often such an effect usually happens.
    pub(crate) fn parse(
        kind: &str,
        value: &Value,
        modifiers: &mut Modifiers,
    ) -> Result<(Self, Times), ScriptError> {
        let effect = match kind {
            "aadsts" => aadsts(kind, value, modifiers)?,
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
            "partial" => only_true(kind, value, Self::Partial)?,
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

fn aadsts(kind: &str, value: &Value, modifiers: &mut Modifiers) -> Result<Effect, ScriptError> {
    let code = number(kind, value)?;
    if code == TENANT_THROTTLED {
        return Ok(Effect::Plain(Plain::Status(StatusFault {
            status: StatusCode::TOO_MANY_REQUESTS,
            retry_after: Some(RetryAfter::Seconds(60)),
            code: None,
            body: None,
        })));
    }
    aadsts::row(code)
        .map(|row| Effect::Entra(modifiers.entra(row)))
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
