//! Input: a line whose bytes are the sizes of chunks, then gzip.

#![no_main]

#[path = "../../tests/checks/cut.rs"]
mod cut;
#[path = "../../tests/checks/gunzip.rs"]
mod gunzip;
mod input;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (sizes, data) = input::sizes_and_data(input);
    gunzip::gunzip(cut::cut(data, sizes));
});
