//! Upstream refuses a token: a new one, once, and the request once more where that is safe.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    load::{self, Http2},
    support::{self, Answer, PATIENCE, Proxy, Upstreams},
};

const UPLOAD: &str = "/api/sandbox/upload";

/// A proxy that holds a token which upstream no longer takes.
async fn revoked() -> (Upstreams, Proxy) {
    let (upstreams, proxy) = support::start().await;
    let answer = proxy.get(load::SMALL).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    upstreams.faults(json!({"revoke_tokens": true})).await;
    (upstreams, proxy)
}

fn is_upstreams_own(answer: &Answer) -> bool {
    answer.status == StatusCode::UNAUTHORIZED
        && answer.header("proxy-status").is_empty()
        && answer.json()["error"]["code"] == "Unauthorized"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_replaced_unseen() {
    let (upstreams, proxy) = revoked().await;
    let answer = proxy.get(load::SMALL).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(upstreams.token_requests().await, 2);
    let stats = upstreams.stats().await;
    assert_eq!(stats["api_calls"]["by_status"], json!({"200": 2, "401": 1}));
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    assert_eq!(upstreams.token_requests().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_body_is_sent_again_byte_by_byte() {
    let (upstreams, proxy) = support::start().await;
    let body: Bytes = (0..64 * 1024u32)
        .flat_map(|n| {
            n.wrapping_mul(2_654_435_761)
                .to_le_bytes()
                .into_iter()
                .take(1)
        })
        .collect();
    let once = proxy.post(UPLOAD, body.clone()).await.json();
    assert_eq!(once["bytes"], 64 * 1024);
    upstreams.faults(json!({"revoke_tokens": true})).await;
    assert_eq!(proxy.post(UPLOAD, body).await.json(), once);
    assert_eq!(upstreams.token_requests().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_upstream_has_read_is_sent_again_whole() {
    let (upstreams, proxy) = revoked().await;
    let query = json!({"Query": "DeviceInfo | take 1"}).to_string();
    let answer = proxy.post("/api/advancedqueries/run", query.clone()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let seen = upstreams.api_requests().await;
    let (sent, again) = (&seen[seen.len() - 2], &seen[seen.len() - 1]);
    assert_eq!(sent["body_bytes"], query.len());
    assert_eq!(again["body_bytes"], query.len());
    assert_ne!(
        support::field(sent, "authorization"),
        support::field(again, "authorization")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_is_sent_again() {
    let (upstreams, proxy) = revoked().await;
    let answer = proxy
        .raw(format!(
            "POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
             6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let straight = proxy.post(UPLOAD, "first second").await.json();
    assert!(answer.contains(&straight["sum"].to_string()), "{answer}");
    assert_eq!(straight["bytes"], 12);
    assert_eq!(upstreams.token_requests().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_amid_the_upload_costs_no_byte() {
    let (upstreams, proxy) = revoked().await;
    let mut client = proxy.connect().await;
    client
        .write_all(
            format!("POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\nfirst \r\n")
                .as_bytes(),
        )
        .await
        .unwrap();
    // Upstream's answer is there, the body is not; the second sending has begun.
    upstreams.wait("token_requests=2&api_calls=3").await;
    let rest = "x".repeat(100 * 1024);
    client
        .write_all(format!("{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len()).as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, client.read_to_string(&mut answer))
        .await
        .expect("no hang")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let straight = proxy.post(UPLOAD, format!("first {rest}")).await.json();
    assert!(answer.contains(&straight["sum"].to_string()), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_is_never_sent_twice() {
    for length in [64 * 1024 + 1, 300 * 1024] {
        let (upstreams, proxy) = revoked().await;
        let body = Bytes::from(vec![7; length]);
        let answer = proxy.post("/api/machines/sandbox/tags", body.clone()).await;
        assert!(is_upstreams_own(&answer), "{answer:?}");
        assert_eq!(upstreams.api_calls().await, 2);
        let answer = proxy.post(UPLOAD, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(upstreams.token_requests().await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_licence_costs_two_tokens_at_most() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"api": [{"licence_401": true}]}))
        .await;
    for _ in 0..50 {
        let answer = proxy.get("/api/machines").await;
        assert!(is_upstreams_own(&answer), "{answer:?}");
        assert!(answer.text().contains("licence"), "{}", answer.text());
    }
    let connection = Http2::connect(&proxy).await;
    for answer in load::all(connection.get_many("/api/machines", 50)).await {
        assert!(is_upstreams_own(&answer), "{answer:?}");
    }
    assert_eq!(upstreams.token_requests().await, 2);
    let stats = upstreams.stats().await;
    assert_eq!(
        stats["api_calls"]["total"], 101,
        "only the first goes twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_refusals_at_a_time_cost_one_token() {
    let (upstreams, proxy) = support::start().await;
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    upstreams
        .faults(json!({"api": [{"hold": "api", "times": 1000}]}))
        .await;
    let mut pending = Vec::new();
    for connection in Http2::connect_many(&proxy, 10).await {
        pending.extend(connection.get_many(load::SMALL, 100));
    }
    upstreams.wait("api_calls=1001").await;
    while upstreams.stats().await["held"]["api"] != 1000 {}
    upstreams.faults(json!({"revoke_tokens": true})).await;
    upstreams.release("api").await;
    load::all_ok(pending).await;
    let stats = upstreams.stats().await;
    assert_eq!(stats["token_requests"]["total"], 2);
    assert_eq!(
        stats["api_calls"]["by_status"],
        json!({"200": 1001, "401": 1000})
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_newer_token_the_client_sees_the_refusal() {
    let (upstreams, proxy) = revoked().await;
    upstreams
        .faults(json!({"token": [{"status": 503, "times": "always"}]}))
        .await;
    for _ in 0..20 {
        let answer = proxy.get(load::SMALL).await;
        assert!(is_upstreams_own(&answer), "{answer:?}");
    }
    assert_eq!(upstreams.token_requests().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_refusal_goes_to_the_client() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"api": [{"unauthorized": "once"}, {"unauthorized": "once"}]}))
        .await;
    let answer = proxy.get(load::SMALL).await;
    assert!(is_upstreams_own(&answer), "{answer:?}");
    assert_eq!(upstreams.api_calls().await, 2);
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claims_challenge_of_graph_ends_in_an_answer() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"api": [{"claims_challenge": true}]}))
        .await;
    let answer = proxy.get("/v1.0/security/incidents?$top=1").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(upstreams.token_requests().await, 2);
    let stats = upstreams.stats().await;
    assert_eq!(
        stats["token_requests"]["with_claims"], 2,
        "the capability first, then the challenge as well"
    );
    assert_ne!(answer.json()["value"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_newer_token_takes_no_place_from_others() {
    let upstreams = Upstreams::start().await;
    let config = format!("{}\n[limits]\nrequests = 1\n", upstreams.config());
    let proxy = Proxy::start(&upstreams, &config);
    for target in ["/api/incidents", "/api/machines"] {
        assert_eq!(proxy.get(target).await.status, StatusCode::OK, "{target}");
    }
    let faults = json!({
        "api": [{"unauthorized": "once", "path": "/api/incidents"}],
        "token": [{"hold": "newer"}],
    });
    upstreams.faults(faults).await;
    let target = format!("{}/api/incidents", proxy.url).parse().unwrap();
    let refused = tokio::spawn(proxy.client.get(target));
    upstreams.wait("held=newer").await;
    // Nobody waits for a place longer than half a minute.
    assert_eq!(proxy.get("/api/machines").await.status, StatusCode::OK);
    assert!(!refused.is_finished());
    upstreams.release("newer").await;
    assert_eq!(refused.await.unwrap().unwrap().status(), StatusCode::OK);
}
