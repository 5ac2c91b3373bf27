//! Input: a line whose bytes are the sizes of chunks, then the document. The first size also chooses the scope.

#![no_main]

#[path = "../../tests/checks/cut.rs"]
mod cut;
mod input;
#[path = "../../tests/checks/rewrite_chunks.rs"]
mod rewrite_chunks;

use defender_proxy::rewrite::Scope;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let (sizes, document) = input::sizes_and_data(input);
    let scope = match sizes.first().map(|size| size % 3) {
        None | Some(0) => Scope::Fields,
        Some(1) => Scope::FieldsUntilRows,
        Some(_) => Scope::Off,
    };
    rewrite_chunks::rewrite_chunks(cut::cut(document, sizes), scope);
});
