//! More connections, requests and bytes than there is room for.
