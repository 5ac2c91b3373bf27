//! What a client may set in an indicator.

use serde_json::{Map, Value, json};

use crate::sandbox::api::alerts::SEVERITIES;
use crate::sandbox::api::refusal::Refusal;
use crate::sandbox::api::times;

/// The properties in `body` that a client may set, each of its kind; times as our records write them. Others, such as the
/// id, are ignored.
pub(super) fn properties(body: &Map<String, Value>) -> Result<Vec<(&'static str, Value)>, Refusal> {
    let mut properties = Vec::new();
    for (name, kind) in PROPERTIES {
        if let Some(value) = body.get(name) {
            // A word or a truth that is null is one that isn't given.
            if value.is_null() && matches!(kind, Kind::OneOf(_) | Kind::Truth) {
                continue;
            }
            let value = kind.read(value);
            let value =
                value.ok_or_else(|| Refusal::Body(format!("'{name}' has an invalid value")))?;
            properties.push((name, value));
        }
    }
    Ok(properties)
}

/// What a property may be; null clears those that may be absent.
#[derive(Clone, Copy)]
enum Kind {
    Text,
    Texts,
    Truth,
    Time,
    OneOf(&'static [&'static str]),
}

impl Kind {
    fn read(self, value: &Value) -> Option<Value> {
        match (self, value) {
            (Self::Text | Self::Time, Value::Null)
            | (Self::Text, Value::String(_))
            | (Self::Truth, Value::Bool(_)) => Some(value.clone()),
            (Self::Texts, Value::Array(texts)) => {
                texts.iter().all(Value::is_string).then(|| value.clone())
            }
            (Self::Texts, Value::Null) => Some(json!([])),
            (Self::Time, Value::String(text)) => {
                times::parse(text).map(|ticks| times::text(ticks).into())
            }
            (Self::OneOf(words), Value::String(word)) => {
                words.contains(&word.as_str()).then(|| value.clone())
            }
            _ => None,
        }
    }
}

/// Properties that a client may set.
const PROPERTIES: [(&str, Kind); 17] = [
    ("indicatorValue", Kind::Text),
    ("indicatorType", Kind::OneOf(&TYPES)),
    ("action", Kind::OneOf(&ACTIONS)),
    ("application", Kind::Text),
    ("source", Kind::Text),
    ("title", Kind::Text),
    ("description", Kind::Text),
    ("expirationTime", Kind::Time),
    ("severity", Kind::OneOf(SEVERITIES)),
    ("recommendedActions", Kind::Text),
    ("rbacGroupNames", Kind::Texts),
    ("rbacGroupIds", Kind::Texts),
    ("generateAlert", Kind::Truth),
    ("mitreTechniques", Kind::Texts),
    ("historicalDetection", Kind::Truth),
    ("educateUrl", Kind::Text),
    ("notificationBody", Kind::Text),
];

pub(super) const TYPES: [&str; 7] = [
    "FileSha1",
    "FileSha256",
    "IpAddress",
    "DomainName",
    "Url",
    "FileMd5",
    "CertificateThumbprint",
];

pub(super) const ACTIONS: [&str; 8] = [
    "Alert",
    "AlertAndBlock",
    "Allowed",
    "Audit",
    "Block",
    "BlockAndRemediate",
    "Warn",
    "AlertAndBlockUnsanctioned",
];
