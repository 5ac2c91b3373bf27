//! One token for all who need it, and the right one for each API.

use std::{collections::HashSet, time::Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::{
    load::{self, Http2},
    support,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_first_requests_cost_one_token_request() {
    const CONNECTIONS: usize = 125;
    const EACH: usize = 80;
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let connections = Http2::connect_many(&proxy, CONNECTIONS).await;
    let began = Instant::now();
    let mut pending = Vec::new();
    for connection in &connections {
        pending.extend(connection.get_many(load::SMALL, EACH));
        connection.all_begun().await;
    }
    load::note("10,000 requests begun", began);
    upstreams.wait("held=token").await;
    assert!(
        pending.iter().all(|answer| !answer.is_finished()),
        "an answer without a token"
    );
    upstreams.release("token").await;
    load::all_ok(pending).await;
    load::note("10,000 answers", began);
    let stats = upstreams.stats().await;
    assert_eq!(stats["token_requests"]["total"], 1);
    assert_eq!(stats["api_calls"]["total"], CONNECTIONS * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_outlives_the_client_that_began_it() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let mut first = proxy.connect().await;
    first
        .write_all(b"GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    upstreams.wait("held=token").await;
    drop(first);
    let second = Http2::connect(&proxy).await;
    let pending = second.get_many(load::SMALL_XDR, 5);
    second.all_begun().await;
    upstreams.release("token").await;
    load::all_ok(pending).await;
    assert_eq!(upstreams.token_requests().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_api_gets_a_token_for_its_own_audience() {
    let (upstreams, proxy) = support::start().await;
    let table = [
        (
            "/api/incidents?$top=1",
            "https://api.security.microsoft.com",
        ),
        (
            "/api/v1.0/Incidents?$top=1",
            "https://api.security.microsoft.com",
        ),
        (
            "/API/incidents?$top=1",
            "https://api.security.microsoft.com",
        ),
        (
            "/api/machines?$top=1",
            "https://api.securitycenter.microsoft.com",
        ),
        (
            "/api/v1.0/alerts?$top=1",
            "https://api.securitycenter.microsoft.com",
        ),
        (
            "/v1.0/security/incidents?$top=1",
            "https://graph.microsoft.com",
        ),
        (
            "/beta/security/alerts_v2?$top=1",
            "https://graph.microsoft.com",
        ),
    ];
    // All at a time, so that a mix-up between fetches would show.
    let connection = Http2::connect(&proxy).await;
    let pending: Vec<_> = (0..3)
        .flat_map(|_| table.map(|(path, _)| connection.get(path)))
        .collect();
    load::all_ok(pending).await;
    let seen = upstreams.api_requests().await;
    assert_eq!(seen.len(), 3 * table.len());
    for request in &seen {
        let target = request["target"].as_str().unwrap();
        let (_, audience) = table.iter().find(|(path, _)| *path == target).unwrap();
        assert_eq!(claims(&bearer(request))["aud"], *audience, "{target}");
    }
    let distinct: HashSet<_> = seen.iter().map(bearer).collect();
    assert_eq!(distinct.len(), 3);
    assert_eq!(upstreams.token_requests().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_whose_token_is_slow_holds_up_no_other() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let connection = Http2::connect(&proxy).await;
    let waiting = connection.get("/api/incidents?$top=1");
    upstreams.wait("held=token").await;
    let answer = proxy.get("/api/machines?$top=1").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(!waiting.is_finished());
    upstreams.release("token").await;
    load::all_ok(vec![waiting]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opaque_token_is_as_good_as_any() {
    let (upstreams, proxy) = support::start().await;
    upstreams.settings(json!({"opaque_tokens": true})).await;
    let answer = proxy.get(load::SMALL).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_of_entra_go_nowhere() {
    let (upstreams, proxy) = support::start().await;
    for path in ["/api/incidents?$top=1", "/api/machines?$top=1"] {
        let answer = proxy.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.header("set-cookie"), "");
    }
    upstreams.faults(json!({"revoke_tokens": true})).await;
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    let requests = upstreams.requests().await;
    let entra = requests.iter().filter(|r| r["listener"] == "entra").count();
    assert_eq!(entra, 3);
    for request in &requests {
        assert_eq!(support::field(request, "cookie"), None, "{request}");
    }
}

/// The token of a recorded request.
fn bearer(request: &Value) -> String {
    let value = support::field(request, "authorization").expect("an Authorization field");
    value.strip_prefix("Bearer ").unwrap().to_owned()
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
