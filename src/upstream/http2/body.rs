//! The body of an answer.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::Response;
use http_body::{Frame, SizeHint};

use super::{Open, Upload};
use crate::{body::BoxError, upstream::framing};

/// What comes on one stream. What was read makes room for as much.
///
/// A stream that is reset, or whose connection goes away, before `END_STREAM` was cut off, whatever the code (RFC 9113 §8.1).
#[derive(Debug)]
pub(in crate::upstream) struct Body {
    stream: RecvStream,
    /// None when upstream doesn't tell.
    left: Option<u64>,
    has_all_data: bool,
    open: Open,
    /// Is given up with the answer, as nobody listens any more.
    _upload: Option<Upload>,
}

impl Body {
    pub(super) fn of(
        answer: Response<RecvStream>,
        open: Open,
        upload: Option<Upload>,
    ) -> Response<Self> {
        let length = framing::length(answer.headers()).ok().flatten();
        answer.map(|stream| Self {
            left: length.or_else(|| stream.is_end_stream().then_some(0)),
            stream,
            has_all_data: false,
            open,
            _upload: upload,
        })
    }

    fn take(&mut self, data: Bytes) -> Frame<Bytes> {
        self.open.hear();
        // Fails for a stream that has ended, to which nothing more is sent.
        let _ = self.stream.flow_control().release_capacity(data.len());
        self.left = self.left.map(|left| left.saturating_sub(data.len() as u64));
        Frame::data(data)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.has_all_data {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(self.take(data)))),
                Some(Err(error)) => return Poll::Ready(Some(Err(cut(error)))),
                None => self.has_all_data = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        let frame = trailers.map(|trailers| trailers.map(Frame::trailers));
        Poll::Ready(frame.map_err(cut).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn cut(error: h2::Error) -> BoxError {
    if error.reason() == Some(Reason::NO_ERROR) {
        return "the stream was reset amid its body".into();
    }
    error.into()
}
