//! One HTTP/1 connection, driven by the request that has it.
//!
//! No task of its own reads it: a second task would have to be woken for every request and every piece of an answer. While it rests, its
//! lane is woken when something comes; and before a request is sent on it, it is looked at (RFC 9112 §9.3.1, §9.6).

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker, ready},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header::HOST};
use http_body::{Body, Frame, SizeHint};
use hyper::client::conn::{TrySendError, http1};

use super::{connect::Stream, lane::Lane, link::Gaze};
use crate::body::{BoxError, Outgoing, whole::Whole};

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct Connection {
    sender: http1::SendRequest<Outgoing>,
    driver: http1::Connection<Stream, Outgoing>,
    gaze: Gaze,
    has_ended: bool,
}

impl Connection {
    /// Speaks HTTP/1 on `stream`.
    pub(super) async fn open(
        builder: &http1::Builder,
        stream: Stream,
        gaze: Gaze,
    ) -> hyper::Result<Box<Self>> {
        let (sender, driver) = builder.handshake(stream).await?;
        let mut connection = Box::new(Self {
            sender,
            driver,
            gaze,
            has_ended: false,
        });
        poll_fn(|cx| {
            connection.drive(cx);
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
    ) -> impl Future<Output = Result<Response<Received>, TrySendError<Request<Outgoing>>>> {
        let answer = self.sender.try_send_request(request);
        async move {
            let mut answer = pin!(answer);
            let answer = poll_fn(|cx| {
                self.drive(cx);
                answer.as_mut().poll(cx)
            })
            .await?;
            let version = answer.version();
            Ok(answer.map(|body| Received {
                body: Whole::new(body, version),
                loan: Some(Loan {
                    connection: Some(self),
                    lane: Arc::clone(lane),
                }),
            }))
        }
    }

    /// Can it carry another request? Not when the other end has closed it, or has sent something that nobody asked for. `waker` is
    /// woken when that may have changed.
    pub(super) fn is_sound(&mut self, waker: &Waker) -> bool {
        self.gaze.look();
        self.is_free(waker)
    }

    /// The same, as far as is known.
    fn is_free(&mut self, waker: &Waker) -> bool {
        self.drive(&mut Context::from_waker(waker));
        !self.has_ended && self.sender.is_ready()
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.has_ended {
            return;
        }
        if let Poll::Ready(outcome) = Pin::new(&mut self.driver).poll(cx) {
            self.has_ended = true;
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection to upstream has broken");
            }
        }
    }
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
pub struct Received {
    // Is dropped first, so that the connection knows that nobody reads on.
    body: Whole,
    loan: Option<Loan>,
}

impl Received {
    /// A body whose connection has a task of its own.
    pub(super) fn of_stream(body: Whole) -> Self {
        Self { body, loan: None }
    }

    /// Nothing more is carried by its connection.
    pub(super) fn give_up(mut self) {
        if let Some(loan) = &mut self.loan {
            loan.connection = None;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        let Some(loan) = self.loan.as_mut().filter(|_| frame.is_pending()) else {
            return frame;
        };
        loan.drive(cx);
        Pin::new(&mut self.body).poll_frame(cx)
    }
}

impl Body for Received {
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
        Poll::Ready(frame)
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

impl Loan {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.drive(cx);
        }
    }
}

impl Drop for Loan {
    /// Not when something is under way still: of the answer, or of an upload that it has overtaken.
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        if connection.is_free(self.lane.waker()) {
            self.lane.put(connection, true);
        }
    }
}
