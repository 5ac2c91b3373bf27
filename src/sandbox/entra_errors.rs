//! The errors of Entra ID: the table, and the body they come in.

use std::time::SystemTime;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::settings::Settings;

/// One AADSTS error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) code: u32,
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) suberror: Option<&'static str>,
    /// Whether the body has `claims`, a JSON text naming the policies that were not met.
    pub(crate) claims: bool,
    /// What the description says where nothing more precise is known.
    pub(crate) text: &'static str,
}

/// The row of an AADSTS number.
pub(crate) fn row(code: u64) -> Option<&'static Row> {
    ROWS.iter().copied().find(|row| u64::from(row.code) == code)
}

/// An error to answer with: a row and what to say about this request.
pub(crate) struct EntraError {
    pub(crate) row: &'static Row,
    text: String,
}

impl EntraError {
    /// An error with the usual words of its row.
    pub(crate) fn usual(row: &'static Row) -> Self {
        Self {
            row,
            text: row.text.to_owned(),
        }
    }

    /// An error that says more.
    pub(crate) fn saying(row: &'static Row, text: String) -> Self {
        Self { row, text }
    }

    /// The body. `trace_id` is the `x-ms-request-id` of the answer, `correlation_id` the caller's `client-request-id`.
    pub(crate) fn body(&self, trace_id: &str, correlation_id: &str, settings: &Settings) -> Value {
        let timestamp = timestamp(SystemTime::now());
        let gap = if settings.crlf_errors { "\r\n" } else { " " };
        let description = format!(
            "AADSTS{}: {}{gap}Trace ID: {trace_id}{gap}Correlation ID: {correlation_id}{gap}Timestamp: {timestamp}",
            self.row.code, self.text
        );
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

const fn client(code: u32, text: &'static str) -> Row {
    Row {
        code,
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        suberror: None,
        claims: false,
        text,
    }
}

const fn bad(code: u32, error: &'static str, text: &'static str) -> Row {
    Row {
        code,
        status: StatusCode::BAD_REQUEST,
        error,
        suberror: None,
        claims: false,
        text,
    }
}

const fn grant(code: u32, suberror: Option<&'static str>, claims: bool, text: &'static str) -> Row {
    Row {
        code,
        status: StatusCode::BAD_REQUEST,
        error: "invalid_grant",
        suberror,
        claims,
        text,
    }
}

const fn transient(code: u32, status: StatusCode, error: &'static str, text: &'static str) -> Row {
    Row {
        code,
        status,
        error,
        suberror: None,
        claims: false,
        text,
    }
}

pub(crate) static WRONG_SECRET: Row = client(
    7_000_215,
    "Invalid client secret provided for the application.",
);
pub(crate) static NO_CREDENTIAL: Row = client(
    7_000_216,
    "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
);
pub(crate) static BAD_ASSERTION: Row = client(
    700_027,
    "The certificate with identifier used to sign the client assertion is not registered on application.",
);
pub(crate) static UNKNOWN_APP: Row = bad(
    700_016,
    "unauthorized_client",
    "The application was not found in the directory.",
);
pub(crate) static UNKNOWN_TENANT: Row = bad(
    90002,
    "invalid_request",
    "Tenant not found. Check that the tenant id is right and that it is in this cloud.",
);
pub(crate) static MISSING_FIELD: Row = bad(
    900_144,
    "invalid_request",
    "The request body must contain the following parameter: 'grant_type'.",
);
pub(crate) static POST_ONLY: Row = bad(
    900_561,
    "invalid_request",
    "The endpoint only accepts POST requests. Received a GET request.",
);
pub(crate) static BAD_GRANT_TYPE: Row = bad(
    70003,
    "unsupported_grant_type",
    "The app requested a grant type that is not supported here.",
);
pub(crate) static UNKNOWN_RESOURCE: Row = bad(
    500_011,
    "invalid_resource",
    "The resource principal was not found in the tenant.",
);
pub(crate) static BAD_SCOPE: Row = bad(
    70011,
    "invalid_scope",
    "The provided value for 'scope' is not valid.",
);
pub(crate) static SCOPE_NOT_DEFAULT: Row = bad(
    1_002_012,
    "invalid_scope",
    "The provided value for scope is not valid. Client credential flows must have a scope value with /.default \
     suffixed to the resource identifier (application ID URI).",
);
pub(crate) static MALFORMED: Row = bad(
    9_002_313,
    "invalid_request",
    "Invalid request. Request is malformed or invalid.",
);

/// Every error that can be asked for.
static ROWS: &[&Row] = &[
    &WRONG_SECRET,
    &client(
        7_000_222,
        "The provided client secret keys for the app are expired.",
    ),
    &NO_CREDENTIAL,
    &client(
        7_000_218,
        "The request body must contain 'client_assertion' or 'client_secret'.",
    ),
    &BAD_ASSERTION,
    &client(
        700_024,
        "Client assertion is not within its valid time range.",
    ),
    &client(50012, "Authentication failed."),
    &client(50027, "Invalid JWT token."),
    &UNKNOWN_APP,
    &bad(
        7_000_112,
        "unauthorized_client",
        "The application is disabled.",
    ),
    &bad(
        70001,
        "unauthorized_client",
        "The application is disabled or was not found.",
    ),
    &bad(
        700_011,
        "unauthorized_client",
        "The application was not found in the directory.",
    ),
    &UNKNOWN_TENANT,
    &MISSING_FIELD,
    &POST_ONLY,
    &MALFORMED,
    &bad(
        70021,
        "invalid_request",
        "No matching federated identity record found for the presented assertion.",
    ),
    &UNKNOWN_RESOURCE,
    &bad(
        50001,
        "invalid_resource",
        "The resource was not found or is not enabled in the tenant.",
    ),
    &BAD_SCOPE,
    &SCOPE_NOT_DEFAULT,
    &bad(
        28002,
        "invalid_scope",
        "The provided value for scope is not valid when requesting an access token.",
    ),
    &BAD_GRANT_TYPE,
    &grant(
        65001,
        Some("consent_required"),
        false,
        "The user or administrator has not consented to use the application.",
    ),
    &grant(
        53003,
        Some("message_only"),
        true,
        "Access has been blocked by Conditional Access policies.",
    ),
    &grant(
        50076,
        Some("basic_action"),
        true,
        "You must use multi-factor authentication to access the resource.",
    ),
    &grant(
        50079,
        Some("basic_action"),
        true,
        "You must enroll in multi-factor authentication to access the resource.",
    ),
    &grant(
        70000,
        None,
        false,
        "The provided grant is invalid or malformed.",
    ),
    &grant(
        70008,
        Some("token_expired"),
        false,
        "The refresh token has expired due to inactivity.",
    ),
    &grant(
        700_082,
        Some("token_expired"),
        false,
        "The refresh token has expired due to inactivity.",
    ),
    &grant(
        70043,
        Some("token_expired"),
        false,
        "The refresh token has expired due to sign-in frequency checks.",
    ),
    &grant(
        50173,
        Some("bad_token"),
        false,
        "The provided grant has expired due to it being revoked.",
    ),
    &grant(
        50126,
        None,
        false,
        "Error validating credentials due to invalid username or password.",
    ),
    &grant(
        50196,
        None,
        false,
        "The server terminated the operation because it found a client request loop.",
    ),
    &bad(
        50158,
        "interaction_required",
        "External security challenge was not satisfied.",
    ),
    &transient(
        90033,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "A transient error has occurred. Please try again.",
    ),
    &transient(
        90006,
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "External server retryable error.",
    ),
    &transient(
        90012,
        StatusCode::GATEWAY_TIMEOUT,
        "temporarily_unavailable",
        "The request has timed out.",
    ),
    &transient(
        90024,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "A transient error has occurred. Please try again.",
    ),
    &transient(
        90090,
        StatusCode::INTERNAL_SERVER_ERROR,
        "server_error",
        "A transient error has occurred. Please try again.",
    ),
    &transient(
        50033,
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        "A transient error has occurred. Please try again.",
    ),
    &transient(
        50087,
        StatusCode::BAD_REQUEST,
        "temporarily_unavailable",
        "A transient error has occurred during single sign-out.",
    ),
];

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::super::Options;
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

    #[test]
    fn numbers_are_unique() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS.iter()
                    .skip(index + 1)
                    .all(|other| other.code != row.code),
                "{}",
                row.code
            );
        }
    }
}
