//! Where Azure hands a machine the tokens of its managed identities: the instance metadata service of a virtual machine, the
//! endpoint of App Service, and the agent of Azure Arc.
//!
//! Entra ID, "How to use managed identities for Azure resources on an Azure VM to acquire an access token"; App Service, "REST
//! endpoint reference"; Azure Arc, "Authenticate against Azure resources with Azure Arc-enabled servers".

mod answers;
mod arc;
mod identity;
mod platform;
mod source;
mod token;

use std::collections::HashMap;

use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use url::form_urlencoded;

use super::actions::Queue;
use super::answers::plain_text;
use super::api::Answer;
use super::calls::wait;
use super::counters::InFlight;
use super::effects::{Damage, Effect};
use super::outgoing::Outgoing;
use super::state::{Listener, State};
use super::wire::{self, Abort, Delivery};

pub(crate) use self::platform::Platform;
use self::source::Source;

/// Answers a request for a token of a managed identity.
pub(crate) async fn answer(
    state: &State,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Abort> {
    let recorded = state.requests.record(Listener::Managed, &request);
    let delivery = Delivery::new(&request, InFlight::counted(&state.counters));
    let (parts, body) = request.into_parts();
    // Nothing in a body matters here; it is read so that the connection can be kept.
    wire::read(body, MAX_BODY, &recorded).await?;
    let (answer, damage) = if let Some(source) = Source::of(parts.uri.path()) {
        token_request(state, source, &parts).await
    } else {
        let text = "No endpoint of managed identities has this path.".to_owned();
        (plain_text(StatusCode::NOT_FOUND, text), None)
    };
    delivery.damaged(damage).send(answer)
}

/// Counts a request and answers it, or does what is scripted for it.
async fn token_request(state: &State, source: Source, parts: &Parts) -> (Answer, Option<Damage>) {
    let call = Call::of(parts);
    state.managed.counted(source, &call);
    let usual = || token::answer(state, source, &call);
    match state
        .faults
        .take(Queue::Managed, Listener::Managed, parts.uri.path())
    {
        Some(Effect::Plain(plain)) => (source.scripted(plain), None),
        Some(Effect::Wait(pause)) => {
            wait(state, pause).await;
            (usual(), None)
        }
        Some(Effect::Damage(damage)) => (usual(), Some(damage)),
        Some(Effect::Entra(_) | Effect::Api(_) | Effect::Partial) | None => (usual(), None),
    }
}

/// One request, taken apart.
struct Call<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    query: HashMap<String, String>,
}

impl<'a> Call<'a> {
    fn of(parts: &'a Parts) -> Self {
        let query = parts.uri.query().unwrap_or_default();
        Self {
            method: &parts.method,
            headers: &parts.headers,
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }
}

const MAX_BODY: usize = 64 * 1024;
