//! What is taken off requests and answers, and who is let in.

use defender_proxy::{
    auth::secret::Secret,
    guard::{ClientKey, Guard},
    headers,
};
use divan::{Bencher, counter::ItemsCount};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::inputs::{SENDERS, Sender, guard};

#[divan::bench(args = SENDERS)]
fn strip_request(bencher: Bencher<'_, '_>, sender: Sender) {
    let fields = sender.request().headers().clone();
    bencher
        .counter(ItemsCount::new(fields.len()))
        .with_inputs(|| fields.clone())
        .bench_local_refs(|fields| headers::strip_request(fields, true));
}

#[divan::bench(args = ["short", "long"])]
fn strip_response(bencher: Bencher<'_, '_>, answer: &str) {
    let fields = answer_fields(if answer == "short" { 4 } else { ANSWER.len() });
    bencher
        .counter(ItemsCount::new(fields.len()))
        .with_inputs(|| fields.clone())
        .bench_local_refs(headers::strip_response);
}

#[divan::bench(args = SENDERS)]
fn admit(bencher: Bencher<'_, '_>, sender: Sender) {
    admits(bencher, &guard(), sender);
}

/// The key is hashed for each request.
#[divan::bench]
fn admit_with_client_key(bencher: Bencher<'_, '_>) {
    let key = ClientKey::new(&Secret::from("0123456789abcdef0123456789abcdef".to_owned()));
    let guard = Guard::new(Vec::new(), Vec::new(), Some(key), false);
    let shown = HeaderValue::from_static("0123456789abcdef0123456789abcdef");
    let request = || {
        let mut request = Sender::Curl.request();
        request.headers_mut().insert("x-proxy-key", shown.clone());
        request
    };
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(request)
        .bench_local_values(|request| guard.admit(request).unwrap());
}

fn admits(bencher: Bencher<'_, '_>, guard: &Guard, sender: Sender) {
    let request = sender.request();
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| request.clone())
        .bench_local_values(|request| guard.admit(request).unwrap());
}

/// The first of the fields that Defender for Endpoint answers with.
pub(crate) fn answer_fields(count: usize) -> HeaderMap {
    let fields = ANSWER.iter().take(count);
    fields
        .map(|(name, value)| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        })
        .collect()
}

const ANSWER: [(&str, &str); 14] = [
    (
        "content-type",
        "application/json; odata.metadata=minimal; odata.streaming=true",
    ),
    ("content-length", "1024"),
    ("date", "Sun, 01 Nov 2026 00:00:00 GMT"),
    ("server", "nginx"),
    ("connection", "keep-alive, x-hop"),
    ("x-hop", "1"),
    ("etag", "\"0123456789\""),
    ("odata-version", "4.0"),
    ("request-id", "5a9db0c5-0000-4000-8000-000000000001"),
    ("client-request-id", "5a9db0c5-0000-4000-8000-000000000001"),
    ("strict-transport-security", "max-age=31536000"),
    ("access-control-allow-origin", "*"),
    ("alt-svc", "h3=\":443\""),
    ("cache-control", "no-store"),
];
