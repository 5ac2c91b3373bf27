//! Large JSON answers made while they are read: memory stays at one chunk however many rows there are.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

/// An iterator of chunks: `head`, then the rows with commas between them, then `tail`.
pub(super) struct Chunks<F> {
    head: Vec<u8>,
    rows: Range<u64>,
    write: F,
    tail: Vec<u8>,
    first: bool,
}

impl<F: FnMut(u64, &mut Vec<u8>)> Chunks<F> {
    /// `write` appends the JSON of one row.
    pub(super) fn new(head: Vec<u8>, rows: Range<u64>, tail: Vec<u8>, write: F) -> Self {
        Self {
            head,
            rows,
            write,
            tail,
            first: true,
        }
    }
}

impl<F: FnMut(u64, &mut Vec<u8>)> Iterator for Chunks<F> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let mut chunk = std::mem::take(&mut self.head);
        chunk.reserve(CHUNK + SLACK);
        while chunk.len() < CHUNK {
            let Some(row) = self.rows.next() else {
                chunk.append(&mut self.tail);
                break;
            };
            if !std::mem::take(&mut self.first) {
                chunk.push(b',');
            }
            (self.write)(row, &mut chunk);
        }
        (!chunk.is_empty()).then(|| Bytes::from(chunk))
    }
}

/// Appends `value` as JSON.
pub(super) fn append(out: &mut Vec<u8>, value: &impl Serialize) {
    let written = serde_json::to_writer(out, value);
    // Writing to memory can't fail, and our records have no keys but strings.
    debug_assert!(written.is_ok());
}

/// Bytes after which a chunk is sent.
const CHUNK: usize = 48 * 1024;

/// Room for the row that crosses the limit, so that the buffer need not grow.
const SLACK: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_separated_and_closed_at_every_count() {
        for count in [0, 1, 2, 20_000] {
            let chunks = Chunks::new(b"[".to_vec(), 0..count, b"]".to_vec(), |row, out| {
                append(out, &row);
            });
            let text: Vec<u8> = chunks.flatten().collect();
            let rows: Vec<u64> = serde_json::from_slice(&text).unwrap();
            assert_eq!(rows, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn chunks_stay_small() {
        let chunks = Chunks::new(Vec::new(), 0..100_000, Vec::new(), |row, out| {
            append(out, &row);
        });
        assert!(
            chunks
                .map(|chunk| chunk.len())
                .all(|size| (1..=CHUNK + SLACK).contains(&size))
        );
    }
}
