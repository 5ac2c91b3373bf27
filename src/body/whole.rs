//! A body that ends only where its sender ended it.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Version;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::BoxError;

/// A body of a client, as hyper receives it, but for one thing.
///
/// hyper takes a stream that is reset with `NO_ERROR`, or whose connection goes away so, for the end of its body, for the sake of
/// early responses. That cuts a body off as well as any other code, unless `END_STREAM` came before (RFC 9113 §8.1), and then
/// nothing is missing: so it is an error here.
#[derive(Debug)]
pub struct Whole {
    body: Incoming,
    is_stream: bool,
    _share: Option<Arc<()>>,
}

impl Whole {
    /// The body of a request of this version.
    #[must_use]
    pub fn new(body: Incoming, version: Version) -> Self {
        Self {
            body,
            is_stream: version == Version::HTTP_2,
            _share: None,
        }
    }

    /// Has `share` for as long as it is there, if there is anything of it.
    #[must_use]
    pub fn sharing(self, share: impl FnOnce() -> Arc<()>) -> Self {
        let share = (!self.body.is_end_stream()).then(share);
        Self {
            _share: share,
            ..self
        }
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() && self.is_stream && !self.body.is_end_stream() {
            return Poll::Ready(Some(Err("the stream was reset amid its body".into())));
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
