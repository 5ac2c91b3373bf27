//! Calls are spread below the documented limits.
