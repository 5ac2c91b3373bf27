//! Compression of answers, in constant memory.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::api::Payload;

/// Compresses text; bodies that are binary or compressed already stay as they are.
pub(crate) fn compress(payload: Payload, headers: &mut HeaderMap) -> Payload {
    let is_text = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| kind.starts_with("application/json") || kind.starts_with("text/"));
    if !is_text || headers.contains_key(CONTENT_ENCODING) || matches!(payload, Payload::Empty) {
        return payload;
    }
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    headers.remove(CONTENT_LENGTH);
    match payload {
        Payload::Empty => Payload::Empty,
        Payload::Full(body) => Payload::Full(Gzip::new(std::iter::once(body)).flatten().collect()),
        Payload::Chunks(chunks) => Payload::Chunks(Box::new(Gzip::new(chunks))),
    }
}

/// Compresses chunk by chunk; holds no more than one chunk and the window.
struct Gzip<I> {
    chunks: I,
    encoder: Option<GzEncoder<Vec<u8>>>,
}

impl<I> Gzip<I> {
    fn new(chunks: I) -> Self {
        Self {
            chunks,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::fast())),
        }
    }
}

impl<I: Iterator<Item = Bytes>> Iterator for Gzip<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let encoder = self.encoder.as_mut()?;
            let Some(chunk) = self.chunks.next() else {
                // Writing to memory does not fail.
                let rest = self.encoder.take()?.finish().unwrap_or_default();
                return (!rest.is_empty()).then(|| Bytes::from(rest));
            };
            encoder.write_all(&chunk).ok()?;
            if encoder.get_ref().len() >= GZIP_PIECE {
                return Some(Bytes::from(std::mem::take(encoder.get_mut())));
            }
        }
    }
}

const GZIP_PIECE: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_stream_is_compressed_piece_by_piece() {
        let chunks: Vec<Bytes> = (0..200u32)
            .map(|seed| {
                (0..4096u32)
                    .map(|index| {
                        seed.wrapping_mul(index)
                            .wrapping_mul(2_654_435_761)
                            .to_be_bytes()[1]
                    })
                    .collect()
            })
            .collect();
        let plain: Vec<u8> = chunks.concat();
        let pieces: Vec<Bytes> = Gzip::new(chunks.into_iter()).collect();
        assert!(pieces.len() > 10, "{} pieces", pieces.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&pieces.concat()[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert!(unpacked == plain);
    }
}
