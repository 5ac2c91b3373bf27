//! Input: the sizes of pieces, then what a client sends over HTTP/1.

#![no_main]

#[path = "../../tests/checks/cut.rs"]
mod cut;
mod input;
#[path = "../../tests/checks/screen.rs"]
mod screen;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (sizes, data) = input::sizes_and_data(input);
    screen::screen(data, &cut::cut(data, sizes));
});
