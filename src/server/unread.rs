//! A stream of HTTP/2 that its client doesn't read, while it goes on reading others.
//!
//! Nobody polls the body of such a stream, so no timer in it would ever fire. The task that hyper spawns for the stream is watched
//! instead, and dropped when its client has left it where it is for too long; that resets the stream, and gives up the request upstream.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;

use super::screen::Answering;
use crate::stall::Stall;

/// Who has to move before a response can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Client,
    Upstream,
}

thread_local! {
    /// What the body has said while its stream's task was polled; a task is polled on one thread.
    static TURN: Cell<Option<Turn>> = const { Cell::new(None) };
}

/// Runs the streams of HTTP/2 connections, none of them unread for longer than `limit`.
#[derive(Clone, Debug)]
pub(super) struct Watching {
    pub(super) limit: Duration,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Watching {
    fn execute(&self, stream: F) {
        let mut stall = Stall::new(self.limit);
        tokio::spawn(async move {
            let mut stream = pin!(stream);
            let mut turn = Turn::Upstream;
            poll_fn(|cx| {
                TURN.set(None);
                if stream.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                if let Some(now) = TURN.take() {
                    stall.moved();
                    turn = now;
                }
                if turn == Turn::Upstream {
                    return Poll::Pending;
                }
                stall.poll_overdue(cx).map(|stalled| {
                    tracing::debug!(reason = %stalled, "a client doesn't read a response; its stream is reset");
                })
            })
            .await;
        });
    }
}

/// A response body that tells whose turn it is, and when it is over.
#[derive(Debug)]
pub(super) struct Told<B: Body> {
    body: B,
    error: Option<B::Error>,
    _answering: Answering,
}

impl<B: Body> Told<B> {
    pub(super) fn new(body: B, answering: Answering) -> Self {
        Self {
            body,
            error: None,
            _answering: answering,
        }
    }
}

impl<B: Body<Data = Bytes, Error: Unpin> + Unpin> Body for Told<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(error) = self.error.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = frame {
            // A turn later: hyper would throw away what it has to write, even the head.
            self.error = Some(error);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        TURN.set(Some(if frame.is_ready() {
            Turn::Client
        } else {
            Turn::Upstream
        }));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
