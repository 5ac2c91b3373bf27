//! Compression, and the headers that speak of a body: they are true of the one that the client gets.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::Method;
use http_body_util::Full;
use serde_json::json;

use crate::{
    raw::{Raw, answer},
    support::{self, Answer, Proxy, header},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_passes_to_the_byte() {
    let (upstreams, proxy) = support::start().await;
    let target = "/api/sandbox/download?bytes=300001&type=binary";
    let url = format!("{}{target}", upstreams.sandbox.defender());
    proxy.get("/api/machines").await;
    let plain = upstreams.direct(&url, "identity").await;
    assert_eq!(plain.body.len(), 300_001);
    let answer = ask(&proxy, Method::GET, target, None).await;
    assert!(answer.body == plain.body);
    assert_eq!(answer.header("content-encoding"), "");

    let target = "/api/alerts/$count";
    let url = format!("{}{target}", upstreams.sandbox.defender());
    let zipped = upstreams.direct(&url, "gzip").await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    // Who accepts gzip gets upstream's own, and who doesn't what is in it.
    let answer = ask(&proxy, Method::GET, target, Some("br;q=1, gzip;q=0.5")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.body, zipped.body);
    assert_eq!(ask(&proxy, Method::GET, target, None).await.text(), "1000");

    // Part of a body is neither decoded nor searched.
    let part = proxy
        .request(Method::GET, target)
        .header("range", "bytes=0-9")
        .body(Full::default())
        .unwrap();
    proxy.exchange(part).await;
    let seen = upstreams.api_requests().await;
    assert_eq!(header(seen.last().unwrap(), "accept-encoding"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_is_asked_for_gzip_whatever_the_client_said() {
    let (upstreams, proxy) = support::start().await;
    for encoding in [
        None,
        Some("identity"),
        Some("br, zstd"),
        Some("gzip;q=0"),
        Some("gzip, deflate"),
    ] {
        let answer = ask(&proxy, Method::GET, "/api/incidents", encoding).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), "", "{encoding:?}");
        assert!(answer.json()["value"].is_array());
        assert!(
            answer
                .header("vary")
                .to_lowercase()
                .contains("accept-encoding")
        );
        // It would be the length of other bytes.
        assert_eq!(answer.header("content-length"), "");
        let seen = upstreams.api_requests().await;
        assert_eq!(
            header(seen.last().unwrap(), "accept-encoding"),
            Some("gzip")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_speaks_of_the_answer_that_get_would_have() {
    let (_upstreams, proxy) = support::start().await;
    for target in [
        "/api/incidents",
        "/api/alerts/$count",
        "/api/sandbox/download?bytes=1000&type=binary",
    ] {
        for encoding in [None, Some("gzip")] {
            let get = ask(&proxy, Method::GET, target, encoding).await;
            let head = ask(&proxy, Method::HEAD, target, encoding).await;
            assert_eq!(head.status, 200, "{target}");
            assert!(head.body.is_empty());
            for name in ["content-type", "content-encoding", "vary"] {
                assert_eq!(
                    head.header(name),
                    get.header(name),
                    "{target} {encoding:?} {name}"
                );
            }
            let length = head.header("content-length");
            assert!(
                length.is_empty() || length == get.body.len().to_string(),
                "{target} {length}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_longer_holds_of_a_rewritten_body_is_taken_back() {
    let page =
        |host: &str| format!("{{\"value\":[1],\"odata\":2,\"@odata.nextLink\":\"{host}/n\"}}");
    let sent = page("https://api.security.microsoft.com");
    let zipped = gzip(sent.as_bytes());
    let (_raw, proxy) = Raw::behind_proxy(answer(
        "application/json\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\nVary: Origin\r\nContent-MD5: abc\r\nAccept-Ranges: bytes",
        &zipped,
    ))
    .await;
    for encoding in [None, Some("gzip")] {
        let got = ask(&proxy, Method::GET, "/api/incidents", encoding).await;
        assert_eq!(got.text(), page(&proxy.url));
        for (name, value) in [
            ("etag", "W/\"v1\""),
            ("content-encoding", ""),
            ("content-length", &got.body.len().to_string()),
            ("content-md5", ""),
            ("accept-ranges", ""),
        ] {
            assert_eq!(got.header(name), value, "{name}");
        }
        let vary: Vec<_> = got.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Origin", "accept-encoding"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_holds_of_a_body_stays() {
    let zipped = gzip(b"a;b\n1;2\n");
    let (_raw, proxy) = Raw::behind_proxy(answer(
        "text/csv\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\nContent-MD5: abc",
        &zipped,
    ))
    .await;
    let got = ask(&proxy, Method::GET, "/api/x", Some("gzip")).await;
    assert_eq!(got.body, zipped);
    for (name, value) in [
        ("etag", "\"v1\""),
        ("content-encoding", "gzip"),
        ("content-md5", "abc"),
        ("content-length", &zipped.len().to_string()),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let got = ask(&proxy, Method::GET, "/api/x", None).await;
    assert_eq!(got.text(), "a;b\n1;2\n");
    for (name, value) in [
        ("etag", "W/\"v1\""),
        ("content-encoding", ""),
        ("content-length", "8"),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
}

/// A corrupt or cut body must not look whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_that_is_broken_breaks_the_answer() {
    let mut cut = gzip(
        json!({"value": vec!["contoso"; 5000]})
            .to_string()
            .as_bytes(),
    )
    .to_vec();
    cut.truncate(cut.len() - 6);
    let mut corrupt = gzip(b"{\"value\":[1,2,3]}").to_vec();
    let checksum = corrupt.len() - 5;
    corrupt[checksum] ^= 1;
    for body in [cut, corrupt] {
        let (_raw, proxy) =
            Raw::behind_proxy(answer("application/json\r\nContent-Encoding: gzip", &body)).await;
        let text = proxy
            .raw("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
        // If it breaks at once, not even the head need arrive.
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 200"),
            "{text}"
        );
        assert!(!text.ends_with("\r\n0\r\n\r\n"), "a clean end: {text}");
    }
}

async fn ask(proxy: &Proxy, method: Method, target: &str, encoding: Option<&str>) -> Answer {
    let mut request = proxy.request(method, target);
    if let Some(encoding) = encoding {
        request = request.header("accept-encoding", encoding);
    }
    proxy.exchange(request.body(Full::default()).unwrap()).await
}

fn gzip(data: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap().into()
}
