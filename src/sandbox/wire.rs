//! From an answer to bytes: compression, and the faults that hit a body on its way.

use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::actions::Damage;
use super::api::{Answer, Payload};
use super::counters::InFlight;
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
            gzip: enabled && accepts_gzip(headers),
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

/// Why a request ends without a (whole) answer; hyper then ends the connection, or the stream of HTTP/2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Abort {
    #[error("the answer is broken off as scripted")]
    OnPurpose,
    #[error("the client went away amid its request")]
    ClientGone,
}

/// The body of an answer.
pub(crate) struct Outgoing {
    chunks: Box<dyn Iterator<Item = Bytes> + Send>,
    /// Bytes to come, when known.
    left: Option<u64>,
    /// Bytes until the body is broken off.
    cut: Option<u64>,
    pause: Duration,
    asleep: Option<Pin<Box<Sleep>>>,
    /// Whether the pause that lets earlier bytes leave before a break has been made.
    drained: bool,
    ended: bool,
    in_flight: InFlight,
}

impl Outgoing {
    fn new(payload: Payload, damage: Option<Damage>, mut in_flight: InFlight) -> Self {
        let pause = match damage {
            Some(Damage::Slow(pause)) => pause,
            Some(
                Damage::BeforeHeaders | Damage::MidBody | Damage::Truncate(_) | Damage::CutJson,
            )
            | None => Duration::ZERO,
        };
        let (chunks, left): (Box<dyn Iterator<Item = Bytes> + Send>, _) = match payload {
            Payload::Empty => (Box::new(std::iter::empty()), Some(0)),
            Payload::Full(body) => {
                let length = body.len() as u64;
                let piece = if pause.is_zero() {
                    body.len()
                } else {
                    body.len().div_ceil(SLOW_PIECES)
                };
                (Box::new(pieces(body, piece)), Some(length))
            }
            Payload::Chunks(chunks) => (chunks, None),
        };
        let cut = match damage {
            Some(Damage::MidBody) => Some(left.map_or(MID_STREAM, |left| left / 2)),
            // A cut at the end would be no cut.
            Some(Damage::Truncate(bytes)) => {
                Some(left.map_or(bytes, |left| bytes.min(left.saturating_sub(1))))
            }
            Some(Damage::BeforeHeaders | Damage::Slow(_) | Damage::CutJson) | None => None,
        };
        if left == Some(0) {
            in_flight.done();
        }
        Self {
            chunks,
            left,
            cut,
            pause,
            asleep: None,
            drained: false,
            ended: false,
            in_flight,
        }
    }

    /// Breaks the body off, a moment after what came before.
    fn break_off(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        if !self.drained {
            self.drained = true;
            let mut asleep = Box::pin(sleep(DRAIN));
            if asleep.as_mut().poll(context).is_pending() {
                self.asleep = Some(asleep);
                return Poll::Pending;
            }
        }
        self.ended = true;
        self.in_flight.done();
        Poll::Ready(Some(Err(Abort::OnPurpose)))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Abort;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abort>>> {
        let this = &mut *self;
        if let Some(asleep) = &mut this.asleep {
            ready!(asleep.as_mut().poll(context));
            this.asleep = None;
        }
        if this.ended {
            return Poll::Ready(None);
        }
        if this.cut == Some(0) {
            return this.break_off(context);
        }
        let Some(mut chunk) = this.chunks.next() else {
            if this.cut.is_some() {
                return this.break_off(context);
            }
            this.ended = true;
            this.in_flight.done();
            return Poll::Ready(None);
        };
        if let Some(cut) = &mut this.cut {
            chunk.truncate(usize::try_from(*cut).unwrap_or(usize::MAX));
            *cut -= chunk.len() as u64;
        }
        if let Some(left) = &mut this.left {
            *left -= chunk.len() as u64;
            if *left == 0 {
                this.in_flight.done();
            }
        }
        if !this.pause.is_zero() {
            let wake = Instant::now() + this.pause;
            this.asleep = Some(Box::pin(tokio::time::sleep_until(wake)));
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Reads a request body of at most `limit` bytes; `Ok(None)` when it is longer.
pub(crate) async fn read(
    body: Incoming,
    limit: usize,
    recorded: &Recorded,
) -> Result<Option<Bytes>, Abort> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            recorded.read(bytes.len());
            Ok(Some(bytes))
        }
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Ok(None),
        Err(_) => Err(Abort::ClientGone),
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0));
            named && !refused
        })
}

/// Compresses text; bodies that are binary or compressed already stay as they are.
fn compress(payload: Payload, headers: &mut HeaderMap) -> Payload {
    let is_text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/"));
    if !is_text || headers.contains_key(CONTENT_ENCODING) || matches!(payload, Payload::Empty) {
        return payload;
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(CONTENT_LENGTH);
    match payload {
        Payload::Empty => Payload::Empty,
        Payload::Full(body) => Payload::Full(Gzip::new(std::iter::once(body)).flatten().collect()),
        Payload::Chunks(chunks) => Payload::Chunks(Box::new(Gzip::new(chunks))),
    }
}

/// Compresses chunk by chunk; holds no more than one chunk and the window.
struct Gzip<I> {
    chunks: I,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I> Gzip<I> {
    fn new(chunks: I) -> Self {
        Self {
            chunks,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        }
    }
}

impl<I: Iterator<Item = Bytes>> Iterator for Gzip<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let Some(chunk) = self.chunks.next() else {
                // Writing to memory does not fail.
                let rest = self.encoder.take()?.finish().unwrap_or_default();
                return (!rest.is_empty()).then(|| Bytes::from(rest));
            };
            encoder.write_all(&chunk).ok()?;
            if encoder.get_ref().len() >= GZIP_PIECE {
                return Some(Bytes::from(std::mem::take(encoder.get_mut())));
            }
        }
    }
}

fn pieces(mut body: Bytes, size: usize) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || {
        let piece = body.split_to(size.min(body.len()));
        (!piece.is_empty()).then_some(piece)
    })
}

const SLOW_PIECES: usize = 8;
const GZIP_PIECE: usize = 8 * 1024;
/// Where a streamed body is broken off.
const MID_STREAM: u64 = 1024;
/// Time for what came before a break to reach the client; a break at once would overtake it.
const DRAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_is_a_matter_of_the_header() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, GZip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), accepted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_stream_is_compressed_piece_by_piece() {
        let chunks: Vec<Bytes> = (0..200u32)
            .map(|seed| {
                (0..4096u32)
                    .map(|index| {
                        seed.wrapping_mul(index)
                            .wrapping_mul(2_654_435_761)
                            .to_be_bytes()[1]
                    })
                    .collect()
            })
            .collect();
        let plain: Vec<u8> = chunks.concat();
        let pieces: Vec<Bytes> = Gzip::new(chunks.into_iter()).collect();
        assert!(pieces.len() > 10, "{} pieces", pieces.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&pieces.concat()[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == plain);
    }

    #[test]
    fn pieces_lose_nothing() {
        let cut: Vec<Bytes> = pieces(Bytes::from_static(b"abcdefg"), 3).collect();
        assert_eq!(cut, ["abc", "def", "g"]);
    }
}
