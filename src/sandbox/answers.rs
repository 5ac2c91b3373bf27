//! Answers that need no data.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::api::{Answer, Payload};

impl Answer {
    /// An answer with all of its body, of the type `kind`.
    pub(crate) fn with_body(
        status: StatusCode,
        kind: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(kind))],
            payload: Payload::Full(body.into()),
        }
    }

    /// An answer without a body.
    pub(crate) const fn without_body(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            payload: Payload::Empty,
        }
    }
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    Answer::with_body(status, "application/json; charset=utf-8", body.to_string())
}

/// A page for a person; title and body are HTML.
pub(crate) fn page(status: StatusCode, title: &str, body: &str) -> Answer {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><h1>{title}</h1>{body}</body></html>\n"
    );
    Answer::with_body(status, "text/html; charset=utf-8", page)
}

/// An error page as front doors send it.
pub(crate) fn html(status: StatusCode) -> Answer {
    let (code, reason) = (
        status.as_u16(),
        status.canonical_reason().unwrap_or("Error"),
    );
    let page = format!(
        "<!DOCTYPE html>\r\n<html><head><title>{code} {reason}</title></head>\r\n<body><h1>{reason}</h1>\
         <p>The service is unavailable.</p></body></html>\r\n"
    );
    Answer::with_body(status, "text/html; charset=utf-8", page)
}

pub(crate) fn plain_text(status: StatusCode, body: String) -> Answer {
    Answer::with_body(status, "text/plain; charset=utf-8", body)
}

pub(crate) fn usual_code(status: StatusCode) -> &'static str {
    match status {
        StatusCode::BAD_REQUEST => "BadRequest",
        StatusCode::UNAUTHORIZED => "Unauthorized",
        StatusCode::FORBIDDEN => "Forbidden",
        StatusCode::NOT_FOUND => "NotFound",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::BAD_GATEWAY => "BadGateway",
        StatusCode::SERVICE_UNAVAILABLE => "ServiceUnavailable",
        StatusCode::GATEWAY_TIMEOUT => "GatewayTimeout",
        _ => "InternalServerError",
    }
}

/// Internal errors come without a message.
pub(crate) fn usual_message(status: StatusCode) -> &'static str {
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        ""
    } else {
        status.canonical_reason().unwrap_or_default()
    }
}
