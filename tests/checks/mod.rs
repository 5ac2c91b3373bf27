//! What holds of any input, said once: `tests/properties.rs` tries it on inputs that proptest makes and on the kept corpus, `fuzz/`
//! on those that libFuzzer finds. A check panics where a promise is broken.

pub(crate) mod challenge;
pub(crate) mod config_toml;
pub(crate) mod connection_header;
pub(crate) mod customer;
pub(crate) mod cut;
pub(crate) mod gunzip;
pub(crate) mod head;
pub(crate) mod host_header;
pub(crate) mod id_token;
pub(crate) mod response_links;
pub(crate) mod retry_after;
pub(crate) mod rewrite_chunks;
pub(crate) mod route_target;
pub(crate) mod screen;
pub(crate) mod targets;
pub(crate) mod token_answer;
