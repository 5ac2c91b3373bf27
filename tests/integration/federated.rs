//! Workload identity federation: another issuer's assertion, in a file that the platform rewrites.

use std::{fs, path::PathBuf};

use http::StatusCode;
use serde_json::json;

use crate::{
    credentials::{
        INCIDENTS, check, serve, served_with, serves_through_a_renewal, shows_no_secret,
        with_credential, with_short_tokens,
    },
    support::{Proxy, Upstreams, serve_command},
};

const NONE: [(&str, &str); 0] = [];
const CREDENTIAL: &str = "{ federated_token_file = 'token' }";

fn write_token(upstreams: &Upstreams, text: &str) -> PathBuf {
    let file = upstreams.dir.path().join("token");
    fs::write(&file, text).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_token_serves_through_a_renewal() {
    let upstreams = with_short_tokens().await;
    write_token(
        &upstreams,
        &format!("{}\n", upstreams.sandbox.federated_token()),
    );
    let proxy = serve(&upstreams, &with_credential(&upstreams, CREDENTIAL), &NONE);
    serves_through_a_renewal(&upstreams, &proxy, "token_requests").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_is_read_at_each_token_request() {
    let upstreams = with_short_tokens().await;
    write_token(&upstreams, &upstreams.sandbox.federated_token());
    let config = with_credential(&upstreams, CREDENTIAL);
    let proxy = serve(&upstreams, &config, &NONE);
    let first = served_with(&upstreams, &proxy).await;
    // What is kept from the first time would still be good: only the file tells that it isn't read again.
    write_token(&upstreams, "half a tok");
    let mut answer = proxy.get(INCIDENTS).await;
    while answer.status == StatusCode::OK {
        answer = proxy.get(INCIDENTS).await;
    }
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.text().contains("holds no signed token"),
        "{}",
        answer.text()
    );
    assert_eq!(upstreams.token_requests().await, 1);

    write_token(&upstreams, &upstreams.sandbox.federated_token());
    while proxy.get(INCIDENTS).await.status != StatusCode::OK {}
    assert_ne!(served_with(&upstreams, &proxy).await, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_missing_or_holds_something_else_is_told() {
    let upstreams = Upstreams::start().await;
    let config = with_credential(&upstreams, CREDENTIAL);
    let proxy = serve(&upstreams, &config, &NONE);
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    for part in [
        "federated token file",
        "can't be read",
        "AZURE_FEDERATED_TOKEN_FILE",
    ] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
    let missing = check(&upstreams, &config, (&["--offline"], &NONE)).await;
    assert_eq!(missing.code, Some(1));
    assert!(
        missing.stdout.contains("can't be read"),
        "{}",
        missing.stdout
    );

    write_token(&upstreams, "S3cret");
    let other = check(&upstreams, &config, (&["--offline"], &NONE)).await;
    assert_eq!(other.code, Some(1));
    assert!(
        other.stdout.contains("holds no signed token"),
        "{}",
        other.stdout
    );
    assert!(!other.stdout.contains("S3cret"));
    assert_eq!(upstreams.token_requests().await, 0);

    write_token(&upstreams, &upstreams.sandbox.federated_token());
    let there = check(&upstreams, &config, (&["--offline"], &NONE)).await;
    assert!(there.ok().contains("can be read"), "{}", there.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_app_does_not_trust_is_asked_with_once() {
    let upstreams = Upstreams::start().await;
    let other_issuer = Upstreams::start().await;
    write_token(&upstreams, &other_issuer.sandbox.federated_token());
    let proxy = serve(&upstreams, &with_credential(&upstreams, CREDENTIAL), &NONE);
    for _ in 0..3 {
        let answer = proxy.get(INCIDENTS).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.json()["aadsts"], 70_021);
        assert!(
            answer.text().contains("takes some minutes to spread"),
            "{}",
            answer.text()
        );
    }
    // A trust that is spreading needs minutes, and equal requests lock the app out.
    assert_eq!(upstreams.token_requests().await, 1);
    assert!(
        proxy.log().contains("retry_in_s=59") || proxy.log().contains("retry_in_s=60"),
        "{}",
        proxy.log()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_assertion_is_never_shown() {
    let upstreams = Upstreams::start().await;
    let token = upstreams.sandbox.federated_token();
    write_token(&upstreams, &token);
    let (mut command, log) = serve_command(&upstreams, &with_credential(&upstreams, CREDENTIAL));
    command.arg("-vvv").env("RUST_LOG", "trace");
    let proxy = Proxy::spawn(command, log);
    upstreams
        .faults(json!({"token": [{"truncated_json": true}]}))
        .await;
    assert_ne!(proxy.get(INCIDENTS).await.status, StatusCode::OK);
    assert_eq!(proxy.get("/api/machines").await.status, StatusCode::OK);
    let signature = token.rsplit('.').next().unwrap();
    shows_no_secret(&proxy.log(), &[signature]);
}
