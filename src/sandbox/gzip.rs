//! Compression of answers, in constant memory.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};

use super::api::Payload;

pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
            let refused = parts
                .filter_map(|part| part.strip_prefix("q="))
                .any(|weight| weight.parse().is_ok_and(|weight: f32| weight <= 0.0));
            named && !refused
        })
}

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
    fn gzip_is_a_matter_of_the_header() {
        for (value, accepted) in [
            ("gzip", true),
            ("br, GZip;q=0.5", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, br", false),
            ("identity", false),
            ("xgzip", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), accepted, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

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
