//! A local authenticating proxy for the Microsoft Defender APIs.
//!
//! Point any HTTP tool at localhost and it talks to Microsoft Defender, signed in.
//!
//! # Life of a request
//!
//! [`server`] accepts a connection and hands it to a worker; [`server::connection`] speaks HTTP with the client; then one function,
//! [`proxy::Proxy::handle`], takes the request through these steps, each of which makes the only input that the next one takes:
//!
//! 1. [`guard`]: may this client use the credentials?
//!    ([`stand_in_login`] answers those that only want to sign in.)
//! 2. [`route`]: upstream, audience and identity of the path, and [`customer`] of a partner; what the client sent for credentials is stripped ([`headers`]).
//! 3. [`auth`]: the token of (identity, tenant, audience), cached, fetched once however many wait, renewed ahead.
//! 4. [`upstream`]: sent over TLS; bodies stream ([`body`]).
//! 5. [`rewrite`]: links to upstream become links to the client's own origin, as the body streams.
//!
//! An [`error::Error`] on the way becomes a `problem+json` response; [`access`] writes one line for each request.
//!
//! [`sandbox`] has stand-ins for Entra ID and the APIs, for trying, developing and testing without a tenant.

pub mod access;
pub mod auth;
pub mod body;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod customer;
pub mod error;
pub mod guard;
pub mod headers;
mod jwt;
pub mod loopback;
pub mod loose;
pub mod origin;
pub mod places;
pub mod process;
pub mod proxy;
pub mod rewrite;
pub mod route;
pub mod sandbox;
pub mod serve;
pub mod server;
pub mod stall;
pub mod stand_in_login;
pub mod target;
pub mod telemetry;
pub mod throttle;
pub mod upstream;
