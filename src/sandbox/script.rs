//! Reading the JSON of control requests, with errors that name what is wrong.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::actions::{Action, Queue};
use super::faults::Queues;
use super::settings::Settings;

/// One `POST /_sandbox/faults`, wholly understood before any of it is applied.
pub(crate) struct Script {
    pub(crate) settings: Settings,
    pub(crate) actions: Queues,
    pub(crate) revoke_tokens: bool,
}

impl Script {
    /// Reads a script; settings it does not name stay as in `current`.
    pub(crate) fn parse(body: &[u8], current: &Settings) -> Result<Self, ScriptError> {
        let mut script = Self {
            settings: current.clone(),
            actions: Queues::default(),
            revoke_tokens: false,
        };
        for (key, value) in object(body)? {
            match key.as_str() {
                "settings" => {
                    for (key, value) in as_object(&key, value)? {
                        script.settings.set(&key, &value)?;
                    }
                }
                "token" => script.actions.token = actions(&key, value, Queue::Token)?,
                "api" => script.actions.api = actions(&key, value, Queue::Api)?,
                "managed" => script.actions.managed = actions(&key, value, Queue::Managed)?,
                "revoke_tokens" => script.revoke_tokens = flag(&key, &value)?,
                _ => return Err(ScriptError::UnknownKey(key)),
            }
        }
        Ok(script)
    }
}

/// What a control request got wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("the body is not a JSON object: {0}")]
    NotAnObject(String),
    #[error("unknown key `{0}`")]
    UnknownKey(String),
    #[error("`{key}` cannot be {value}; it takes {takes}")]
    Value {
        key: String,
        value: String,
        takes: &'static str,
    },
    #[error("an action has exactly one of {KINDS}; this one has {0}")]
    Kinds(String),
    #[error("`{key}` has no meaning with `{kind}`")]
    Modifier { key: &'static str, kind: String },
    #[error("`{kind}` cannot be used in `{queue}`")]
    Queue { kind: String, queue: &'static str },
    #[error("{0} actions would be queued; 1000 is the most")]
    TooMany(usize),
}

impl ScriptError {
    pub(crate) fn value(key: &str, value: &Value, takes: &'static str) -> Self {
        Self::Value {
            key: key.to_owned(),
            value: value.to_string(),
            takes,
        }
    }
}

/// The body as a JSON object; an empty body is an empty object.
pub(crate) fn object(body: &[u8]) -> Result<Map<String, Value>, ScriptError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|error| ScriptError::NotAnObject(error.to_string()))
}

pub(crate) fn flag(key: &str, value: &Value) -> Result<bool, ScriptError> {
    value
        .as_bool()
        .ok_or_else(|| ScriptError::value(key, value, "true or false"))
}

pub(crate) fn number(key: &str, value: &Value) -> Result<u64, ScriptError> {
    value
        .as_u64()
        .ok_or_else(|| ScriptError::value(key, value, "a whole number"))
}

pub(crate) fn text(key: &str, value: &Value) -> Result<String, ScriptError> {
    value
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| ScriptError::value(key, value, "text"))
}

/// One of a few words, as it stands in `known`.
pub(crate) fn word(
    key: &str,
    value: &Value,
    takes: &'static str,
    known: &[&'static str],
) -> Result<&'static str, ScriptError> {
    value
        .as_str()
        .and_then(|word| known.iter().find(|known| **known == word))
        .copied()
        .ok_or_else(|| ScriptError::value(key, value, takes))
}

/// What one of a few words means.
pub(crate) fn choice<T: Copy>(
    key: &str,
    value: &Value,
    takes: &'static str,
    choices: &[(&str, T)],
) -> Result<T, ScriptError> {
    value
        .as_str()
        .and_then(|word| choices.iter().find(|(name, _)| *name == word))
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| ScriptError::value(key, value, takes))
}

pub(crate) fn as_object(key: &str, value: Value) -> Result<Map<String, Value>, ScriptError> {
    match value {
        Value::Object(map) => Ok(map),
        other @ (Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)) => Err(ScriptError::value(key, &other, "an object")),
    }
}

fn actions(key: &str, value: Value, queue: Queue) -> Result<VecDeque<Action>, ScriptError> {
    let Value::Array(items) = value else {
        return Err(ScriptError::value(key, &value, "a list of actions"));
    };
    items
        .into_iter()
        .map(|item| Action::parse(as_object(key, item)?, queue))
        .collect()
}

/// Every kind of action.
pub(crate) const KINDS: &str = "aadsts, status, code, html, empty, empty_200, reset, delay_ms, slow_body_ms, truncate, \
                                truncated_json, hold, unauthorized, claims_challenge, licence_401, partial, hunting";
