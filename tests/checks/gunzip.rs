//! Decoding gzip that comes in chunks.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io::Read,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use defender_proxy::rewrite::Gunzip;
use flate2::read::MultiGzDecoder;
use http_body::{Body, Frame};

/// Where the chunks end makes no difference, every frame is small, and what is decoded is what another decoder reads.
pub(crate) fn gunzip(chunks: Vec<Bytes>) {
    let whole = chunks.concat();
    let decoded = decode(chunks);
    assert_eq!(decoded, decode(vec![whole.clone().into()]));
    let bytes = whole.chunks(1).map(Bytes::copy_from_slice);
    assert_eq!(decoded, decode(bytes.collect()));
    if let Some(decoded) = decoded {
        let mut expected = Vec::new();
        if !whole.is_empty() {
            MultiGzDecoder::new(&*whole)
                .read_to_end(&mut expected)
                .expect("gzip");
        }
        assert!(decoded == expected, "decodes to something else");
    }
}

/// What the chunks decode to, if they do.
fn decode(chunks: Vec<Bytes>) -> Option<Vec<u8>> {
    let mut body = Gunzip::new(Chunks(chunks.into()));
    let mut context = Context::from_waker(Waker::noop());
    let mut decoded = Vec::new();
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            // It pauses now and then where much goes in and nothing comes out.
            Poll::Pending => {}
            Poll::Ready(None) => return Some(decoded),
            Poll::Ready(Some(Err(_))) => {
                let after = Pin::new(&mut body).poll_frame(&mut context);
                assert!(
                    matches!(after, Poll::Ready(None)),
                    "it goes on after an error"
                );
                return None;
            }
            Poll::Ready(Some(Ok(frame))) => {
                let data = frame.into_data().expect("data");
                assert!((1..=64 * 1024).contains(&data.len()));
                decoded.extend_from_slice(&data);
            }
        }
    }
}

struct Chunks(VecDeque<Bytes>);

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}
