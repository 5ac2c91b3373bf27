//! One connection of HTTP/2, which many requests share (RFC 9113).
//!
//! `h2` is spoken to directly. hyper's client would put a task of its own and two channels between each request and the connection, and
//! its windows are either fixed or the same for a stream and the whole connection, which one client that doesn't read would then stop.

mod body;
mod pulse;
mod upload;

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use bytes::Bytes;
use h2::client::{self, Builder, SendRequest};
use http::{
    HeaderMap, HeaderValue, Request, Response,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::Body as _;
use hyper_util::rt::TokioIo;

pub(super) use self::body::Body;
pub(super) use self::upload::Broken;
use self::{pulse::Pulse, upload::Upload};
use super::connect::Stream;
use crate::body::{BoxError, Outgoing};

/// A handle of a connection; it lives until the last one is dropped and no request is under way.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    state: Arc<State>,
}

/// What those who use a connection and the task that drives it know of each other.
#[derive(Debug)]
struct State {
    /// How many requests upstream takes at a time.
    room: AtomicUsize,
    /// How many are under way.
    open: AtomicUsize,
    /// Counts what has come.
    heard: AtomicUsize,
    is_closed: AtomicBool,
}

/// A request that is under way.
#[derive(Debug)]
struct Open(Arc<State>);

impl Open {
    fn count(state: &Arc<State>) -> Self {
        state.open.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(state))
    }

    fn hear(&self) {
        self.0.heard.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Speaks HTTP/2 on `stream`; a task drives it.
    ///
    /// # Errors
    /// When it breaks at once.
    pub(super) async fn open(stream: Stream) -> Result<Self, h2::Error> {
        let (sender, connection) = builder().handshake(TokioIo::new(stream)).await?;
        let state = Arc::new(State {
            room: AtomicUsize::new(connection.max_concurrent_send_streams()),
            open: AtomicUsize::new(0),
            heard: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
        });
        tokio::spawn(drive(connection, Arc::clone(&state)));
        Ok(Self { sender, state })
    }

    /// Is it of no use any more?
    pub(super) fn is_closed(&self) -> bool {
        self.state.is_closed.load(Ordering::Relaxed)
    }

    /// How many requests are under way.
    pub(super) fn load(&self) -> usize {
        self.state.open.load(Ordering::Relaxed)
    }

    /// With how many more would upstream begin at once?
    pub(super) fn room(&self) -> usize {
        let room = self.state.room.load(Ordering::Relaxed);
        room.saturating_sub(self.load())
    }

    /// Sends the request, which is there until it is sent, and waits for the head of its answer.
    ///
    /// Cancel-safe: who is dropped has reset the stream.
    ///
    /// # Errors
    /// When the connection is over, or the stream is reset; also by the request's own body.
    pub(super) async fn send(
        mut self,
        unsent: &mut Option<Request<Outgoing>>,
    ) -> Result<Response<Body>, BoxError> {
        if let Err(error) = poll_fn(|cx| self.sender.poll_ready(cx)).await {
            self.state.is_closed.store(true, Ordering::Relaxed);
            return Err(error.into());
        }
        let (head, body) = unsent.take().ok_or("there is no request")?.into_parts();
        let mut head = Request::from_parts(head, ());
        declare(head.headers_mut(), &body);
        let open = Open::count(&self.state);
        let (answer, stream) = self.sender.send_request(head, body.is_end_stream())?;
        let upload = (!body.is_end_stream()).then(|| Upload::start(body, stream));
        let answer = answer.await;
        open.hear();
        match answer {
            Ok(answer) => Ok(Body::of(answer, open, upload)),
            Err(error) => {
                let fault = upload.and_then(Upload::into_fault);
                Err(fault.unwrap_or_else(|| error.into()))
            }
        }
    }
}

/// HTTP/2 has its own framing (RFC 9113 §8.2.2), but a length is still of use to who reads it.
fn declare(headers: &mut HeaderMap, body: &Outgoing) {
    headers.remove(TRANSFER_ENCODING);
    if let Some(length @ 1..) = body.size_hint().exact() {
        let length = HeaderValue::from(length);
        headers.entry(CONTENT_LENGTH).or_insert(length);
    }
}

/// Until the connection ends, or is silent for too long.
async fn drive(mut connection: client::Connection<TokioIo<Stream>, Bytes>, state: Arc<State>) {
    let mut pulse = connection.ping_pong().map(Pulse::new);
    let ended = poll_fn(|cx| {
        loop {
            let ended = Pin::new(&mut connection).poll(cx);
            let room = connection.max_concurrent_send_streams();
            state.room.store(room, Ordering::Relaxed);
            if ended.is_ready() {
                return ended.map_err(BoxError::from);
            }
            let Some(beat) = pulse.as_mut().map(|pulse| pulse.poll(&state, cx)) else {
                return Poll::Pending;
            };
            match std::task::ready!(beat) {
                // It goes out with the next turn. What isn't acknowledged yet can't be changed: then it stays as it is.
                Ok(window) => drop(connection.set_initial_window_size(window)),
                Err(silent) => return Poll::Ready(Err(silent.into())),
            }
        }
    })
    .await;
    state.is_closed.store(true, Ordering::Relaxed);
    if let Err(error) = ended {
        tracing::debug!(error, "a connection to upstream has broken");
    }
}

fn builder() -> Builder {
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(pulse::WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(FIRST_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_RESETS_KEPT)
        .max_local_error_reset_streams(None);
    builder
}

/// The most there is, so that responses nobody reads never use up what the others on the connection need. (And where it is short,
/// upstream sends crumbs, which `h2` takes for an attack when they are many.)
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// How many requests are sent before upstream has said how many it takes: the least that RFC 9113 §6.5.2 recommends to allow.
const FIRST_STREAMS: usize = 100;
/// The most that the fields of one response may take, in bytes; as in HTTP/1.
const MAX_HEADERS: u32 = 64 * 1024;
/// What one upload may have written ahead of the socket, in bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// For how many requests that were given up late frames are still expected. `h2` takes later ones for errors of upstream and by
/// default ends a connection with 1,024 of them, so clients that hang up could end the requests of others: there is no such end.
const MAX_RESETS_KEPT: usize = 1024;
