//! One HTTP/1 connection, driven by the request that has it.
//!
//! No task of its own reads it: a second task would have to be woken for every request and every piece of an answer. While it rests, its
//! lane is woken when something comes; and when a request is sent on it, it is looked at first (RFC 9112 §9.3.1, §9.6).

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};

use super::{connect::Stream, lane::Lane, link::Gaze};
use crate::body::{BoxError, Outgoing};

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Outgoing>,
    /// None when it has ended. With it goes a request that it hasn't begun, back to its sender.
    driver: Option<http1::Connection<Stream, Outgoing>>,
    gaze: Gaze,
    relay: Arc<Relay>,
    /// The relay's.
    waker: Waker,
}

/// Wakes who has the connection now, if they want to be woken.
///
/// hyper tells the one side of a connection whenever the other has gone on. Here both sides are polled one after the other by the same
/// task: that would be polled once more, for nothing, with every request.
#[derive(Debug, Default)]
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake();
    }
}

impl Connection {
    /// Speaks HTTP/1 on `stream`.
    pub(super) async fn open(
        builder: &http1::Builder,
        stream: Stream,
        gaze: Gaze,
    ) -> hyper::Result<Box<Self>> {
        let (sender, driver) = builder.handshake(stream).await?;
        let relay = Arc::<Relay>::default();
        let mut connection = Box::new(Self {
            sender,
            driver: Some(driver),
            gaze,
            waker: Arc::clone(&relay).into(),
            relay,
        });
        poll_fn(|cx| {
            connection.drive(cx.waker());
            connection.sender.poll_ready(cx)
        })
        .await?;
        Ok(connection)
    }

    /// Sends a request, and waits for the head of its answer.
    ///
    /// # Errors
    /// With the request, if nothing of it was sent.
    pub(super) fn send(
        mut self: Box<Self>,
        request: Request<Outgoing>,
        lane: &Arc<Lane>,
    ) -> impl Future<Output = Result<Response<Body>, TrySendError<Request<Outgoing>>>> {
        self.relay.0.take();
        let answer = self.sender.try_send_request(request);
        async move {
            let mut answer = pin!(answer);
            let answer = poll_fn(|cx| {
                self.drive(cx.waker());
                // Nobody else can bring it.
                answer.as_mut().poll(&mut silent())
            })
            .await?;
            Ok(answer.map(|body| Body {
                body,
                loan: Some(Loan {
                    connection: Some(self),
                    lane: Arc::clone(lane),
                }),
            }))
        }
    }

    /// Makes the next [`Self::send`] see first whether the other end has closed the connection, or has sent something that nobody asked
    /// for: then nothing is sent.
    pub(super) fn look(&self) {
        self.gaze.look();
    }

    /// Can it carry another request, as far as is known?
    pub(super) fn is_free(&self) -> bool {
        self.driver.is_some() && self.sender.is_ready()
    }

    /// The same, when it has been looked at. `waker` is woken when that may have changed.
    pub(super) fn is_sound(&mut self, waker: &Waker) -> bool {
        self.look();
        self.drive(waker);
        self.is_free()
    }

    /// Lets `waker` be woken when something comes, or nobody.
    pub(super) fn wake(&self, waker: Option<&Waker>) {
        match waker {
            Some(waker) => self.relay.0.register(waker),
            None => drop(self.relay.0.take()),
        }
    }

    fn drive(&mut self, waker: &Waker) {
        let Some(driver) = &mut self.driver else {
            return;
        };
        self.relay.0.register(waker);
        let mut cx = Context::from_waker(&self.waker);
        if let Poll::Ready(outcome) = Pin::new(driver).poll(&mut cx) {
            self.driver = None;
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection to upstream has broken");
            }
        }
    }
}

fn silent() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Makes a request one for HTTP/1: origin-form (RFC 9112 §3.2.1), and `Host`.
pub(super) fn address(request: &mut Request<Outgoing>, host: &HeaderValue) {
    let headers = request.headers_mut();
    headers.entry(HOST).or_insert_with(|| host.clone());
    let path = mem::take(request.uri_mut()).into_parts().path_and_query;
    *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
}

/// The body of an answer; it drives the connection that it comes on, and gives it back.
#[derive(Debug)]
pub(super) struct Body {
    // Is dropped first, so that the connection knows that nobody reads on.
    body: Incoming,
    loan: Option<Loan>,
}

impl Body {
    /// Nothing more is carried by its connection.
    pub(super) fn give_up(mut self) {
        if let Some(loan) = &mut self.loan {
            loan.connection = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let loan = self.loan.as_mut();
        let Some(connection) = loan.and_then(|loan| loan.connection.as_mut()) else {
            return Pin::new(&mut self.body).poll_frame(cx);
        };
        // Where there is a piece already, nothing has to be driven until it is asked for the next one.
        connection.wake(None);
        let frame = Pin::new(&mut self.body).poll_frame(&mut silent());
        if frame.is_ready() {
            return frame;
        }
        connection.drive(cx.waker());
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.poll(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.loan = None;
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection that goes back when its answer is over.
#[derive(Debug)]
struct Loan {
    connection: Option<Box<Connection>>,
    lane: Arc<Lane>,
}

impl Drop for Loan {
    /// Not when something is under way still: of the answer, or of an upload that it has overtaken.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if !connection.is_free() {
            connection.drive(self.lane.waker());
        }
        if connection.is_free() {
            self.lane.put(connection, true);
        }
    }
}
