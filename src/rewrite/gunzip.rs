//! A body decoded from gzip (RFC 1952) as it streams.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, DecompressError, FlushDecompress, Status};
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;

use super::{BoxError, headers};

/// Decodes the body inside, which may be several gzip members in a row.
///
/// A frame holds at most 64 KiB, and no more than that is decoded ahead of the reader: a few bytes that stand for
/// gigabytes cost time, not memory. A body that ends within a member fails, and so does one that goes on with
/// anything but another member. One of no bytes at all is empty.
#[derive(Debug)]
pub struct Gunzip<B> {
    body: B,
    inflate: Decompress,
    stage: Stage,
    input: Bytes,
    /// Zeroed room for output. What is handed out is split off, and comes back when the reader is done with it.
    room: BytesMut,
    trailers: Option<http::HeaderMap>,
}

impl<B> Gunzip<B> {
    /// Decodes `body`.
    pub fn new(body: B) -> Self {
        Self {
            body,
            inflate: Decompress::new_gzip(WINDOW_BITS),
            stage: Stage::Between,
            input: Bytes::new(),
            room: BytesMut::new(),
            trailers: None,
        }
    }

    /// Decodes a step; the frame may be empty.
    fn step(&mut self) -> Result<Bytes, GunzipError> {
        if self.room.len() < LEAST_ROOM {
            self.room.clear();
            self.room.resize(FRAME, 0);
        }
        if self.stage == Stage::Between && self.inflate.total_in() > 0 {
            self.inflate.reset(true);
        }
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(&self.input, &mut self.room, FlushDecompress::None)?;
        let read = narrow(self.inflate.total_in() - read);
        let written = narrow(self.inflate.total_out() - written);
        self.stage = match status {
            Status::StreamEnd => Stage::Between,
            // The room is full: there may be more to come out without anything going in.
            Status::Ok | Status::BufError if written == self.room.len() => Stage::Full,
            Status::Ok | Status::BufError if read < self.input.len() => {
                return Err(GunzipError::Stalled);
            }
            Status::Ok | Status::BufError => Stage::Hungry,
        };
        self.input.advance(read);
        Ok(self.room.split_to(written).freeze())
    }

    fn needs_input(&self) -> bool {
        self.input.is_empty() && self.stage != Stage::Full
    }

    /// The end of the body inside: is it the end of a member?
    fn end(&mut self) -> Result<(), GunzipError> {
        match self.stage {
            Stage::Between | Stage::Over => {
                self.stage = Stage::Over;
                Ok(())
            }
            Stage::Hungry | Stage::Full => Err(GunzipError::Truncated),
        }
    }
}

impl<B> Gunzip<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Goes on until there is output, an end or nothing to read.
    fn poll_step(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BoxError>> {
        for _ in 0..STEPS {
            if self.stage == Stage::Over {
                return Poll::Ready(Ok(None));
            }
            if !self.needs_input() {
                let output = self.step()?;
                if !output.is_empty() {
                    return Poll::Ready(Ok(Some(output)));
                }
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context))
                .transpose()
                .map_err(Into::into)?
            {
                None => self.end()?,
                Some(frame) => match frame.into_data() {
                    Ok(input) => self.input = input,
                    Err(frame) => {
                        self.end()?;
                        self.trailers = frame.into_trailers().ok().map(headers::without_digests);
                    }
                },
            }
        }
        // Much input and no output, such as thousands of empty members: let others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<B> Body for Gunzip<B>
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
        let frame = match ready!(self.poll_step(context)) {
            Ok(Some(output)) => Some(Ok(Frame::data(output))),
            Ok(None) => self
                .trailers
                .take()
                .map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => {
                self.stage = Stage::Over;
                Some(Err(error))
            }
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self.stage {
            Stage::Over => self.trailers.is_none(),
            Stage::Between => self.input.is_empty() && self.body.is_end_stream(),
            // Should the body inside be over, then as an error still to be told.
            Stage::Hungry | Stage::Full => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            SizeHint::with_exact(0)
        } else {
            SizeHint::default()
        }
    }
}

/// Why a gzip body could not be decoded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GunzipError {
    /// It ended within a member.
    #[error("the gzip body is cut short")]
    Truncated,
    /// It breaks the format, fails its checksum, or has something else behind a member.
    #[error("the gzip body is corrupt")]
    Corrupt(#[from] DecompressError),
    /// The decoder left input unread although it had room for output.
    #[error("the gzip body cannot be decoded any further")]
    Stalled,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Before, between or behind members.
    Between,
    /// Within a member, all that was read being decoded.
    Hungry,
    /// Within a member, perhaps with more output than there was room for.
    Full,
    /// At the end, or failed.
    Over,
}

/// Both counts are within one call, hence within a slice.
fn narrow(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

const FRAME: usize = 64 * 1024;
const LEAST_ROOM: usize = FRAME / 4;
const WINDOW_BITS: u8 = 15;
/// Steps without output in one poll.
const STEPS: usize = 32;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::io;
    use std::task::Waker;

    use flate2::{Compression, GzBuilder};
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::super::script::{Drained, Script, drain, gzip};
    use super::*;

    fn decode(chunks: impl IntoIterator<Item: Into<Bytes>>) -> Drained {
        drain(Gunzip::new(Script::chunks(chunks)))
    }

    fn error(drained: Drained) -> GunzipError {
        *drained
            .data()
            .unwrap_err()
            .downcast::<GunzipError>()
            .unwrap()
    }

    #[test]
    fn one_member_or_several_however_cut() {
        let named = GzBuilder::new()
            .filename("a.json")
            .comment("c")
            .extra("e")
            .read(&b"named "[..], Compression::best());
        let named: Vec<u8> = io::Read::bytes(named).map(Result::unwrap).collect();
        let whole = [gzip(b"first "), named, gzip(b""), gzip(b"last")].concat();
        for size in 1..=whole.len() {
            let decoded = decode(whole.chunks(size).map(<[u8]>::to_vec))
                .data()
                .unwrap();
            assert_eq!(decoded, b"first named last", "in chunks of {size}");
        }
    }

    #[test]
    fn nothing_is_nothing() {
        let body = Gunzip::new(Script::chunks([""]));
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert_eq!(drain(body).data().unwrap(), b"");
        assert_eq!(decode([gzip(b"")]).data().unwrap(), b"");
    }

    #[test]
    fn a_body_cut_short_fails() {
        let whole = [gzip(b"a member"), gzip(&[b'x'; 5000])].concat();
        let boundary = gzip(b"a member").len();
        for len in (1..whole.len()).filter(|len| *len != boundary) {
            assert!(
                matches!(
                    error(decode([whole[..len].to_vec()])),
                    GunzipError::Truncated
                ),
                "{len} bytes"
            );
        }
    }

    #[test]
    fn a_body_cut_short_fails_before_its_trailers() {
        let cut = gzip(b"a member")[..12].to_vec();
        let frames = [
            Ok(Frame::data(cut.into())),
            Ok(Frame::trailers(HeaderMap::new())),
        ];
        let drained = drain(Gunzip::new(Script::new(frames)));
        assert!(drained.trailers.is_none());
        assert!(matches!(error(drained), GunzipError::Truncated));
    }

    #[test]
    fn a_corrupt_body_fails() {
        let whole = gzip(b"some data, some more data");
        let length = whole.len();
        // Magic, method, reserved flags, a deflated byte, checksum and length.
        for at in [0, 1, 2, 12, length - 8, length - 5, length - 4, length - 1] {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            assert!(decode([broken]).data().is_err(), "byte {at}");
        }
        for tail in [&b"garbage"[..], b"\0\0", b"\0", b"\x1f\x8c", &[0; 9000]] {
            let broken = [&whole[..], tail].concat();
            assert!(decode([broken]).data().is_err(), "{tail:?}");
            assert!(
                decode([&whole, tail].map(<[u8]>::to_vec)).data().is_err(),
                "{tail:?}"
            );
        }
        assert!(decode(["{}"]).data().is_err());
    }

    #[test]
    fn the_error_of_the_body_inside_is_its_own() {
        let frames = [
            Ok(Frame::data(gzip(b"a").into())),
            Err(io::Error::other("reset")),
        ];
        assert_eq!(
            drain(Gunzip::new(Script::new(frames)))
                .data()
                .unwrap_err()
                .to_string(),
            "reset"
        );
    }

    #[test]
    fn a_bomb_costs_no_memory() {
        let bomb = gzip(&vec![0; 20 << 20]);
        assert!(bomb.len() < 32 << 10);
        let mut body = Gunzip::new(Script::chunks([bomb]));
        let mut context = Context::from_waker(Waker::noop());
        let (mut total, mut places) = (0, HashSet::new());
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            let data = frame.unwrap().into_data().unwrap();
            assert!(data.len() <= FRAME);
            total += data.len();
            places.insert(data.as_ptr());
        }
        assert_eq!(total, 20 << 20);
        // Each frame was dropped before the next, so its memory was used again.
        assert!(places.len() < 8, "{}", places.len());
    }

    #[test]
    fn many_members_without_output_pause() {
        let members = gzip(b"").repeat(10_000);
        let drained = decode([members]);
        assert!(drained.pauses > 100);
        assert_eq!(drained.data().unwrap(), b"");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn decodes_what_was_encoded(data: Vec<Vec<u8>>, repeat in 1_usize..2000, size in 1_usize..5000) {
            let data: Vec<_> = data.into_iter().map(|member| member.repeat(repeat)).collect();
            let whole: Vec<u8> = data.iter().flat_map(|member| gzip(member)).collect();
            let drained = decode(whole.chunks(size).map(<[u8]>::to_vec));
            prop_assert!(drained.frames.iter().all(|frame| !frame.is_empty() && frame.len() <= FRAME));
            prop_assert_eq!(drained.data().unwrap(), data.concat());
        }

        #[test]
        fn anything_ends(data: Vec<u8>, size in 1_usize..50) {
            let whole = [&gzip(b"x")[..10], &data].concat();
            decode(whole.chunks(size).map(<[u8]>::to_vec)).data().ok();
        }
    }
}
