//! The fuzz targets: how each takes its input from bytes. `fuzz/` runs them, and `tests/properties.rs` over the kept corpus.

use defender_proxy::rewrite::Scope;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::{
    challenge, config_toml, connection_header, customer, cut::cut, gunzip, head, host_header,
    id_token, response_links, retry_after, rewrite_chunks, route_target, screen, token_answer,
};

/// A fuzz target: its name, and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

pub(crate) const TARGETS: &[Target] = &[
    ("challenge", |input| {
        let lines = input.split(|byte| *byte == b'\n');
        let lines: Vec<_> = lines
            .filter_map(|line| HeaderValue::from_bytes(line).ok())
            .collect();
        challenge::challenge(&lines);
    }),
    ("config_toml", |input| text(input, config_toml::config_toml)),
    ("connection_header", |input| {
        if let Some(request) = head::parse(input) {
            connection_header::connection_header(request);
        }
    }),
    ("customer", |input| text(input, customer)),
    ("gunzip", |input| {
        let (sizes, data) = first_line(input);
        gunzip::gunzip(cut(data, sizes));
    }),
    ("host_header", |input| {
        if let Some(request) = head::parse(input) {
            host_header::host_header(request);
        }
    }),
    ("id_token", |input| {
        id_token::id_token(input);
        text(input, id_token::any_token);
    }),
    ("response_links", |input| {
        response_links::response_links(&answer(input).map(|_| ()));
    }),
    ("retry_after", retry_after::retry_after),
    ("rewrite_chunks", rewrite_chunks),
    ("route_target", |input| text(input, route_target)),
    ("screen", |input| {
        let (sizes, data) = first_line(input);
        screen::screen(data, &cut(data, sizes));
    }),
    ("token_answer", |input| {
        token_answer::token_answer(answer(input));
    }),
];

/// Runs the target of this name.
///
/// # Panics
/// When a promise is broken, or there is no such target.
pub(crate) fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, check) = target.unwrap_or_else(|| panic!("no target {name}"));
    check(input);
}

fn text(input: &[u8], check: impl Fn(&str)) {
    if let Ok(text) = std::str::from_utf8(input) {
        check(text);
    }
}

/// Three lines: the target, the value of `X-Defender-Tenant` (none if empty), and the host.
fn customer(input: &str) {
    let mut lines = input.lines();
    let target = lines.next().unwrap_or("/");
    let value = lines.next().filter(|value| !value.is_empty());
    let field = value.map(|value| ("x-defender-tenant".to_owned(), value.to_owned()));
    let fields: Vec<_> = field.into_iter().collect();
    customer::customer(target, &fields, lines.next().unwrap_or("localhost"));
}

/// The sizes of chunks, of which the first also chooses the scope, and the document.
fn rewrite_chunks(input: &[u8]) {
    let (sizes, document) = first_line(input);
    let scope = match sizes.first().map(|size| size % 3) {
        None | Some(0) => Scope::Fields,
        Some(1) => Scope::FieldsUntilRows,
        Some(_) => Scope::Off,
    };
    rewrite_chunks::rewrite_chunks(cut(document, sizes), scope);
}

/// `METHOD target`, as on a request line.
fn route_target(line: &str) {
    let (method, target) = line.split_once(' ').unwrap_or(("GET", line));
    let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
    route_target::route_target(&method, target);
}

/// A status, lines of `name: value`, an empty line, a body; what can't stand in an answer is left out.
fn answer(input: &[u8]) -> Response<Vec<u8>> {
    let (status, mut rest) = first_line(input);
    let mut headers = HeaderMap::new();
    loop {
        let (line, behind) = first_line(rest);
        rest = behind;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            break;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            let _ = headers.try_append(name, value);
        }
    }
    let mut answer = Response::new(rest.to_vec());
    *answer.status_mut() = StatusCode::from_bytes(status).unwrap_or_default();
    *answer.headers_mut() = headers;
    answer
}

/// The first line, and what stands behind its end.
fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n');
    let (line, rest) = input.split_at(end.unwrap_or(input.len()));
    (line, rest.get(1..).unwrap_or_default())
}
