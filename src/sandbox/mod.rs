//! Placeholder.

mod api;
