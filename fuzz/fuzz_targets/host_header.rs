//! Input: a request head, as on the wire.

#![no_main]

#[path = "../../tests/checks/head.rs"]
mod head;
#[path = "../../tests/checks/host_header.rs"]
mod host_header;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    if let Some(request) = head::parse(head) {
        host_header::host_header(request);
    }
});
