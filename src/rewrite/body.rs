//! The body of a rewritten answer: the one inside as it is, decoded, searched, or both.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::fields::Fields;
use super::gunzip::Gunzip;
use super::{BoxError, headers};

/// The body of an answer that went through [`Rewrite::response`](super::Rewrite::response).
///
/// Where nothing changes it is the body inside: frames, trailers, length and end are its own.
#[derive(Debug)]
pub struct Rewritten<B>(Kind<B>);

impl<B> Rewritten<B> {
    pub(super) const fn plain(body: B) -> Self {
        Self(Kind::Plain(body))
    }

    pub(super) fn gunzip(body: Gunzip<B>) -> Self {
        Self(Kind::Gunzip(Box::new(body)))
    }

    pub(super) fn linked(body: Linked<B>) -> Self {
        Self(Kind::Linked(Box::new(body)))
    }

    pub(super) fn both(body: Linked<Gunzip<B>>) -> Self {
        Self(Kind::Both(Box::new(body)))
    }
}

impl<B> Body for Rewritten<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Kind::Plain(body) => Pin::new(body).poll_frame(context).map_err(Into::into),
            Kind::Gunzip(body) => Pin::new(body).poll_frame(context),
            Kind::Linked(body) => Pin::new(body).poll_frame(context),
            Kind::Both(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Gunzip(body) => body.is_end_stream(),
            Kind::Linked(body) => body.is_end_stream(),
            Kind::Both(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            Kind::Gunzip(body) => body.size_hint(),
            Kind::Linked(body) => body.size_hint(),
            Kind::Both(body) => body.size_hint(),
        }
    }
}

/// A JSON body whose control fields are rewritten by [`Fields`].
#[derive(Debug)]
pub struct Linked<B> {
    body: B,
    fields: Fields,
    pieces: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    over: bool,
}

impl<B> Linked<B> {
    /// Sends `body` through `fields`.
    pub fn new(body: B, fields: Fields) -> Self {
        Self {
            body,
            fields,
            pieces: VecDeque::new(),
            trailers: None,
            over: false,
        }
    }

    /// The next piece, together with those behind it as long as all are small: a replaced origin is no frame of its own.
    fn take(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        let mut total = first.len();
        let fits = |piece: &&Bytes| {
            total += piece.len();
            total <= JOIN
        };
        let more = self.pieces.iter().take_while(fits).count();
        if more == 0 {
            return Some(first);
        }
        let mut joined = BytesMut::with_capacity(JOIN);
        joined.extend_from_slice(&first);
        for piece in self.pieces.drain(..more) {
            joined.extend_from_slice(&piece);
        }
        Some(joined.freeze())
    }

    fn push(&mut self, chunk: Bytes) {
        self.fields
            .push(chunk, &mut |piece| self.pieces.push_back(piece));
    }

    fn end(&mut self) {
        self.over = true;
        self.fields
            .finish(&mut |piece| self.pieces.push_back(piece));
    }
}

impl<B> Body for Linked<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            if let Some(piece) = self.take() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if self.over {
                return Poll::Ready(
                    self.trailers
                        .take()
                        .map(|trailers| Ok(Frame::trailers(trailers))),
                );
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                None => self.end(),
                Some(Err(error)) => {
                    // What is held back stays back: the document is broken off anyway.
                    self.over = true;
                    return Poll::Ready(Some(Err(error.into())));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.push(chunk),
                    Err(frame) => {
                        self.end();
                        self.trailers = frame.into_trailers().ok().map(headers::without_digests);
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let inside = if self.over {
            self.trailers.is_none()
        } else {
            self.body.is_end_stream()
        };
        inside && self.pieces.is_empty() && self.fields.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

/// All but the first are boxed, to keep the answers that only pass through small.
#[derive(Debug)]
enum Kind<B> {
    Plain(B),
    Gunzip(Box<Gunzip<B>>),
    Linked(Box<Linked<B>>),
    Both(Box<Linked<Gunzip<B>>>),
}

/// Bytes up to which copying pieces together is cheaper than sending them as frames of their own.
const JOIN: usize = 16 * 1024;
