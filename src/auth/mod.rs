//! Tokens: who the proxy acts as, and what it shows upstream.

pub mod identity;
pub mod secret;
