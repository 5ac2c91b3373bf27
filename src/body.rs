//! The bodies that cross the proxy. All stream; none is ever collected whole.

mod patient;
pub mod whole;

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use tokio::time::Instant;

pub use self::patient::Patient;
use self::whole::Whole;
use crate::stall::Stalled;

/// The largest request body that is kept, in bytes, so that the request can be sent once more after a `401`.
pub const REPLAY_LIMIT: usize = 64 * 1024;

/// The error of a body that broke.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A request body on its way upstream.
///
/// Trailers of the client are dropped: nothing behind the header section may add a field that was stripped from it
/// (RFC 9110 §6.5.1 lets a recipient discard them).
#[derive(Debug)]
pub enum Outgoing {
    /// No body.
    Empty,
    /// Bytes that the proxy made itself (a token request).
    Full(Full<Bytes>),
    /// The client's body, too large to be sent again.
    Streamed {
        /// What the client sends.
        body: Patient<Whole>,
        /// When it last moved.
        progress: Progress,
    },
    /// The client's body, kept while it is small.
    Replayable(Replay),
}

impl Outgoing {
    /// A body that is already in memory.
    #[must_use]
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Self::Full(Full::new(bytes.into()))
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Self::Streamed { body, progress } => {
                let frame = poll_data(body, cx);
                progress.note(&frame);
                frame
            }
            Self::Replayable(replay) => replay.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(body) => body.is_end_stream(),
            Self::Streamed { body, .. } => body.is_end_stream(),
            Self::Replayable(replay) => replay.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(body) => body.size_hint(),
            Self::Streamed { body, .. } => body.size_hint(),
            Self::Replayable(replay) => replay.size,
        }
    }
}

/// When a request body last moved, shared between the body and whoever waits for the response.
///
/// The wait for a response begins when the upload has ended, so a slow upload of any size is not cut off by it.
#[derive(Clone, Debug)]
pub struct Progress {
    start: Instant,
    /// Absent where there is no body.
    millis: Option<Arc<AtomicU64>>,
}

impl Progress {
    /// Starts the clock.
    #[must_use]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
            millis: Some(Arc::default()),
        }
    }

    /// Starts the clock of a request without a body.
    #[must_use]
    pub fn of_nothing() -> Self {
        Self {
            start: Instant::now(),
            millis: None,
        }
    }

    fn millis(&self) -> u64 {
        let millis = self.millis.as_ref();
        millis.map_or(0, |millis| millis.load(Ordering::Relaxed))
    }

    /// The last time the body moved; now, while the client has to go on with it.
    #[must_use]
    pub fn last(&self) -> Instant {
        match self.millis() {
            CLIENTS_TURN => Instant::now(),
            millis => self.start + Duration::from_millis(millis & !STALLED),
        }
    }

    /// Has the client left its body where it was for too long?
    #[must_use]
    pub fn has_stalled(&self) -> bool {
        let millis = self.millis();
        millis != CLIENTS_TURN && millis & STALLED != 0
    }

    fn note(&self, frame: &Poll<Option<Result<Frame<Bytes>, BoxError>>>) {
        let now = || u64::try_from(self.start.elapsed().as_millis()).unwrap_or(0) & !STALLED;
        let millis = match frame {
            Poll::Pending => CLIENTS_TURN,
            Poll::Ready(Some(Err(error))) if error.is::<Stalled>() => now() | STALLED,
            Poll::Ready(_) => now(),
        };
        if let Some(cell) = &self.millis {
            cell.store(millis, Ordering::Relaxed);
        }
    }
}

/// In place of a time: the client is waited for.
const CLIENTS_TURN: u64 = u64::MAX;
/// Beside the time: it was waited for in vain.
const STALLED: u64 = 1 << 63;

/// One sending of a client body whose first [`REPLAY_LIMIT`] bytes are kept.
///
/// All sendings share the kept bytes and the client's stream, so a second one continues where the first one was broken off,
/// even when upstream answered `401` before it had read everything.
#[derive(Debug)]
pub struct Replay {
    shared: Arc<Mutex<Kept>>,
    sending: u32,
    position: usize,
    size: SizeHint,
    progress: Progress,
}

impl Replay {
    /// Wraps a client body.
    #[must_use]
    pub fn new(body: Patient<Whole>, progress: Progress) -> Self {
        let size = body.size_hint();
        Self {
            shared: Arc::new(Mutex::new(Kept::new(body))),
            sending: 0,
            position: 0,
            size,
            progress,
        }
    }

    /// The handle from which the body can be sent again.
    #[must_use]
    pub fn again(&self) -> ReplayHandle {
        ReplayHandle {
            shared: Arc::clone(&self.shared),
            size: self.size,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let mut kept = lock(&self.shared);
        if kept.sending != self.sending {
            return Poll::Ready(Some(Err("the request is being sent again".into())));
        }
        if let Some(rest) = kept
            .bytes
            .get(self.position..)
            .filter(|rest| !rest.is_empty())
        {
            let rest = Bytes::copy_from_slice(rest);
            self.position += rest.len();
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        if kept.complete {
            return Poll::Ready(None);
        }
        let frame = poll_data(&mut kept.body, cx);
        self.progress.note(&frame);
        let Poll::Ready(frame) = frame else {
            // The client's stream wakes only who polled it last.
            kept.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        };
        kept.note(frame.as_ref());
        self.position = kept.bytes.len();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.shared);
        self.position == kept.bytes.len() && (kept.complete || kept.body.is_end_stream())
    }
}

/// The right to send a [`Replay`] again.
#[derive(Debug)]
pub struct ReplayHandle {
    shared: Arc<Mutex<Kept>>,
    size: SizeHint,
}

impl ReplayHandle {
    /// Has all that was read of the body been kept?
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !lock(&self.shared).overflowed
    }

    /// The body from its first byte, or `None` when more than [`REPLAY_LIMIT`] has passed or the client's stream broke.
    ///
    /// From here on the sendings before fail, so that they can't take bytes away from this one.
    #[must_use]
    pub fn body(&self, progress: &Progress) -> Option<Outgoing> {
        let mut kept = lock(&self.shared);
        if kept.overflowed {
            return None;
        }
        kept.sending += 1;
        let sending = kept.sending;
        if let Some(before) = kept.waiting.take() {
            before.wake();
        }
        drop(kept);
        Some(Outgoing::Replayable(Replay {
            shared: Arc::clone(&self.shared),
            sending,
            position: 0,
            size: self.size,
            progress: progress.clone(),
        }))
    }
}

#[derive(Debug)]
struct Kept {
    body: Patient<Whole>,
    sending: u32,
    /// Who waits for the body.
    waiting: Option<Waker>,
    /// A copy, because slices would pin the connection's whole read buffer.
    bytes: Vec<u8>,
    complete: bool,
    overflowed: bool,
}

impl Kept {
    fn new(body: Patient<Whole>) -> Self {
        Self {
            body,
            sending: 0,
            waiting: None,
            bytes: Vec::new(),
            complete: false,
            overflowed: false,
        }
    }

    fn note(&mut self, frame: Option<&Result<Frame<Bytes>, BoxError>>) {
        match frame {
            Some(Ok(frame)) => self.keep(frame.data_ref().map_or(&[], |data| data)),
            Some(Err(_)) => self.overflowed = true,
            None => self.complete = true,
        }
    }

    fn keep(&mut self, data: &[u8]) {
        if self.overflowed || self.bytes.len() + data.len() > REPLAY_LIMIT {
            self.overflowed = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(data);
        }
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next data frame; trailers end the body.
fn poll_data(
    body: &mut Patient<Whole>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
    match ready!(Pin::new(body).poll_frame(cx)) {
        Some(Ok(frame)) if frame.is_data() => Poll::Ready(Some(Ok(frame))),
        Some(Err(error)) => Poll::Ready(Some(Err(error))),
        Some(Ok(_)) | None => Poll::Ready(None),
    }
}
