//! Input: `METHOD target`, as on a request line.

#![no_main]

#[path = "../../tests/checks/route_target.rs"]
mod route_target;

use http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &str| {
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    route_target::route_target(&method, target);
});
