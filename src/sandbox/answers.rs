//! Answers that need no data.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::Value;

use super::api::{Answer, Payload};

pub(crate) fn json(status: StatusCode, body: &Value) -> Answer {
    Answer {
        status,
        headers: vec![(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        )],
        payload: Payload::Full(Bytes::from(body.to_string())),
    }
}

/// An error page as front doors send it.
pub(crate) fn html(status: StatusCode) -> Answer {
    let reason = status.canonical_reason().unwrap_or("Error");
    let (code, kind) = (
        status.as_u16(),
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    let page = format!(
        "<!DOCTYPE html>\r\n<html><head><title>{code} {reason}</title></head>\r\n<body><h1>{reason}</h1>\
         <p>The service is unavailable.</p></body></html>\r\n"
    );
    Answer {
        status,
        headers: vec![(CONTENT_TYPE, kind)],
        payload: Payload::Full(Bytes::from(page)),
    }
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        payload: Payload::Empty,
    }
}

pub(crate) fn plain_text(status: StatusCode, body: String) -> Answer {
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Answer {
        status,
        headers: vec![(CONTENT_TYPE, kind)],
        payload: Payload::Full(Bytes::from(body)),
    }
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
