//! Entra ID says no, or nothing sensible: what the client is told, and how often Entra is asked.

use std::{collections::HashSet, fs, time::Instant};

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    load::{self, Http2},
    support::{self, Answer, Proxy, Upstreams},
};

/// `[credential]` of the configuration, replaced.
fn with_credential(upstreams: &Upstreams, credential: &str) -> String {
    upstreams
        .config()
        .replace("env = \"SANDBOX_CLIENT_SECRET\"", credential)
}

fn assert_refusal(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert!(answer.is_own(error), "{answer:?}");
    let problem = answer.json();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["source"], "defender-proxy");
    assert!(!problem["next"].as_str().unwrap().is_empty(), "{problem}");
    for text in ["Trace ID", "Correlation ID", "error_description"] {
        assert!(!answer.text().contains(text), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_asked_about_once() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.dir.path().join("secret");
    fs::write(&file, "this-is-not-it").unwrap();
    let proxy = Proxy::start(
        &upstreams,
        &with_credential(&upstreams, &format!("file = {:?}", file.display())),
    );
    let began = Instant::now();
    let mut pending = Vec::new();
    for connection in Http2::connect_many(&proxy, 4).await {
        pending.extend(connection.get_many(load::SMALL, 125));
    }
    let mut answers = load::all(pending).await;
    let connection = Http2::connect(&proxy).await;
    answers.extend(load::all(connection.get_many(load::SMALL, 250)).await);
    for _ in 0..250 {
        answers.push(proxy.get(load::SMALL).await);
    }
    load::note("1,000 refusals", began);
    assert_eq!(answers.len(), 1000);
    for answer in &answers {
        assert_refusal(answer, 500, "proxy_configuration_error");
        assert_eq!(answer.json()["aadsts"], 7_000_215);
        assert!(answer.json()["next"].as_str().unwrap().contains("secret"));
        assert!(!answer.text().contains("this-is-not-it"));
    }
    assert_eq!(upstreams.token_requests().await, 1);
    assert_eq!(upstreams.api_calls().await, 0);
    assert!(!proxy.log().contains("this-is-not-it"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_entra_is_explained() {
    let (upstreams, proxy) = support::start().await;
    let table = [
        (7_000_215, 500, "proxy_configuration_error"),
        (7_000_222, 500, "proxy_configuration_error"),
        (700_016, 500, "proxy_configuration_error"),
        (90_002, 500, "proxy_configuration_error"),
        (500_011, 500, "proxy_configuration_error"),
        (65_001, 503, "proxy_internal_response"),
        (53_003, 503, "proxy_internal_response"),
        (90_033, 503, "destination_unavailable"),
        (50_196, 503, "destination_unavailable"),
    ];
    let mut steps = HashSet::new();
    for (code, status, error) in table {
        let proxy = Proxy::start(&upstreams, &upstreams.config());
        let before = upstreams.token_requests().await;
        upstreams.faults(json!({"token": [{"aadsts": code}]})).await;
        for _ in 0..3 {
            let answer = proxy.get(load::SMALL).await;
            assert_refusal(&answer, status, error);
            assert_eq!(answer.json()["aadsts"], code, "{}", answer.text());
            assert!(answer.text().contains(&format!("AADSTS{code}")));
            let waits = answer.headers.contains_key("retry-after");
            assert_eq!(waits, error == "destination_unavailable", "{answer:?}");
            steps.insert(answer.json()["next"].to_string());
        }
        assert_eq!(upstreams.token_requests().await, before + 1, "{code}");
    }
    assert!(steps.len() >= 6, "one next step for all: {steps:?}");
    assert_eq!(upstreams.api_calls().await, 0);
    drop(proxy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttling_entra_is_left_alone_for_as_long_as_it_asks() {
    for (retry_after, at_most) in [(json!(40), 41), (json!("date+40"), 41), (json!(7200), 3601)] {
        let (upstreams, proxy) = support::start().await;
        upstreams
            .faults(json!({"token": [{"status": 429, "body": "Too many requests", "retry_after": retry_after}]}))
            .await;
        for _ in 0..5 {
            let answer = proxy.get(load::SMALL).await;
            assert_refusal(&answer, 503, "destination_unavailable");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((at_most - 15..=at_most).contains(&wait), "{wait}");
        }
        assert_eq!(upstreams.token_requests().await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_of_entra_is_an_outage_and_makes_no_storm() {
    let upstreams = Upstreams::start().await;
    for fault in [
        json!({"html": 500}),
        json!({"html": 200}),
        json!({"status": 503}),
        json!({"status": 502, "body": "bad gateway"}),
        json!({"status": 429}),
        json!({"empty": 404}),
        json!({"empty_200": true}),
        json!({"truncated_json": true}),
        json!({"truncate": 30}),
        json!({"reset": "before-headers"}),
        json!({"reset": "mid-body"}),
        json!({"status": 200, "body": "{\"access_token\": \"secret-looking\", \"expires_in\": 3599}"}),
        json!({"status": 400, "body": "{\"oops\": true}"}),
        json!({"status": 302, "body": "over there"}),
    ] {
        let proxy = Proxy::start(&upstreams, &upstreams.config());
        let before = upstreams.token_requests().await;
        let mut script = fault.clone();
        script["times"] = json!(10);
        upstreams.faults(json!({"token": [script]})).await;
        let connection = Http2::connect(&proxy).await;
        for answer in load::all(connection.get_many(load::SMALL, 50)).await {
            assert_refusal(&answer, 503, "destination_unavailable");
            assert_eq!(answer.json()["aadsts"], Value::Null);
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=6).contains(&wait), "{wait}");
            assert!(!answer.text().contains("secret-looking"));
        }
        assert_eq!(upstreams.token_requests().await, before + 1, "{fault}");
        assert!(!proxy.log().contains("secret-looking"));
        upstreams
            .control(http::Method::POST, "/_sandbox/reset", json!({}))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_rotates_is_read_anew_for_each_token() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.dir.path().join("secret");
    for credential in [
        format!("file = {:?}", file.display()),
        format!("command = [\"cat\", {:?}]", file.display()),
    ] {
        fs::write(
            &file,
            format!("{}\n", upstreams.sandbox.options().client_secret),
        )
        .unwrap();
        let proxy = Proxy::start(&upstreams, &with_credential(&upstreams, &credential));
        let answer = proxy.get("/api/machines?$top=1").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        fs::write(&file, "rotated").unwrap();
        let answer = proxy.get("/api/incidents?$top=1").await;
        assert_refusal(&answer, 500, "proxy_configuration_error");
        assert_eq!(answer.json()["aadsts"], 7_000_215);
        let answer = proxy.get("/api/machines?$top=1").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_is_named_and_nobody_is_asked() {
    let upstreams = Upstreams::start().await;
    let gone = upstreams.dir.path().join("no-such-secret");
    for (credential, named) in [
        ("env = \"NO_SUCH_VARIABLE\"".to_owned(), "NO_SUCH_VARIABLE"),
        (format!("file = {:?}", gone.display()), "no-such-secret"),
        (
            "command = [\"no-such-program\", \"hidden-argument\"]".to_owned(),
            "no-such-program",
        ),
        (
            "command = [\"false\", \"hidden-argument\"]".to_owned(),
            "false",
        ),
    ] {
        let proxy = Proxy::start(&upstreams, &with_credential(&upstreams, &credential));
        let answer = proxy.get(load::SMALL).await;
        assert_refusal(&answer, 500, "proxy_configuration_error");
        assert!(answer.text().contains(named), "{}", answer.text());
        assert!(!answer.text().contains("hidden-argument"));
        assert!(!proxy.log().contains("hidden-argument"));
    }
    assert_eq!(upstreams.token_requests().await, 0);
    assert_eq!(upstreams.api_calls().await, 0);
}
