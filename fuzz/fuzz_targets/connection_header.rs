//! Input: a request head, as on the wire.

#![no_main]

#[path = "../../tests/checks/connection_header.rs"]
mod connection_header;
#[path = "../../tests/checks/head.rs"]
mod head;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    if let Some(request) = head::parse(head) {
        connection_header::connection_header(request);
    }
});
