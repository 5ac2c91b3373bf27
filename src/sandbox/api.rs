//! What the Defender and Graph stand-ins answer, from records that are the same at every start. Changes stay until a
//! reset; machine actions move on by being looked at.
//!
//! Tokens, rate limits, faults and the wire are not here; the server calls [`Api::answer`] after it has seen to them.

mod actions;
mod alerts;
mod catalogue;
mod devices;
mod evidence;
mod export;
mod facts;
mod filter;
mod graph;
mod hunting;
mod incidents;
mod indicators;
mod labels;
mod library;
mod machines;
mod names;
mod odata;
mod page;
mod refusal;
mod reply;
mod request;
mod stream;
mod texts;
mod times;
mod triage;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use serde_json::json;

use self::hunting::Dialect;
use self::labels::Labels;
use self::refusal::Refusal;
use self::request::{Family, Request};
use self::world::{Store, Worlds};
use super::Now;

/// A call that passed the gate.
pub(crate) struct Call<'a> {
    /// Whose data it is about.
    pub(crate) tenant: &'a str,
    pub(crate) method: &'a Method,
    /// Percent-encoded, as received.
    pub(crate) path: &'a str,
    /// As received, without the `?`.
    pub(crate) query: Option<&'a str>,
    /// The whole body, if it was small.
    pub(crate) body: &'a [u8],
    /// What `@odata.nextLink` and `@odata.context` name: scheme and host, without a slash at the end.
    pub(crate) link_origin: &'a str,
    /// The header `client-request-id`.
    pub(crate) client_request_id: Option<&'a str>,
    /// A new GUID for an error.
    pub(crate) tracking: &'a dyn Fn() -> String,
}

/// An answer, not yet on the wire.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) payload: Payload,
}

/// The body of an answer.
pub(crate) enum Payload {
    /// None at all.
    Empty,
    /// All of it.
    Full(Bytes),
    /// Made while it is read, so that memory stays flat; to be sent without a length.
    Chunks(Box<dyn Iterator<Item = Bytes> + Send>),
}

/// The API of one sandbox with its records.
pub(crate) struct Api {
    worlds: Arc<Worlds>,
    /// The tenant whose records have the names of the start.
    home: String,
}

impl Api {
    /// The API with its records as they are at the start, dated from `now`. Those of another tenant than `home` have names of
    /// their own.
    pub(crate) fn new(home: &str, now: Now) -> Self {
        Self {
            worlds: Arc::new(Worlds::new(now)),
            home: home.to_owned(),
        }
    }

    /// Answers `call`. Everything has an answer; what is wrong gets the error object of its family.
    pub(crate) fn answer(&self, call: &Call<'_>) -> Answer {
        if call.tenant == self.home {
            self.look_up(call)
        } else {
            Labels::of(call.tenant).between(call, |call| self.look_up(call))
        }
    }

    fn look_up(&self, call: &Call<'_>) -> Answer {
        let request = Request::parse(call, self.worlds.page_size());
        let store = Store::new(&self.worlds, call.tenant);
        let answer = match request.family {
            Family::Defender => defender(&store, &request),
            Family::Graph | Family::GraphBeta => {
                graph::answer(&store, &request, &request.segments())
            }
            Family::Unknown => Err(Refusal::NoSuchPath),
        };
        answer.unwrap_or_else(|refusal| reply::refused(&request, &refusal))
    }

    /// Takes everything back to the start: records, counts, size of pages.
    pub(crate) fn reset(&self) {
        self.worlds.reset();
    }

    /// How often each `POST` that must not be sent twice was executed, as in `"POST isolate"`, for all tenants together.
    pub(crate) fn executions(&self) -> BTreeMap<String, u64> {
        self.worlds.executions()
    }

    /// Sets the records in a page of every list (for calls without `$top`), or goes back to the documented sizes.
    pub(crate) fn page_size(&self, size: Option<usize>) {
        // A page of none would never come to the end.
        self.worlds.set_page_size(size.map(|size| size.max(1)));
    }
}

fn defender(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let segments = request.segments();
    match segments[..] {
        ["incidents", ref rest @ ..] => incidents::answer(store, request, rest),
        ["alerts", ref rest @ ..] => alerts::answer(store, request, rest),
        ["machines", ref rest @ ..] => machines::answer(store, request, rest),
        ["machineactions", ref rest @ ..] => actions::answer(store, request, rest),
        ["indicators", ref rest @ ..] => indicators::answer(store, request, rest),
        ["libraryfiles", ref rest @ ..] => library::answer(store, request, rest),
        ["advancedhunting", "run"] => hunting::run(store, request, Dialect::Xdr),
        ["advancedqueries", "run"] => hunting::run(store, request, Dialect::Endpoint),
        ["users" | "files" | "domains" | "ips", ..] => alerts::of_entity(store, request, &segments),
        [kind @ ("exposurescore" | "configurationscore")] => catalogue::score(store, request, kind),
        ["sandbox", "echo", ..] => Ok(echo(request)),
        _ => catalogue::answer(store, request, &segments),
    }
}

/// An error of Defender's shape; `target` is its tracking id.
pub(crate) fn error(status: StatusCode, code: &str, message: &str, target: String) -> Answer {
    reply::with_json(status, &reply::error_body(code, message, target))
}

/// An error of Graph's shape.
pub(crate) fn graph_error(
    status: StatusCode,
    code: &str,
    message: &str,
    ids: RequestIds<'_>,
) -> Answer {
    reply::with_json(status, &reply::graph_error_body(code, message, ids))
}

/// The two ids in an error of Graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIds<'a> {
    /// The one Graph gave the request.
    pub(crate) own: &'a str,
    /// The client's `client-request-id`; Graph takes its own in the place of none.
    pub(crate) client: Option<&'a str>,
}

/// What reached the sandbox: the request target byte for byte, and how much body.
fn echo(request: &Request<'_>) -> Answer {
    let call = request.call;
    let target = call.query.map_or_else(
        || call.path.to_owned(),
        |query| format!("{}?{query}", call.path),
    );
    reply::ok(
        &json!({"method": call.method.as_str(), "target": target, "bodyBytes": call.body.len()}),
    )
}

#[cfg(test)]
mod tests;
