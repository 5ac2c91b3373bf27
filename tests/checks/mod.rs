//! What holds of any input, said once: `tests/properties.rs` tries it on inputs that proptest makes, `fuzz/` on those that
//! libFuzzer finds. A check panics where a promise is broken.

pub(crate) mod config_toml;
pub(crate) mod connection_header;
pub(crate) mod customer;
pub(crate) mod cut;
pub(crate) mod gunzip;
pub(crate) mod head;
pub(crate) mod host_header;
pub(crate) mod retry_after;
pub(crate) mod rewrite_chunks;
pub(crate) mod route_target;
pub(crate) mod screen;
