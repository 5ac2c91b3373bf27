//! Who may call what, and how often.

use http::{Request, StatusCode};
use serde_json::json;

use super::{Bench, ENDPOINT, GRAPH, Reply, XDR};

#[tokio::test]
async fn a_token_opens_the_family_it_is_for_and_no_other() {
    let bench = Bench::start().await;
    let (xdr, endpoint, graph) = (
        bench.token(XDR).await,
        bench.token(ENDPOINT).await,
        bench.token(GRAPH).await,
    );
    assert_eq!(
        bench.api("/api/incidents", &xdr).await.status,
        StatusCode::OK
    );
    assert_eq!(
        bench.api("/api/sandbox/echo", &endpoint).await.status,
        StatusCode::OK
    );
    let wrong = bench.api("/api/machines", &xdr).await;
    assert_eq!(
        (wrong.status, wrong.error().as_str()),
        (StatusCode::FORBIDDEN, "Forbidden")
    );
    let url = format!("{}/v1.0/security/incidents", bench.sandbox.graph());
    let reply = bench.get(&url, &graph).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("request-id").is_some() && reply.header("odata-version") == Some("4.0"));
    assert_eq!(
        bench.get(&url, "nonsense").await.error(),
        "InvalidAuthenticationToken"
    );
}

#[tokio::test]
async fn calls_without_a_good_token_are_refused() {
    let bench = Bench::start().await;
    let url = format!("{}/api/incidents", bench.sandbox.defender());
    let none = Reply::of(bench.send(Request::get(&url), "").await.unwrap()).await;
    assert_eq!(
        (none.status, none.error().as_str()),
        (StatusCode::UNAUTHORIZED, "Unauthorized")
    );
    assert!(none.header("www-authenticate").is_none());
    bench
        .script(json!({"settings": {"www_authenticate": true, "token_lifetime": 0}}))
        .await;
    let expired = bench.get(&url, &bench.token(XDR).await).await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
    assert!(expired.text().contains("expired") && expired.text().contains(XDR));
    assert!(
        expired
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer ")
    );
}

#[tokio::test]
async fn a_missing_role_is_named() {
    let bench = Bench::start().await;
    bench
        .script(json!({"settings": {"roles": ["Alert.Read.All"]}}))
        .await;
    let reply = bench
        .api("/api/machines", &bench.token(ENDPOINT).await)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text().contains("Machine.Read.All") && reply.text().contains("Alert.Read.All"));
}

#[tokio::test]
async fn revoked_tokens_fail_until_a_newer_one_is_fetched() {
    let bench = Bench::start().await;
    let old = bench.token(XDR).await;
    bench.control("reset", &json!({})).await;
    assert_eq!(
        bench.api("/api/incidents", &old).await.status,
        StatusCode::OK
    );
    bench.script(json!({"revoke_tokens": true})).await;
    assert_eq!(
        bench.api("/api/incidents", &old).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench
            .api("/api/incidents", &bench.token(XDR).await)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn rate_limits_count_and_refuse() {
    let bench = Bench::start().await;
    bench
        .script(json!({"settings": {"rate_limit": {"per_minute": 2, "code": "429"}}}))
        .await;
    let token = bench.token(XDR).await;
    for _ in 0..2 {
        assert_eq!(
            bench.api("/api/incidents", &token).await.status,
            StatusCode::OK
        );
    }
    let refused = bench.api("/api/incidents", &token).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (429, "429")
    );
    assert!(
        (1..=60).contains(
            &refused
                .header("retry-after")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        )
    );
    bench
        .script(json!({"settings": {"rate_limit": null}}))
        .await;
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::OK
    );
}
