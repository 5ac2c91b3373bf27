//! Bodies: compressed, broken, slow, large.

use std::io::Read as _;

use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH};
use http::{Request, StatusCode, Version};
use serde_json::{Value, json};

use super::{Bench, ENDPOINT, Reply};

#[tokio::test]
async fn gzip_for_those_who_accept_it() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let bench = Bench::speaking(version).await;
        let token = bench.token(ENDPOINT).await;
        for path in ["/api/sandbox/echo", "/api/sandbox/download?bytes=300000"] {
            let plain = bench.api(path, &token).await;
            assert!(!plain.headers.contains_key(CONTENT_ENCODING));
            assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
            let request = Request::get(format!("{}{path}", bench.sandbox.defender()))
                .header(AUTHORIZATION, format!("Bearer {token}"))
                .header(ACCEPT_ENCODING, "gzip");
            let packed = Reply::of(bench.send(request, "").await.unwrap()).await;
            assert_eq!(packed.headers.get(CONTENT_ENCODING).unwrap(), "gzip");
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&packed.body.unwrap()[..])
                .read_to_end(&mut text)
                .unwrap();
            assert!(serde_json::from_slice::<Value>(&text).is_ok());
            assert!(text.len().abs_diff(plain.body.unwrap().len()) < 10);
        }
    }
}

#[tokio::test]
async fn broken_bodies_are_broken_in_both_versions() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let bench = Bench::speaking(version).await;
        let token = bench.token(ENDPOINT).await;
        for (action, path) in [
            (json!({"truncate": 10}), "/api/sandbox/echo"),
            (json!({"truncate": 1_000_000}), "/api/sandbox/echo"),
            (json!({"reset": "mid-body"}), "/api/sandbox/echo"),
            (
                json!({"reset": "mid-body"}),
                "/api/sandbox/download?bytes=200000",
            ),
            (
                json!({"truncate": 100_000}),
                "/api/sandbox/download?bytes=200000&type=binary",
            ),
        ] {
            bench.script(json!({"api": [action]})).await;
            let reply = bench.api(path, &token).await;
            assert_eq!(
                reply.status,
                StatusCode::OK,
                "{action} {path}: the head arrives"
            );
            assert!(reply.body.is_none(), "{action} {path}: the body does not");
        }
        bench
            .script(json!({"api": [{"reset": "before-headers"}]}))
            .await;
        let url = format!("{}/api/sandbox/echo", bench.sandbox.defender());
        let request = Request::get(url).header(AUTHORIZATION, format!("Bearer {token}"));
        assert!(bench.send(request, "").await.is_none());
        assert_eq!(
            bench.look("stats").await["aborted"],
            0,
            "none of it was the client's doing"
        );
    }
}

#[tokio::test]
async fn slow_bodies_arrive_whole() {
    let bench = Bench::start().await;
    let token = bench.token(ENDPOINT).await;
    bench
        .script(json!({"api": [{"slow_body_ms": 1}, {"delay_ms": 1}]}))
        .await;
    assert_eq!(
        bench.api("/api/sandbox/echo", &token).await.json()["method"],
        "GET"
    );
    assert_eq!(
        bench.api("/api/sandbox/echo", &token).await.json()["method"],
        "GET"
    );
}

#[tokio::test]
async fn bodies_of_any_size_go_up_and_down() {
    let bench = Bench::speaking(Version::HTTP_11).await;
    let token = bench.token(ENDPOINT).await;
    let body = vec![7; 3_000_000];
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let post = |path: &str| {
        let url = format!("{}{path}", bench.sandbox.defender());
        Request::post(url).header(AUTHORIZATION, format!("Bearer {token}"))
    };
    let uploaded = Reply::of(
        bench
            .send(post("/api/sandbox/upload"), body.clone())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        uploaded.json(),
        json!({"bytes": 3_000_000, "sum": crc.sum()})
    );
    let refused = bench.send(post("/api/sandbox/echo"), body).await;
    assert!(refused.is_none_or(|refused| refused.status() == StatusCode::PAYLOAD_TOO_LARGE));
    let binary = bench
        .api("/api/sandbox/download?bytes=1234567&type=binary", &token)
        .await;
    assert_eq!(binary.headers.get(CONTENT_LENGTH).unwrap(), "1234567");
    assert_eq!(binary.body.unwrap().len(), 1_234_567);
    let streamed = bench
        .api("/api/sandbox/download?bytes=1000000", &token)
        .await;
    assert!(!streamed.headers.contains_key(CONTENT_LENGTH));
    assert_eq!(streamed.body.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn gzip_that_is_refused_is_not_sent() {
    let bench = Bench::start().await;
    let token = bench.token(ENDPOINT).await;
    for accepted in ["gzip;q=0, *", "identity", "br"] {
        let request = Request::get(format!("{}/api/sandbox/echo", bench.sandbox.defender()))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(ACCEPT_ENCODING, accepted);
        let reply = Reply::of(bench.send(request, "").await.unwrap()).await;
        assert!(!reply.headers.contains_key(CONTENT_ENCODING), "{accepted}");
        assert_eq!(reply.json()["method"], "GET");
    }
}
