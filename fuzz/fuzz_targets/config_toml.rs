//! Input: a `proxy.toml`.

#![no_main]

#[path = "../../tests/checks/config_toml.rs"]
mod config_toml;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| config_toml::config_toml(text));
