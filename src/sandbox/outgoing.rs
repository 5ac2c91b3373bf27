//! Bodies of answers, and the faults that hit them on their way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use super::api::Payload;
use super::counters::InFlight;
use super::effects::Damage;
use super::wire::Abort;

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
    pub(crate) fn new(payload: Payload, damage: Option<Damage>, mut in_flight: InFlight) -> Self {
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

fn pieces(mut body: Bytes, size: usize) -> impl Iterator<Item = Bytes> + Send {
    std::iter::from_fn(move || {
        let piece = body.split_to(size.min(body.len()));
        (!piece.is_empty()).then_some(piece)
    })
}

const SLOW_PIECES: usize = 8;

/// Where a streamed body is broken off.
const MID_STREAM: u64 = 1024;

/// Time for what came before a break to reach the client; a break at once would overtake it.
const DRAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lose_nothing() {
        let cut: Vec<Bytes> = pieces(Bytes::from_static(b"abcdefg"), 3).collect();
        assert_eq!(cut, ["abc", "def", "g"]);
    }
}
