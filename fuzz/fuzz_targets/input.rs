//! Inputs of more than one part.

/// Splits an input at its first line's end: the sizes of chunks, as the values of its bytes, and the data.
pub(crate) fn sizes_and_data(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (sizes, data) = input.split_at(end.unwrap_or(input.len()));
    (sizes, data.get(1..).unwrap_or_default())
}
