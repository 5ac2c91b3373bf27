//! The main job, once.

use serde_json::json;

use crate::support;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unauthenticated_client_gets_incidents() {
    let (upstreams, proxy) = support::start().await;
    let answer = proxy.get("/api/incidents").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json()["value"].is_array());
    let seen = upstreams.api_requests().await;
    let authorization = seen[0]["headers"]
        .as_array()
        .unwrap()
        .iter()
        .find(|field| field[0] == "authorization");
    assert!(
        authorization.unwrap()[1]
            .as_str()
            .unwrap()
            .starts_with("Bearer ")
    );
    assert_eq!(upstreams.stats().await["token_requests"]["total"], json!(1));
}
