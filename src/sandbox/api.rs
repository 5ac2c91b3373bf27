//! Temporary stub of the data behind the API stand-ins.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

pub(crate) struct Call<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) query: Option<&'a str>,
    pub(crate) body: &'a [u8],
    pub(crate) link_origin: &'a str,
    pub(crate) tracking: &'a dyn Fn() -> String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) payload: Payload,
}

pub(crate) enum Payload {
    Empty,
    Full(Bytes),
    Chunks(Box<dyn Iterator<Item = Bytes> + Send>),
}

pub(crate) struct Api;

impl Api {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn answer(&self, call: &Call<'_>) -> Answer {
        let target = call.query.map_or_else(
            || call.path.to_owned(),
            |query| format!("{}?{query}", call.path),
        );
        let body = json!({
            "@odata.context": call.link_origin, "method": call.method.as_str(), "target": target,
            "bodyBytes": call.body.len(), "tracking": (call.tracking)(),
            "value": vec!["sandbox"; 200],
        });
        json_answer(StatusCode::OK, &body)
    }

    pub(crate) fn reset(&self) {}

    pub(crate) fn executions(&self) -> BTreeMap<String, u64> {
        BTreeMap::new()
    }

    pub(crate) fn page_size(&self, _size: Option<usize>) {}
}

pub(crate) fn error(status: StatusCode, code: &str, message: &str, target: String) -> Answer {
    json_answer(
        status,
        &json!({"error": {"code": code, "message": message, "target": target}}),
    )
}

pub(crate) fn graph_error(
    status: StatusCode,
    code: &str,
    message: &str,
    request_id: String,
) -> Answer {
    json_answer(
        status,
        &json!({"error": {"code": code, "message": message, "innerError": {"request-id": request_id}}}),
    )
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Answer {
    Answer {
        status,
        headers: vec![(
            CONTENT_TYPE,
            HeaderValue::from_static("application/json; charset=utf-8"),
        )],
        payload: Payload::Full(Bytes::from(body.to_string())),
    }
}
