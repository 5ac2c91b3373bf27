//! Clients that break the rules of HTTP/2.
