//! The body of an answer, of either version.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{http1, http2};
use crate::body::BoxError;

/// The body of an answer, as it comes.
#[derive(Debug)]
pub struct Received(Kind);

#[derive(Debug)]
enum Kind {
    Http1(http1::Body),
    Http2(http2::Body),
}

impl Received {
    /// Nothing more is carried by its connection. (One stream of HTTP/2 says nothing about the others.)
    pub(super) fn give_up(self) {
        if let Kind::Http1(body) = self.0 {
            body.give_up();
        }
    }
}

impl From<http1::Body> for Received {
    fn from(body: http1::Body) -> Self {
        Self(Kind::Http1(body))
    }
}

impl From<http2::Body> for Received {
    fn from(body: http2::Body) -> Self {
        Self(Kind::Http2(body))
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx),
            Kind::Http2(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body) => body.size_hint(),
        }
    }
}
