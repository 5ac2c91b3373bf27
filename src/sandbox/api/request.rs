//! A call taken apart once: family, path segments, query, body.

use std::borrow::Cow;

use http::Method;
use serde_json::{Map, Value};

use super::Call;
use super::odata::{self, Query};
use super::refusal::Refusal;

/// A call whose path and query are decoded.
pub(super) struct Request<'a> {
    pub(super) call: &'a Call<'a>,
    /// `GET` also for `HEAD`, whose body the server drops.
    pub(super) method: &'a Method,
    pub(super) family: Family,
    /// Decoded and in lower case: paths match case-insensitively. An id with capitals is compared letter case aside.
    segments: Vec<String>,
    pub(super) query: Query,
    /// The size of pages set for the whole sandbox, if any.
    pub(super) page_size: Option<usize>,
}

impl<'a> Request<'a> {
    /// Takes `call` apart. The prefix of the family is no longer among the segments.
    pub(super) fn parse(call: &'a Call<'a>, page_size: Option<usize>) -> Self {
        let mut segments: Vec<String> = call
            .path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(|part| odata::decode(part, false))
            .collect();
        for segment in &mut segments {
            segment.make_ascii_lowercase();
        }
        let (family, prefix) = match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["api", "v1.0", ..] => (Family::Defender, 2),
            ["api", ..] => (Family::Defender, 1),
            ["v1.0", "security", ..] => (Family::Graph, 2),
            ["beta", "security", ..] => (Family::GraphBeta, 2),
            _ => (Family::Unknown, 0),
        };
        segments.drain(..prefix);
        let method = if call.method == Method::HEAD {
            &Method::GET
        } else {
            call.method
        };
        Self {
            call,
            method,
            family,
            segments,
            query: Query::parse(call.query),
            page_size,
        }
    }

    /// The segments after the prefix of the family.
    pub(super) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    /// The body as a JSON object.
    ///
    /// # Errors
    ///
    /// [`Refusal::Body`] if it is none.
    pub(super) fn body(&self) -> Result<Map<String, Value>, Refusal> {
        match serde_json::from_slice(self.call.body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(Refusal::Body("a JSON object is expected".to_owned())),
            Err(fault) => Err(Refusal::Body(fault.to_string())),
        }
    }

    /// Refuses the method, naming those allowed.
    pub(super) fn method_refused(&self, allowed: &'static str) -> Refusal {
        Refusal::Method {
            method: self.call.method.to_string(),
            allowed,
        }
    }

    /// `@odata.context` of an answer of `kind`.
    pub(super) fn context(&self, kind: &str) -> String {
        format!(
            "{}{}/$metadata#{kind}",
            self.call.link_origin,
            self.family.base()
        )
    }

    /// The request target with `more` added to the query parts in `keep`, as an absolute link.
    pub(super) fn link(&self, keep: &[&str], more: &str) -> String {
        let parts: Vec<&str> = keep.iter().copied().chain([more]).collect();
        format!(
            "{}{}?{}",
            self.call.link_origin,
            self.call.path,
            parts.join("&")
        )
    }
}

/// Which API the path belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// `/api/…`: Defender XDR and Defender for Endpoint, whose conventions are the same.
    Defender,
    /// `/v1.0/security/…`.
    Graph,
    /// `/beta/security/…`.
    GraphBeta,
    /// No API at all; refused in Defender's way.
    Unknown,
}

impl Family {
    /// Whether Microsoft Graph answers.
    pub(super) fn is_graph(self) -> bool {
        matches!(self, Self::Graph | Self::GraphBeta)
    }

    fn base(self) -> &'static str {
        match self {
            Self::Defender | Self::Unknown => "/api",
            Self::Graph => "/v1.0",
            Self::GraphBeta => "/beta",
        }
    }
}

/// The string `field` of a body.
///
/// # Errors
///
/// [`Refusal::Missing`] if it is absent, null or empty, [`Refusal::Body`] if it is no string.
pub(super) fn required<'a>(
    body: &'a Map<String, Value>,
    field: &'static str,
) -> Result<&'a str, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Err(Refusal::Missing(field)),
        Some(Value::String(text)) if text.trim().is_empty() => Err(Refusal::Missing(field)),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Refusal::Body(format!("{field} must be a string"))),
    }
}

/// The strings of the array `field` of a body.
///
/// # Errors
///
/// [`Refusal::Missing`] if it is absent, [`Refusal::Body`] if it is not an array of strings.
pub(super) fn required_texts<'a>(
    body: &'a Map<String, Value>,
    field: &'static str,
) -> Result<Vec<&'a str>, Refusal> {
    let Some(list) = body.get(field) else {
        return Err(Refusal::Missing(field));
    };
    let texts = list
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect());
    texts.ok_or_else(|| Refusal::Body(format!("{field} must be an array of strings")))
}

/// The text of `field` in a record of ours, empty if it is not there.
pub(super) fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_default()
}

/// A record as it is stored or as it was reshaped for an answer.
pub(super) type Shaped<'a> = Cow<'a, Value>;
