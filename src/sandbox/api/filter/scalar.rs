//! Values of a record as a filter and an order see them.

use std::cmp::Ordering;

use serde_json::Value;

use super::Malformed;
use crate::sandbox::api::times;

/// A value as comparisons see it.
#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Time(i64),
}

impl<'a> Scalar<'a> {
    /// `value` as comparisons see it; what has no order is null.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Bool(truth) => Self::Bool(*truth),
            Value::Number(number) => Self::Number(number.as_f64().unwrap_or_default()),
            // Only a full date and time: "2026" or a version number is a text.
            Value::String(text) if text.len() >= 20 && text.as_bytes()[10] == b'T' => {
                times::parse(text).map_or(Self::Text(text), Self::Time)
            }
            Value::String(text) => Self::Text(text),
            Value::Null | Value::Array(_) | Value::Object(_) => Self::Null,
        }
    }

    /// How it sorts beside `other`.
    ///
    /// # Errors
    ///
    /// [`Malformed::Types`] when they are of two kinds.
    pub(super) fn order(&self, other: &Self) -> Result<Ordering, Malformed> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Ok(left.cmp(right)),
            (Self::Number(left), Self::Number(right)) => Ok(left.total_cmp(right)),
            (Self::Text(left), Self::Text(right)) => Ok(left.cmp(right)),
            (Self::Time(left), Self::Time(right)) => Ok(left.cmp(right)),
            (left, right) => Err(Malformed::Types {
                left: left.edm(),
                right: right.edm(),
            }),
        }
    }

    /// The name of its kind in the service's messages.
    pub(super) fn edm(&self) -> &'static str {
        match self {
            Self::Null => "Edm.Null",
            Self::Bool(_) => "Edm.Boolean",
            Self::Number(_) => "Edm.Double",
            Self::Text(_) => "Edm.String",
            Self::Time(_) => "Edm.DateTimeOffset",
        }
    }
}

/// How two values of one property sort: what is missing first, times as times.
pub(in crate::sandbox::api) fn order(left: &Value, right: &Value) -> Ordering {
    match (Scalar::of(left), Scalar::of(right)) {
        (Scalar::Null, Scalar::Null) => Ordering::Equal,
        (Scalar::Null, _) => Ordering::Less,
        (_, Scalar::Null) => Ordering::Greater,
        (left, right) => left.order(&right).unwrap_or(Ordering::Equal),
    }
}

/// The property `name` of `record`, letter case aside: the documentation itself varies it.
pub(in crate::sandbox::api) fn property<'a>(record: &'a Value, name: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    let Value::Object(fields) = record else {
        return &NULL;
    };
    fields
        .get(name)
        .or_else(|| {
            fields
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        })
        .unwrap_or(&NULL)
}
