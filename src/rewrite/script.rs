//! Bodies for tests: one that plays a script, and what comes out of another.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;

/// A body with these frames, all of them ready.
#[derive(Debug)]
pub(super) struct Script(VecDeque<io::Result<Frame<Bytes>>>);

impl Script {
    pub(super) fn new<I: IntoIterator<Item = io::Result<Frame<Bytes>>>>(frames: I) -> Self {
        Self(frames.into_iter().collect())
    }

    /// Data alone; an empty chunk is no frame.
    pub(super) fn chunks<I: IntoIterator<Item: Into<Bytes>>>(chunks: I) -> Self {
        let chunks = chunks
            .into_iter()
            .map(Into::into)
            .filter(|chunk: &Bytes| !chunk.is_empty());
        Self::new(chunks.map(|chunk| Ok(Frame::data(chunk))))
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.0.iter().flatten().filter_map(Frame::data_ref);
        SizeHint::with_exact(data.map(|data| data.len() as u64).sum())
    }
}

/// All that came out of a body.
pub(super) struct Drained {
    pub(super) frames: Vec<Bytes>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) error: Option<BoxError>,
    /// How often it was not ready.
    pub(super) pauses: usize,
}

impl Drained {
    pub(super) fn data(self) -> Result<Vec<u8>, BoxError> {
        self.error.map_or_else(|| Ok(self.frames.concat()), Err)
    }
}

/// Reads `body` to its end, and checks the manners of a body: it stays at its end, says so only there, and wakes who
/// waits.
pub(super) fn drain<B>(mut body: B) -> Drained
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let wakes = Arc::new(Wakes::default());
    let counting = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&counting);
    let mut drained = Drained {
        frames: Vec::new(),
        trailers: None,
        error: None,
        pauses: 0,
    };
    loop {
        let said_end = body.is_end_stream();
        let frame = Pin::new(&mut body).poll_frame(&mut context);
        assert!(!said_end || matches!(frame, Poll::Ready(None)));
        match frame {
            Poll::Pending => {
                drained.pauses += 1;
                assert_eq!(wakes.0.load(Ordering::Relaxed), drained.pauses);
            }
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(error))) => drained.error = Some(error),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => drained.frames.push(data),
                Err(frame) => drained.trailers = frame.into_trailers().ok(),
            },
        }
    }
    assert!(matches!(
        Pin::new(&mut body).poll_frame(&mut context),
        Poll::Ready(None)
    ));
    drained
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// What a future that doesn't have to wait comes to.
pub(super) fn now<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}
