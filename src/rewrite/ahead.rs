//! Reading a short body before its head goes out.
//!
//! What is rewritten or decoded has another length than upstream said. A client gets the length of a short one all the same, as tools
//! want that know no chunks, and it gets all of it at once.

use std::{collections::VecDeque, future::poll_fn, mem, pin::Pin};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use super::BoxError;

/// What came of reading ahead.
#[derive(Debug)]
pub(super) enum Ahead<T> {
    /// The whole body.
    Whole(Bytes),
    /// Its beginning: frames, perhaps the error that ended it, perhaps the rest.
    Begun(VecDeque<Result<Frame<Bytes>, BoxError>>, Option<T>),
}

/// Reads `body` to its end; of one that turns out to be long, the beginning.
pub(super) async fn read<T>(mut body: T) -> Ahead<T>
where
    T: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let mut read = Read::default();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.push(data),
            // Trailers need chunks.
            Ok(Err(trailers)) => return read.begun(Some(Ok(trailers)), Some(body)),
            Err(error) => return read.begun(Some(Err(error)), None),
        }
        if read.len() > SHORT {
            return read.begun(None, Some(body));
        }
    }
    Ahead::Whole(read.into_data())
}

/// Data that was read: mostly one frame, which is not copied.
#[derive(Debug, Default)]
struct Read {
    first: Bytes,
    joined: BytesMut,
}

impl Read {
    fn len(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn push(&mut self, data: Bytes) {
        if self.len() == 0 {
            self.first = data;
        } else {
            self.joined.extend_from_slice(&mem::take(&mut self.first));
            self.joined.extend_from_slice(&data);
        }
    }

    fn into_data(self) -> Bytes {
        if self.joined.is_empty() {
            self.first
        } else {
            self.joined.freeze()
        }
    }

    fn begun<T>(self, last: Option<Result<Frame<Bytes>, BoxError>>, rest: Option<T>) -> Ahead<T> {
        let data = Some(self.into_data()).filter(|data| !data.is_empty());
        let data = data.map(|data| Ok(Frame::data(data)));
        Ahead::Begun(data.into_iter().chain(last).collect(), rest)
    }
}

/// Of upstream's length, and of what comes out of it: up to here it is read ahead, in bytes. A record of TLS has as much.
pub(super) const SHORT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderMap;

    use super::super::script::{Script, drain, gzip, now};
    use super::super::{Gunzip, Rewritten};
    use super::*;

    fn ahead(body: Script) -> Rewritten<Script> {
        Rewritten::begun(now(read(Gunzip::new(body))), Rewritten::gunzip)
    }

    fn halves(bytes: &[u8]) -> [Bytes; 2] {
        let (one, other) = bytes.split_at(bytes.len() / 2);
        [one, other].map(Bytes::copy_from_slice)
    }

    #[test]
    fn a_short_body_has_a_length() {
        for text in ["", "x", &"short ".repeat(1000)] {
            let body = ahead(Script::chunks(halves(&gzip(text.as_bytes()))));
            assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
            assert_eq!(body.is_end_stream(), text.is_empty());
            assert_eq!(drain(body).data().unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn one_frame_is_not_copied() {
        let data = Bytes::from_static(b"{}");
        let mut read = Read::default();
        read.push(data.clone());
        assert_eq!(read.into_data().as_ptr(), data.as_ptr());
    }

    #[test]
    fn what_turns_out_to_be_long_streams() {
        let text = "long ".repeat(SHORT);
        let body = ahead(Script::chunks(halves(&gzip(text.as_bytes()))));
        assert_eq!(body.size_hint().exact(), None);
        assert!(!body.is_end_stream());
        assert_eq!(drain(body).data().unwrap(), text.as_bytes());
    }

    #[test]
    fn trailers_and_errors_come_behind_the_data() {
        let data = || Ok(Frame::data(Bytes::from(gzip(b"text"))));
        let trailers = Ok(Frame::trailers(HeaderMap::new()));
        let drained = drain(ahead(Script::new([data(), trailers])));
        assert!(drained.trailers.is_some());
        assert_eq!(drained.data().unwrap(), b"text");
        let broken = ahead(Script::new([data(), Err(io::Error::other("reset"))]));
        assert_eq!(broken.size_hint().exact(), None);
        let drained = drain(broken);
        assert_eq!(drained.frames, ["text"]);
        assert_eq!(drained.data().unwrap_err().to_string(), "reset");
    }
}
