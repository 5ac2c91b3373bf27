//! A local authenticating proxy for the Microsoft Defender APIs.

pub mod auth;
pub mod cloud;
pub mod config;
pub mod origin;
pub mod rewrite;
pub mod sandbox;
