//! Input: three lines, the target, the value of `X-Defender-Tenant` (none if empty), and the host.

#![no_main]

#[path = "../../tests/checks/customer.rs"]
mod customer;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.lines();
    let target = lines.next().unwrap_or("/");
    let value = lines.next().filter(|value| !value.is_empty());
    let field = value.map(|value| ("x-defender-tenant".to_owned(), value.to_owned()));
    let fields: Vec<_> = field.into_iter().collect();
    customer::customer(target, &fields, lines.next().unwrap_or("localhost"));
});
