//! Input: the value of a `Retry-After` field.

#![no_main]

#[path = "../../tests/checks/retry_after.rs"]
mod retry_after;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &[u8]| retry_after::retry_after(value));
