//! Bodies in chunks.

use bytes::Bytes;

/// Cuts `data` into chunks of `sizes`, over and over; what `sizes` of nothing but zeros leaves is the last chunk.
pub(crate) fn cut(data: &[u8], sizes: &[u8]) -> Vec<Bytes> {
    let mut rest = Bytes::copy_from_slice(data);
    let mut chunks = Vec::new();
    let mut sizes = sizes.iter().cycle().take(data.len());
    while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
        chunks.push(rest.split_to(rest.len().min((*size).into())));
    }
    chunks.push(rest);
    chunks
}
