//! Tests over real sockets, with the real program. One binary, so that there is one link.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed"
)]

mod answering;
mod bad_answers;
mod breaking;
mod certificates;
mod check;
mod claims;
mod cli;
mod clocks;
mod codings;
mod config_files;
mod consent;
mod credentials;
mod customers;
mod deadlines;
mod default_credential;
mod draining;
mod error_table;
mod example_configs;
mod exhausted;
mod federated;
mod forwarding;
mod frame_clients;
mod frame_servers;
mod frames;
mod framing;
mod guarding;
mod hygiene;
mod listening;
mod load;
mod managed_identity;
mod many_customers;
mod neighbours;
mod never_twice;
mod outages;
mod output;
mod paced;
mod paging;
mod partner_examples;
mod people;
mod pipelines;
mod pooled;
mod programs;
mod raw;
mod refusals;
mod rejected;
mod renewal;
mod request_syntax;
mod restricting;
mod rewriting;
mod sandbox;
mod sandbox_data;
mod scripted;
mod secrets;
mod shutdown;
mod sign_in;
mod smoke;
mod smuggling;
mod stalled;
mod stand_in_login;
mod status;
mod store;
mod streaming;
mod support;
mod throttled;
mod tokens;
mod truncated;
mod tunnel;
mod upstream_faults;
mod user_secrets;
mod windows;
mod wire;
