//! Scripted faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use super::{Bench, GRAPH, Reply, XDR};

#[tokio::test]
async fn scripted_token_faults_come_once_and_in_order() {
    let bench = Bench::start().await;
    bench
        .script(json!({"token": [
            {"aadsts": 53003}, {"status": 429, "retry_after": 7}, {"html": 500}, {"empty": 404}, {"truncated_json": true},
        ]}))
        .await;
    let (path, form) = (bench.token_path(), bench.form(XDR));
    let blocked = bench.ask(&path, &form).await.json();
    assert!(blocked["claims"].is_string() && blocked["suberror"] == "message_only");
    let throttled = bench.ask(&path, &form).await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("7"))
    );
    assert!(
        throttled
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let page = bench.ask(&path, &form).await;
    assert!(page.status == 500 && page.text().starts_with("<!DOCTYPE html>"));
    let empty = bench.ask(&path, &form).await;
    assert!(empty.status == 404 && empty.text().is_empty());
    assert_eq!(empty.headers.get_all("set-cookie").iter().count(), 3);
    let cut = bench.ask(&path, &form).await;
    assert!(cut.status == 200 && serde_json::from_str::<Value>(&cut.text()).is_err());
    assert_eq!(bench.ask(&path, &form).await.json()["token_type"], "Bearer");
}

#[tokio::test]
async fn scripted_api_faults_leave_the_token_alone() {
    let bench = Bench::start().await;
    bench
        .script(json!({"api": [
            {"unauthorized": "once"}, {"code": "429", "retry_after": 3}, {"status": 500}, {"hunting": "oversize"},
        ]}))
        .await;
    let token = bench.token(XDR).await;
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::UNAUTHORIZED
    );
    let throttled = bench.api("/api/incidents", &token).await;
    assert_eq!(
        (throttled.error().as_str(), throttled.header("retry-after")),
        ("429", Some("3"))
    );
    let failed = bench.api("/api/incidents", &token).await.json();
    assert_eq!(failed["error"]["message"], "");
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::OK
    );
    let hunted = bench.api("/api/advancedhunting/run", &token).await;
    assert!(hunted.status == 400 && hunted.text().contains("124 MB"));
}

#[tokio::test]
async fn a_claims_challenge_is_for_graph_and_reaches_the_token_request() {
    let bench = Bench::start().await;
    bench
        .script(json!({"api": [{"claims_challenge": true}]}))
        .await;
    let token = bench.token(GRAPH).await;
    let reply = bench
        .get(
            &format!("{}/v1.0/security/incidents", bench.sandbox.graph()),
            &token,
        )
        .await;
    let challenge = reply.header("www-authenticate").unwrap().to_owned();
    assert!(reply.status == 401 && challenge.contains("error=\"insufficient_claims\""));
    let claims = challenge
        .split("claims=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let claims: Value = serde_json::from_slice(&BASE64.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["access_token"]["nbf"]["essential"], true);
    bench
        .ask(
            &bench.token_path(),
            &format!("{}&claims=%7B%7D", bench.form(GRAPH)),
        )
        .await;
    assert_eq!(
        bench.look("stats").await["token_requests"]["with_claims"],
        1
    );
}

#[tokio::test]
async fn entra_errors_take_other_words() {
    let bench = Bench::start().await;
    bench
        .script(json!({"token": [
            {"aadsts": 50076, "error": "interaction_required"},
            {"aadsts": 65001, "suberror": "client_mismatch"},
            {"aadsts": 50126, "error": "invalid_grant", "suberror": "user_password_expired"},
            {"aadsts": 50126},
        ]}))
        .await;
    for (code, error, suberror) in [
        (50076, "interaction_required", json!("basic_action")),
        (65001, "invalid_grant", json!("client_mismatch")),
        (50126, "invalid_grant", json!("user_password_expired")),
        (50126, "invalid_grant", Value::Null),
    ] {
        let body = bench
            .ask(&bench.token_path(), &bench.form(XDR))
            .await
            .json();
        assert_eq!(body["error_codes"], json!([code]));
        assert_eq!(
            (&body["error"], &body["suberror"]),
            (&json!(error), &suberror)
        );
    }
}

#[tokio::test]
async fn a_partial_answer_is_whole_and_warns() {
    let bench = Bench::start().await;
    bench.script(json!({"api": [{"partial": true}]})).await;
    let defender = bench.api("/api/incidents", &bench.token(XDR).await).await;
    assert_eq!(
        defender.status,
        StatusCode::OK,
        "it waits for a call of Graph"
    );
    let token = bench.token(GRAPH).await;
    let url = format!("{}/v1.0/security/alerts_v2", bench.sandbox.graph());
    let partial = bench.get(&url, &token).await;
    assert_eq!(partial.status, StatusCode::PARTIAL_CONTENT);
    let warning = partial.header("warning").unwrap();
    assert!(warning.starts_with("199 - \"Microsoft/") && warning.ends_with("/504/10000\""));
    assert!(partial.header("content-range").is_none());
    let whole = bench.get(&url, &token).await;
    assert_eq!(
        (whole.status, whole.header("warning")),
        (StatusCode::OK, None)
    );
    assert_eq!(partial.json(), whole.json());
}

#[tokio::test]
async fn the_qualified_hunting_call_is_hunting() {
    let bench = Bench::start().await;
    bench
        .script(json!({"api": [{"hunting": "cpu_quota"}], "settings": {"roles": []}}))
        .await;
    let token = bench.token(GRAPH).await;
    let url = format!(
        "{}/v1.0/security/microsoft.graph.security.runHuntingQuery",
        bench.sandbox.graph()
    );
    let post = || Request::post(&url).header(AUTHORIZATION, format!("Bearer {token}"));
    let query = r#"{"Query": "DeviceInfo"}"#;
    let used_up = bench.send(post(), query).await.unwrap();
    assert_eq!(used_up.status(), StatusCode::TOO_MANY_REQUESTS);
    let refused = Reply::of(bench.send(post(), query).await.unwrap()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text().contains("ThreatHunting.Read.All"));
}

/// Entra's errors that its documents give, each with its status, `error` and `suberror`.
const TABLE: &[(u64, u16, &str, Option<&str>)] = &[
    (7_000_215, 401, "invalid_client", None),
    (7_000_222, 401, "invalid_client", None),
    (7_000_216, 401, "invalid_client", None),
    (7_000_218, 401, "invalid_client", None),
    (700_027, 401, "invalid_client", None),
    (700_024, 401, "invalid_client", None),
    (700_025, 401, "invalid_client", None),
    (50012, 401, "invalid_client", None),
    (50027, 401, "invalid_client", None),
    (700_016, 400, "unauthorized_client", None),
    (7_000_112, 400, "unauthorized_client", None),
    (70001, 400, "unauthorized_client", None),
    (700_011, 400, "unauthorized_client", None),
    (90002, 400, "invalid_request", None),
    (900_144, 400, "invalid_request", None),
    (9_002_313, 400, "invalid_request", None),
    (70021, 400, "invalid_request", None),
    (500_011, 400, "invalid_resource", None),
    (50001, 400, "invalid_resource", None),
    (70011, 400, "invalid_scope", None),
    (1_002_012, 400, "invalid_scope", None),
    (28002, 400, "invalid_scope", None),
    (65001, 400, "invalid_grant", Some("consent_required")),
    (53003, 400, "invalid_grant", Some("message_only")),
    (50076, 400, "invalid_grant", Some("basic_action")),
    (50079, 400, "invalid_grant", Some("basic_action")),
    (70000, 400, "invalid_grant", None),
    (70008, 400, "invalid_grant", Some("token_expired")),
    (700_082, 400, "invalid_grant", Some("token_expired")),
    (70043, 400, "invalid_grant", Some("token_expired")),
    (50173, 400, "invalid_grant", Some("bad_token")),
    (50126, 400, "invalid_grant", None),
    (50196, 400, "invalid_grant", None),
    (50158, 400, "interaction_required", None),
    (90033, 503, "temporarily_unavailable", None),
    (90006, 500, "server_error", None),
    (90012, 504, "temporarily_unavailable", None),
    (90024, 503, "temporarily_unavailable", None),
    (90090, 500, "server_error", None),
    (50033, 503, "temporarily_unavailable", None),
    (50087, 400, "temporarily_unavailable", None),
];

#[tokio::test]
async fn every_error_can_meet_every_grant() {
    let bench = Bench::start().await;
    let grants = [
        "client_credentials",
        "authorization_code",
        "refresh_token",
        "password",
        "urn:ietf:params:oauth:grant-type:device_code",
    ];
    for (code, status, error, suberror) in TABLE {
        bench
            .script(json!({"token": [{"aadsts": code, "times": grants.len()}]}))
            .await;
        for grant in grants {
            let reply = bench.grant(&format!("grant_type={grant}")).await;
            let body = reply.json();
            assert_eq!(reply.status.as_u16(), *status, "{code}");
            assert_eq!(
                (&body["error"], &body["error_codes"]),
                (&json!(error), &json!([code]))
            );
            assert_eq!(
                body.get("suberror").and_then(|word| word.as_str()),
                *suberror,
                "{code}"
            );
        }
    }
    bench.script(json!({"token": [{"aadsts": 90055}]})).await;
    let throttled = bench.grant("grant_type=refresh_token").await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("60"))
    );
}
