//! HTTP/2 frames by hand, for clients and servers that break the rules.
