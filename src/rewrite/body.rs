//! The body of a rewritten answer: the one inside as it is, decoded, searched, or both.

use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::ahead::Ahead;
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

    /// What was read ahead of a body, and the body of its `rest`.
    pub(super) fn begun<T>(ahead: Ahead<T>, rest: impl FnOnce(T) -> Self) -> Self {
        Self(match ahead {
            Ahead::Whole(data) => Kind::Whole(data),
            Ahead::Begun(frames, body) => Kind::Begun(Box::new(Begun {
                frames,
                rest: body.map(rest),
            })),
        })
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
            Kind::Whole(data) if data.is_empty() => Poll::Ready(None),
            Kind::Whole(data) => Poll::Ready(Some(Ok(Frame::data(mem::take(data))))),
            Kind::Begun(begun) => match (begun.frames.pop_front(), &mut begun.rest) {
                (Some(frame), _) => Poll::Ready(Some(frame)),
                (None, Some(rest)) => Pin::new(rest).poll_frame(context),
                (None, None) => Poll::Ready(None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Plain(body) => body.is_end_stream(),
            Kind::Gunzip(body) => body.is_end_stream(),
            Kind::Linked(body) => body.is_end_stream(),
            Kind::Both(body) => body.is_end_stream(),
            Kind::Whole(data) => data.is_empty(),
            Kind::Begun(begun) => begun.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Plain(body) => body.size_hint(),
            Kind::Gunzip(body) => body.size_hint(),
            Kind::Linked(body) => body.size_hint(),
            Kind::Both(body) => body.size_hint(),
            Kind::Whole(data) => SizeHint::with_exact(data.len() as u64),
            Kind::Begun(begun) if begun.is_over() => SizeHint::with_exact(0),
            Kind::Begun(_) => SizeHint::default(),
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

    /// The next piece, together with those behind it as long as all are small: a replaced origin is no frame of its
    /// own.
    fn take(&mut self) -> Option<Bytes> {
        let first = self.pieces.pop_front()?;
        let (mut total, mut more) = (first.len(), 0);
        for piece in &self.pieces {
            if total + piece.len() > JOIN {
                break;
            }
            total += piece.len();
            more += 1;
        }
        if more == 0 {
            return Some(first);
        }
        let mut joined = BytesMut::with_capacity(total);
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

/// Those that stream are boxed, to keep the answers that only pass through small.
#[derive(Debug)]
enum Kind<B> {
    Plain(B),
    Whole(Bytes),
    Begun(Box<Begun<B>>),
    Gunzip(Box<Gunzip<B>>),
    Linked(Box<Linked<B>>),
    Both(Box<Linked<Gunzip<B>>>),
}

#[derive(Debug)]
struct Begun<B> {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    rest: Option<Rewritten<B>>,
}

impl<B> Begun<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn is_over(&self) -> bool {
        self.frames.is_empty() && self.rest.as_ref().is_none_or(Body::is_end_stream)
    }
}

/// Bytes up to which copying pieces together is cheaper than sending them as frames of their own.
const JOIN: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::super::script::{Script, drain, gzip};
    use super::super::{Links, Scope};
    use super::*;

    const START: &str = r#"{"@odata.context":"https://api.contoso.example"#;
    const START_HERE: &str = r#"{"@odata.context":"http://localhost:8080"#;

    fn linked<B>(body: B) -> Linked<B> {
        let links = Links::new(["api.contoso.example".to_owned()]);
        Linked::new(
            body,
            Fields::new(Arc::new(links), "http://localhost:8080", Scope::Fields),
        )
    }

    #[test]
    fn small_pieces_become_one_frame() {
        let page =
            format!("{START}/$metadata\",\"@odata.nextLink\":\"https://api.contoso.example/2\"}}");
        let drained = drain(linked(Script::chunks([page])));
        assert_eq!(
            drained.frames,
            [format!(
                "{START_HERE}/$metadata\",\"@odata.nextLink\":\"http://localhost:8080/2\"}}"
            )]
        );
    }

    #[test]
    fn large_pieces_are_not_copied() {
        let page = Bytes::from(format!("{START}/{}", "x".repeat(3 * JOIN)));
        let end = page.as_ptr_range().end;
        let frames = drain(linked(Script::chunks([page]))).frames;
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0], START_HERE);
        assert_eq!(frames[1].as_ptr_range().end, end);
    }

    #[test]
    fn an_unchanged_chunk_is_the_same_chunk() {
        let chunk = Bytes::from_static(br#"{"value":[]}"#);
        let frames = drain(linked(Script::chunks([chunk.clone()]))).frames;
        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].as_ptr(), chunk.as_ptr());
    }

    #[test]
    fn what_is_held_back_comes_at_the_end() {
        let mut body = linked(Script::chunks([START]));
        let mut context = Context::from_waker(std::task::Waker::noop());
        let first = Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(first, Poll::Ready(Some(Ok(_)))));
        assert!(!body.is_end_stream());
        assert_eq!(body.size_hint().upper(), None);
        assert_eq!(drain(body).data().unwrap(), b"https://api.contoso.example");
        assert_eq!(
            drain(linked(Gunzip::new(Script::chunks([gzip(
                START.as_bytes()
            )]))))
            .data()
            .unwrap(),
            START.as_bytes()
        );
    }

    #[test]
    fn trailers_come_behind_what_was_held_back() {
        let frames = [
            Ok(Frame::data(START.into())),
            Ok(Frame::trailers(HeaderMap::new())),
        ];
        let drained = drain(linked(Script::new(frames)));
        assert!(drained.trailers.is_some());
        assert_eq!(drained.data().unwrap(), START.as_bytes());
    }

    #[test]
    fn a_broken_body_is_a_broken_body() {
        let frames = [
            Ok(Frame::data(START.into())),
            Err(io::Error::other("reset")),
        ];
        assert_eq!(
            drain(linked(Script::new(frames)))
                .data()
                .unwrap_err()
                .to_string(),
            "reset"
        );
    }
}
