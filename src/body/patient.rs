//! A body that may pause, but not for ever.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use crate::stall::Stall;

/// A body that fails with [`Stalled`](crate::stall::Stalled) when it has been waited for too long at a time; every byte counts.
#[derive(Debug)]
pub struct Patient<B> {
    body: B,
    stall: Stall,
}

impl<B> Patient<B> {
    /// Lets `body` rest for `limit` at a time.
    #[must_use]
    pub fn new(body: B, limit: Duration) -> Self {
        Self {
            body,
            stall: Stall::new(limit),
        }
    }
}

impl<B> Body for Patient<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            self.stall.moved();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let stalled = ready!(self.stall.poll_overdue(cx));
        Poll::Ready(Some(Err(stalled.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
