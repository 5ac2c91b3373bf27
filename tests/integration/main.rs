//! Tests over real sockets, with the real program. One binary, so that there is one link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod answering;
mod breaking;
mod certificates;
mod check;
mod claims;
mod cli;
mod codings;
mod config_files;
mod consent;
mod credentials;
mod customers;
mod deadlines;
mod default_credential;
mod error_table;
mod example_configs;
mod federated;
mod forwarding;
mod framing;
mod guarding;
mod hygiene;
mod listening;
mod load;
mod managed_identity;
mod many_customers;
mod output;
mod paging;
mod partner_examples;
mod people;
mod programs;
mod raw;
mod refusals;
mod rejected;
mod renewal;
mod restricting;
mod rewriting;
mod sandbox;
mod sandbox_data;
mod scripted;
mod secrets;
mod shutdown;
mod sign_in;
mod smoke;
mod stand_in_login;
mod status;
mod store;
mod streaming;
mod support;
mod tokens;
mod truncated;
mod tunnel;
mod user_secrets;
mod windows;
mod wire;
