//! Scripted faults: the keys beside a kind that change it.

use std::time::{Duration, SystemTime};

use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};

use super::aadsts::{ERRORS, Row, SUBERRORS};
use super::effects::StatusFault;
use super::script::{ScriptError, text, word};

/// Keys that go with one kind: `error` and `suberror` with `aadsts`, the others with `status` and `code`.
pub(crate) struct Modifiers {
    retry_after: Option<RetryAfter>,
    code: Option<String>,
    body: Option<String>,
    error: Option<&'static str>,
    suberror: Option<&'static str>,
}

impl Modifiers {
    pub(crate) fn take(map: &mut Map<String, Value>) -> Result<Self, ScriptError> {
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
            error: map
                .remove("error")
                .map(|value| word("error", &value, "an error of Entra", ERRORS))
                .transpose()?,
            suberror: map
                .remove("suberror")
                .map(|value| word("suberror", &value, "a suberror of Entra", SUBERRORS))
                .transpose()?,
        })
    }

    /// The answer of this status, with what is given for it.
    pub(crate) fn answer(&mut self, status: StatusCode, code: Option<String>) -> StatusFault {
        StatusFault {
            status,
            retry_after: self.retry_after.take(),
            code: self.code.take().or(code),
            body: self.body.take(),
        }
    }

    /// The row with its words replaced by those given.
    pub(crate) fn entra(&mut self, row: &Row) -> Row {
        Row {
            error: self.error.take().unwrap_or(row.error),
            suberror: self.suberror.take().or(row.suberror),
            ..*row
        }
    }

    /// Refuses what the kind had no use for.
    pub(crate) fn refuse_left(self, kind: &str) -> Result<(), ScriptError> {
        let left = [
            ("retry_after", self.retry_after.is_some()),
            ("code", self.code.is_some()),
            ("body", self.body.is_some()),
            ("error", self.error.is_some()),
            ("suberror", self.suberror.is_some()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_date_is_an_http_date() {
        let header = RetryAfter::Date(5).header();
        let date = httpdate::parse_http_date(header.to_str().unwrap()).unwrap();
        assert!(date > SystemTime::now() && date < SystemTime::now() + Duration::from_secs(7));
    }
}
