//! See the target of this program's name in `tests/checks/targets.rs`.

#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::targets::run(env!("CARGO_BIN_NAME"), input));
