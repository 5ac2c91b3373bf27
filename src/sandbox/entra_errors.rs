//! The body an error of Entra ID comes in.

use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::aadsts::{Row, UNKNOWN_TENANT};
use super::settings::Settings;

/// An error to answer with: a row and what to say about this request.
pub(crate) struct EntraError {
    pub(crate) row: Row,
    text: String,
}

impl EntraError {
    /// An error with the usual words of its row.
    pub(crate) fn usual(row: &Row) -> Self {
        Self {
            row: *row,
            text: row.text.to_owned(),
        }
    }

    /// An error that says more.
    pub(crate) fn saying(row: &Row, text: String) -> Self {
        Self { row: *row, text }
    }

    pub(crate) fn unknown_tenant(name: &str) -> Self {
        let text = format!(
            "Tenant '{name}' not found. Check that you have the right tenant id and cloud."
        );
        Self::saying(&UNKNOWN_TENANT, text)
    }

    /// The description, with the numbers of the exchange behind it.
    pub(crate) fn describe(
        &self,
        trace_id: &str,
        correlation_id: &str,
        settings: &Settings,
    ) -> String {
        let timestamp = timestamp(SystemTime::now());
        let gap = if settings.crlf_errors { "\r\n" } else { " " };
        format!(
            "AADSTS{}: {}{gap}Trace ID: {trace_id}{gap}Correlation ID: {correlation_id}{gap}Timestamp: {timestamp}",
            self.row.code, self.text
        )
    }

    /// The body. `trace_id` is the `x-ms-request-id` of the answer, `correlation_id` the caller's
    /// `client-request-id`.
    pub(crate) fn body(&self, trace_id: &str, correlation_id: &str, settings: &Settings) -> Value {
        let timestamp = timestamp(SystemTime::now());
        let description = self.describe(trace_id, correlation_id, settings);
        let mut body = Map::new();
        body.insert("error".into(), self.row.error.into());
        body.insert("error_description".into(), description.into());
        body.insert("error_codes".into(), json!([self.row.code]));
        body.insert("timestamp".into(), timestamp.into());
        body.insert("trace_id".into(), trace_id.into());
        body.insert("correlation_id".into(), correlation_id.into());
        if settings.error_uri {
            let uri = format!(
                "https://login.microsoftonline.com/error?code={}",
                self.row.code
            );
            body.insert("error_uri".into(), uri.into());
        }
        if let Some(suberror) = self.row.suberror {
            body.insert("suberror".into(), suberror.into());
        }
        if self.row.claims {
            body.insert("claims".into(), CLAIMS.into());
        }
        Value::Object(body)
    }
}

/// `2026-01-31 12:00:00Z`.
fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time)
        .to_string()
        .replace('T', " ")
}

const CLAIMS: &str = r#"{"access_token":{"capolids":{"essential":true,"values":["5a9db0c5-0000-4000-8000-0000000000c1"]}}}"#;

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::Options;
    use super::super::aadsts::{WRONG_SECRET, row};
    use super::*;

    #[test]
    fn the_body_has_every_field() {
        let settings = Settings::initial(&Options::default());
        let body = EntraError::usual(row(53003).unwrap()).body("trace", "corr", &settings);
        assert_eq!(body["error"], "invalid_grant");
        assert_eq!(body["suberror"], "message_only");
        assert_eq!(body["error_codes"], json!([53003]));
        assert_eq!(body["trace_id"], "trace");
        assert_eq!(body["correlation_id"], "corr");
        let claims: Value = serde_json::from_str(body["claims"].as_str().unwrap()).unwrap();
        assert!(claims["access_token"]["capolids"]["values"].is_array());
        let description = body["error_description"].as_str().unwrap();
        assert!(description.starts_with("AADSTS53003: Access has been blocked"));
        assert!(description.contains(" Trace ID: trace Correlation ID: corr Timestamp: 20"));
        assert!(body["error_uri"].as_str().unwrap().ends_with("code=53003"));
    }

    #[test]
    fn the_trailer_may_use_lines_and_the_uri_may_be_absent() {
        let mut settings = Settings::initial(&Options::default());
        settings.set("error_lines", &json!("crlf")).unwrap();
        settings.set("error_uri", &json!(false)).unwrap();
        let body = EntraError::usual(&WRONG_SECRET).body("t", "c", &settings);
        assert!(
            body["error_description"]
                .as_str()
                .unwrap()
                .contains("\r\nTrace ID: t\r\nCorrelation ID: c\r\n")
        );
        assert!(body.get("error_uri").is_none());
    }

    #[test]
    fn timestamps_have_a_space() {
        assert_eq!(
            timestamp(UNIX_EPOCH + Duration::from_hours(490_896)),
            "2026-01-01 00:00:00Z"
        );
    }
}
