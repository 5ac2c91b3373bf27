//! Answers: status, content type, JSON bytes.

use std::io;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use serde_json::{Value, json};

use super::refusal::Refusal;
use super::request::Request;
use super::times;
use super::{Answer, Payload, RequestIds};

/// `200` and `value` as JSON.
pub(super) fn ok(value: &impl Serialize) -> Answer {
    with_json(StatusCode::OK, value)
}

/// `status` and `value` as JSON.
pub(super) fn with_json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut body = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut body, Slashes));
    // Writing to memory can't fail, and our records have no keys but strings.
    debug_assert!(written.is_ok());
    Answer {
        status,
        headers: vec![(CONTENT_TYPE, JSON)],
        payload: Payload::Full(Bytes::from(body)),
    }
}

/// One record under the context `kind`, as in `Machines/$entity`.
pub(super) fn entity(request: &Request<'_>, kind: &str, record: &Value) -> Answer {
    #[derive(Serialize)]
    struct Entity<'a> {
        #[serde(rename = "@odata.context")]
        context: String,
        #[serde(flatten)]
        record: &'a Value,
    }
    ok(&Entity {
        context: request.context(&format!("{kind}/$entity")),
        record,
    })
}

/// One bare value under the context `Edm.String`.
pub(super) fn string(request: &Request<'_>, value: &str) -> Answer {
    ok(&json!({"@odata.context": request.context("Edm.String"), "value": value}))
}

/// The bare number that `…/$count` answers.
pub(super) fn count(count: usize) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain"))],
        payload: Payload::Full(Bytes::from(count.to_string())),
    }
}

/// `status` without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        payload: Payload::Empty,
    }
}

/// A JSON body that is made while it is sent.
pub(super) fn streamed(chunks: impl Iterator<Item = Bytes> + Send + 'static) -> Answer {
    Answer {
        status: StatusCode::OK,
        headers: vec![(CONTENT_TYPE, JSON)],
        payload: Payload::Chunks(Box::new(chunks)),
    }
}

/// The answer to a refused call, in the shape of the family that was called.
pub(super) fn refused(request: &Request<'_>, refusal: &Refusal) -> Answer {
    let (status, code, message) = (refusal.status(), refusal.code(), refusal.to_string());
    let tracking = (request.call.tracking)();
    let mut answer = if request.family.is_graph() {
        let ids = RequestIds {
            own: &tracking,
            client: request.call.client_request_id,
        };
        super::graph_error(status, graph_code(refusal), &message, ids)
    } else {
        super::error(status, code, &message, tracking)
    };
    if let Refusal::Method { allowed, .. } = refusal {
        answer
            .headers
            .push((ALLOW, HeaderValue::from_static(allowed)));
    }
    answer
}

/// Defender's error object; `target` is its tracking id.
pub(super) fn error_body(code: &str, message: &str, target: String) -> Value {
    json!({"error": {"code": code, "message": message, "target": Value::String(target)}})
}

/// Graph's error object.
pub(super) fn graph_error_body(code: &str, message: &str, ids: RequestIds<'_>) -> Value {
    let second = times::real() / times::TICKS * times::TICKS;
    let date = times::text(second).trim_end_matches('Z').to_owned();
    let client = ids.client.unwrap_or(ids.own);
    let inner = json!({"date": date, "request-id": ids.own, "client-request-id": client});
    json!({"error": {"code": code, "message": message, "innerError": inner}})
}

/// Graph has fewer codes than Defender.
fn graph_code(refusal: &Refusal) -> &'static str {
    match refusal.status() {
        StatusCode::NOT_FOUND => "ResourceNotFound",
        StatusCode::METHOD_NOT_ALLOWED => "Request_BadRequest",
        _ => "BadRequest",
    }
}

/// Writes `\/` for `/` in prose that names the European host, as some JSON writers do everywhere.
///
/// Both say the same to a JSON reader; whoever edits the bytes must not tell them apart either.
struct Slashes;

impl Formatter for Slashes {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let prose = memchr::memchr(b' ', fragment.as_bytes()).is_some();
        if prose && memchr::memmem::find(fragment.as_bytes(), b"://api-eu.").is_some() {
            return writer.write_all(fragment.replace('/', "\\/").as_bytes());
        }
        writer.write_all(fragment.as_bytes())
    }
}

/// What the API hosts call their JSON.
const JSON: HeaderValue = HeaderValue::from_static("application/json; odata.metadata=minimal");
