//! An API call from its arrival to its answer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{RETRY_AFTER, WARNING};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::cloud::Family;

use super::actions::Queue;
use super::answers::{html, plain_text, usual_code, usual_message};
use super::api::{Answer, Call, RequestIds};
use super::blobs::{self, Limit};
use super::counters::InFlight;
use super::effects::{ApiFault, Effect, HuntingFault, Plain, StatusFault, Wait};
use super::entra::NO_HSTS;
use super::family;
use super::gate::{self, BearerFault};
use super::outgoing::Outgoing;
use super::requests::Recorded;
use super::settings::Settings;
use super::state::{Listener, State, guid};
use super::tokens::Grant;
use super::wire::{self, Abort, Delivery};

/// Answers a call of one of the APIs.
pub(crate) async fn answer(
    state: &State,
    listener: Listener,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Abort> {
    let settings = state.settings();
    let recorded = state.requests.record(listener, &request);
    let family = family::of(listener, request.uri().path());
    state
        .counters
        .api_call(family.map_or("other", family::name));
    let delivery = Delivery::new(&request, InFlight::counted(&state.counters))
        .compressed(settings.gzip, request.headers());
    let effect = state
        .faults
        .take(Queue::Api, listener, request.uri().path());
    let (parts, body) = request.into_parts();
    let exchange = Exchange {
        state,
        listener,
        settings,
        parts,
        request_id: guid(),
    };
    // A body that is kept is read before any answer, so that a refusal never races with a client that is still sending.
    // An upload that is only counted is read afterwards, or not at all.
    let inbound = exchange.receive(body, &recorded).await?;
    let damage = match &effect {
        Some(Effect::Damage(damage)) => Some(*damage),
        Some(
            Effect::Wait(_)
            | Effect::Plain(_)
            | Effect::Partial
            | Effect::Api(_)
            | Effect::Entra(_),
        )
        | None => None,
    };
    let mut answer = match effect {
        Some(Effect::Plain(plain)) => exchange.plain(plain),
        Some(Effect::Api(fault)) => exchange.fault(fault),
        Some(Effect::Wait(pause)) => {
            wait(state, pause).await;
            exchange.usual(family, inbound, &recorded).await?
        }
        Some(Effect::Partial) => partial(exchange.usual(family, inbound, &recorded).await?),
        Some(Effect::Damage(_) | Effect::Entra(_)) | None => {
            exchange.usual(family, inbound, &recorded).await?
        }
    };
    exchange.label(&mut answer);
    state.counters.api_status(answer.status);
    delivery.damaged(damage).send(answer)
}

/// The pause of a scripted fault.
pub(crate) async fn wait(state: &State, pause: Wait) {
    match pause {
        Wait::Delay(delay) => tokio::time::sleep(delay).await,
        Wait::Hold(name) => state.holds.wait(&name).await,
    }
}

/// Marks an answer as one that lacks the data of a provider that timed out, as Graph does: the body is whole JSON and has
/// nothing to do with ranges. An error stays as it is.
fn partial(mut answer: Answer) -> Answer {
    if answer.status == StatusCode::OK {
        answer.status = StatusCode::PARTIAL_CONTENT;
        answer
            .headers
            .push((WARNING, HeaderValue::from_static(PROVIDER_WARNING)));
    }
    answer
}

/// One call and what is known of it.
pub(crate) struct Exchange<'a> {
    pub(crate) state: &'a State,
    pub(crate) listener: Listener,
    pub(crate) settings: Arc<Settings>,
    pub(crate) parts: Parts,
    /// Tracking GUID: in the headers, and in the body of an error.
    request_id: String,
}

impl Exchange<'_> {
    /// An error in the shape of this server's API.
    pub(crate) fn error(&self, status: StatusCode, code: &str, message: &str) -> Answer {
        let ids = RequestIds {
            own: &self.request_id,
            client: self.client_request_id(),
        };
        self.listener.error(status, code, message, ids)
    }

    /// The id that a client of Graph gives its request.
    fn client_request_id(&self) -> Option<&str> {
        let id = self.parts.headers.get("client-request-id")?;
        id.to_str().ok()
    }

    async fn receive(&self, body: Incoming, recorded: &Recorded) -> Result<Inbound, Abort> {
        let (method, path) = (&self.parts.method, self.parts.uri.path());
        if blobs::is_upload(path) {
            return Ok(Inbound::Stream(body));
        }
        let limit = blobs::limit(method, path);
        Ok(match wire::read(body, limit.bytes, recorded).await? {
            Some(bytes) => Inbound::Kept(bytes),
            None => Inbound::TooLong(limit),
        })
    }

    async fn usual(
        &self,
        family: Option<Family>,
        inbound: Inbound,
        recorded: &Recorded,
    ) -> Result<Answer, Abort> {
        let Some(family) = family else {
            return Ok(self.error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "No such API on this host.",
            ));
        };
        let grant = match gate::admit(self, family) {
            Ok(grant) => grant,
            Err(refusal) => return Ok(refusal),
        };
        match inbound {
            Inbound::Stream(body) => blobs::upload(body, recorded).await,
            Inbound::Kept(body) => Ok(self.data(&grant, &body)),
            Inbound::TooLong(limit) => {
                let message = format!("The request body is larger than {}.", limit.name);
                Ok(self.error(StatusCode::PAYLOAD_TOO_LARGE, "InvalidInput", &message))
            }
        }
    }

    fn data(&self, grant: &Grant, body: &[u8]) -> Answer {
        let (method, uri) = (&self.parts.method, &self.parts.uri);
        if let Some(download) = blobs::download(method, uri.path(), uri.query()) {
            return download.unwrap_or_else(|problem| {
                self.error(StatusCode::BAD_REQUEST, "InvalidInput", &problem)
            });
        }
        let own = match self.listener {
            Listener::Graph => &self.state.origins.graph,
            Listener::Defender | Listener::Entra | Listener::Managed => {
                &self.state.origins.defender
            }
        };
        self.state.api.answer(&Call {
            tenant: &grant.tenant,
            method,
            path: uri.path(),
            query: uri.query(),
            body,
            link_origin: family::link_origin(grant.family, self.settings.links).unwrap_or(own),
            client_request_id: self.client_request_id(),
            tracking: &|| self.request_id.clone(),
        })
    }

    fn plain(&self, plain: Plain) -> Answer {
        match plain {
            Plain::Html(status) => html(status),
            Plain::Empty(status) => Answer::without_body(status),
            Plain::Status(StatusFault {
                status,
                retry_after,
                code,
                body,
            }) => {
                let mut answer = match body {
                    Some(body) => plain_text(status, body),
                    None => self.error(
                        status,
                        code.as_deref().unwrap_or_else(|| usual_code(status)),
                        usual_message(status),
                    ),
                };
                if let Some(retry_after) = retry_after {
                    answer.headers.push((RETRY_AFTER, retry_after.header()));
                }
                answer
            }
        }
    }

    fn fault(&self, fault: ApiFault) -> Answer {
        match fault {
            ApiFault::Unauthorized => gate::unauthorized(self, &BearerFault::Scripted),
            ApiFault::Licence => gate::unauthorized(self, &BearerFault::Licence),
            ApiFault::ClaimsChallenge => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                gate::claims_challenge(self, now.map_or(0, |now| now.as_secs()))
            }
            ApiFault::Hunting(fault) => self.hunting(fault),
        }
    }

    fn hunting(&self, fault: HuntingFault) -> Answer {
        match fault {
            HuntingFault::CpuQuota => {
                let message = "The CPU quota of the tenant is used up. Queries run again in the next 15 minute cycle.";
                let mut answer =
                    self.error(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
                answer.headers.push((RETRY_AFTER, HeaderValue::from(900)));
                answer
            }
            HuntingFault::Timeout400 => self.error(
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "The query ran longer than 200 seconds and was ended.",
            ),
            HuntingFault::Timeout504 => self.error(StatusCode::GATEWAY_TIMEOUT, "UnknownError", ""),
            HuntingFault::Oversize => {
                let message = "Query execution has exceeded the allowed result size of 124 MB (130023424 bytes). \
                               Optimize your query by limiting the number of results and try again.";
                self.error(StatusCode::BAD_REQUEST, "BadRequest", message)
            }
        }
    }

    /// The headers every answer of this server has.
    fn label(&self, answer: &mut Answer) {
        let id = HeaderValue::try_from(self.request_id.as_str())
            .unwrap_or(HeaderValue::from_static("-"));
        let mut labels = vec![
            (
                HeaderName::from_static("odata-version"),
                HeaderValue::from_static("4.0"),
            ),
            (
                HeaderName::from_static("strict-transport-security"),
                HeaderValue::from_static(NO_HSTS),
            ),
        ];
        match self.listener {
            Listener::Graph => {
                let client_id = self.parts.headers.get("client-request-id").unwrap_or(&id);
                labels.push((
                    HeaderName::from_static("client-request-id"),
                    client_id.clone(),
                ));
                labels.push((
                    HeaderName::from_static("x-ms-ags-diagnostic"),
                    HeaderValue::from_static(DIAGNOSTIC),
                ));
                labels.push((HeaderName::from_static("request-id"), id));
            }
            Listener::Defender | Listener::Entra | Listener::Managed => {
                labels.push((HeaderName::from_static("x-ms-request-id"), id));
            }
        }
        for (name, value) in labels {
            if answer.headers.iter().all(|(present, _)| *present != name) {
                answer.headers.push((name, value));
            }
        }
    }
}

enum Inbound {
    Kept(Bytes),
    Stream(Incoming),
    TooLong(Limit),
}

/// Vendor, provider, its status, milliseconds.
const PROVIDER_WARNING: &str = r#"199 - "Microsoft/Microsoft Defender ATP/504/10000""#;

const DIAGNOSTIC: &str = r#"{"ServerInfo":{"DataCenter":"Sandbox","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"SANDBOX01"}}"#;
