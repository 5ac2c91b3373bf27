//! From an answer to a response, and from a request to its body.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::rewrite::Encodings;

use super::api::{Answer, Payload};
use super::counters::InFlight;
use super::effects::Damage;
use super::gzip::compress;
use super::outgoing::Outgoing;
use super::requests::Recorded;

/// How one answer is to travel.
pub(crate) struct Delivery {
    head: bool,
    vary: bool,
    gzip: bool,
    damage: Option<Damage>,
    in_flight: InFlight,
}

impl Delivery {
    /// Whole and uncompressed.
    pub(crate) fn new<B>(request: &Request<B>, in_flight: InFlight) -> Self {
        Self {
            head: request.method() == Method::HEAD,
            vary: false,
            gzip: false,
            damage: None,
            in_flight,
        }
    }

    /// Compressed, if that is `enabled`, when the client accepts it.
    pub(crate) fn compressed(self, enabled: bool, headers: &HeaderMap) -> Self {
        Self {
            vary: enabled,
            gzip: enabled && Encodings::of(headers).gzip(),
            ..self
        }
    }

    pub(crate) fn damaged(self, damage: Option<Damage>) -> Self {
        Self { damage, ..self }
    }

    /// Fails when the fault is that nothing of the answer shall arrive.
    pub(crate) fn send(mut self, answer: Answer) -> Result<Response<Outgoing>, Abort> {
        let Answer {
            status,
            headers,
            payload,
        } = answer;
        let mut response = Response::new(());
        *response.status_mut() = status;
        for (name, value) in headers {
            response.headers_mut().append(name, value);
        }
        if self.vary {
            response
                .headers_mut()
                .append(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        let payload = self.cut_json(payload);
        let payload = if self.gzip {
            compress(payload, response.headers_mut())
        } else {
            payload
        };
        let empty = matches!(payload, Payload::Empty);
        match self.damage {
            Some(Damage::BeforeHeaders) => return Err(self.abort()),
            Some(Damage::MidBody | Damage::Truncate(_)) if empty => return Err(self.abort()),
            Some(Damage::MidBody | Damage::Truncate(_) | Damage::Slow(_) | Damage::CutJson)
            | None => {}
        }
        if self.head {
            if let Payload::Full(body) = &payload {
                response
                    .headers_mut()
                    .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            }
            self.in_flight.done();
            return Ok(response.map(|()| Outgoing::new(Payload::Empty, None, self.in_flight)));
        }
        Ok(response.map(|()| Outgoing::new(payload, self.damage, self.in_flight)))
    }

    fn cut_json(&self, payload: Payload) -> Payload {
        if self.damage != Some(Damage::CutJson) {
            return payload;
        }
        match payload {
            Payload::Empty => Payload::Empty,
            Payload::Full(body) => Payload::Full(body.slice(..body.len() / 2)),
            Payload::Chunks(chunks) => Payload::Chunks(Box::new(
                chunks.take(1).map(|chunk| chunk.slice(..chunk.len() / 2)),
            )),
        }
    }

    fn abort(mut self) -> Abort {
        self.in_flight.done();
        Abort::OnPurpose
    }
}

/// Why a request ends without a (whole) answer; hyper then ends the connection, or the stream of
/// HTTP/2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Abort {
    #[error("the answer is broken off as scripted")]
    OnPurpose,
    #[error("the client went away amid its request")]
    ClientGone,
}

/// Reads a request body of at most `limit` bytes; `Ok(None)` when it is longer. That is read to its end too, and dropped: an
/// answer amid the body would race with the client.
pub(crate) async fn read(
    mut body: Incoming,
    limit: usize,
    recorded: &Recorded,
) -> Result<Option<Bytes>, Abort> {
    let mut kept = Some(BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Abort::ClientGone)?.into_data() else {
            continue;
        };
        recorded.read(data.len());
        kept = kept.filter(|kept| kept.len() + data.len() <= limit);
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&data);
        }
    }
    Ok(kept.map(BytesMut::freeze))
}
