//! One token for all who need it, and the right one for each API.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    load::{self, Http2},
    support,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_first_requests_cost_one_token_request() {
    const CONNECTIONS: usize = 40;
    const EACH: usize = 250;
    let (upstreams, proxy) = support::start().await;
    upstreams.faults(json!({"token": [{"hold": "token"}]})).await;
    let connections = Http2::connect_many(&proxy, CONNECTIONS).await;
    let began = Instant::now();
    let mut pending = Vec::new();
    for connection in &connections {
        pending.extend(connection.get_many("/api/incidents?$top=1", EACH));
        connection.all_begun().await;
    }
    load::note("10,000 requests begun", began);
    upstreams.wait("held=token").await;
    assert!(
        pending.iter().all(|answer| !answer.is_finished()),
        "an answer without a token"
    );
    upstreams.release("token").await;
    let answers = load::all(pending).await;
    println!("{} bytes each", answers[0].body.len());
    load::note("10,000 answers", began);
    let bad: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != StatusCode::OK)
        .collect();
    assert!(bad.is_empty(), "{} errors, {:?}", bad.len(), bad.first());
    assert_eq!(answers.len(), 10_000);
    let stats = upstreams.stats().await;
    println!("{stats}");
    assert_eq!(stats["token_requests"]["total"], 1);
    assert_eq!(stats["api_calls"]["total"], 10_000);
}
