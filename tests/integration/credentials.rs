//! What the tests of an application's credentials share.

use std::{ffi::OsStr, path::Path};

use http::StatusCode;
use serde_json::json;

use crate::{
    programs::{Finished, run},
    support::{Proxy, Upstreams, header, program, serve_command},
};

pub(crate) const INCIDENTS: &str = "/api/incidents";
/// Of the keys in certs/sandbox.
pub(crate) const PASSWORD: &str = "sandbox-password-do-not-use";

/// The sandbox's configuration with another credential.
pub(crate) fn with_credential(upstreams: &Upstreams, credential: &str) -> String {
    let config = upstreams.config();
    let line = config
        .lines()
        .find(|line| line.starts_with("credential = "));
    config.replace(
        line.expect("a credential"),
        &format!("credential = {credential}"),
    )
}

/// A file of certs/sandbox.
pub(crate) fn sandbox_file(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/sandbox");
    folder.join(name).to_str().unwrap().to_owned()
}

/// `serve` with variables, logging what happens.
pub(crate) fn serve<V: AsRef<OsStr>>(
    upstreams: &Upstreams,
    config: &str,
    variables: &[(&str, V)],
) -> Proxy {
    let (mut command, log) = serve_command(upstreams, config);
    command.arg("-v");
    for (name, value) in variables {
        command.env(name, value);
    }
    Proxy::spawn(command, log)
}

/// `check` with variables; `flags` may have `--offline`.
pub(crate) async fn check<V: AsRef<OsStr>>(
    upstreams: &Upstreams,
    config: &str,
    (flags, variables): (&[&str], &[(&str, V)]),
) -> Finished {
    let file = upstreams.write_config(config);
    let mut command = program();
    command.args(["check", "--config", &file]).args(flags);
    for (name, value) in variables {
        command.env(name, value);
    }
    run(command).await
}

/// Tokens so short that a test sees them renewed.
pub(crate) async fn with_short_tokens() -> Upstreams {
    let upstreams = Upstreams::start().await;
    upstreams.settings(json!({"token_lifetime": 4})).await;
    upstreams
}

/// From no token to an answer, and on to an answer with the next token. `fetches` counts them: `token_requests`, or another that
/// can be waited for.
pub(crate) async fn serves_through_a_renewal(upstreams: &Upstreams, proxy: &Proxy, fetches: &str) {
    let first = served_with(upstreams, proxy).await;
    upstreams.wait(&format!("{fetches}=2")).await;
    // The answer to the second fetch is still on its way, while the first token serves.
    while served_with(upstreams, proxy).await == first {}
}

/// The token that a request was answered with.
pub(crate) async fn served_with(upstreams: &Upstreams, proxy: &Proxy) -> String {
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(!answer.json()["value"].as_array().unwrap().is_empty());
    let requests = upstreams.requests().await;
    let mut calls = requests.iter().rev();
    let call = calls.find(|request| request["target"].as_str().unwrap().starts_with(INCIDENTS));
    header(call.unwrap(), "authorization").unwrap().to_owned()
}

/// Fails if a text holds a token, an assertion, or a part of a key in PEM.
#[track_caller]
pub(crate) fn shows_no_secret(text: &str, more: &[&str]) {
    let pem = std::fs::read_to_string(sandbox_file("app.pem")).unwrap();
    let (_, key) = pem.split_once("BEGIN PRIVATE KEY-----\n").unwrap();
    let key = key.lines().next().unwrap();
    for hidden in ["eyJ", "BEGIN", key, PASSWORD].iter().chain(more) {
        let line = text.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden} is shown: {line:?}");
    }
}
