//! Claims challenges: Graph revokes a token, says what the next one must meet, and Entra ID is asked for exactly that.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    programs::run,
    scripted::{Script, response},
    support::{self, Answer, PATIENCE, Proxy, Upstreams, program, serve_command},
};

const GRAPH: &str = "/v1.0/security/incidents";
const NBF: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;
const CP1: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

/// A refusal of Graph that asks for claims.
fn challenge(status: u16) -> String {
    let fields = format!(
        "WWW-Authenticate: Bearer realm=\"\", authorization_uri=\"https://x/authorize\", \
         error=\"insufficient_claims\", claims=\"{}\"\r\n",
        STANDARD.encode(NBF)
    );
    response(
        status,
        &fields,
        &json!({"error": {"code": "InvalidAuthenticationToken"}}),
    )
}

fn refusal(error: &str, code: u32) -> String {
    let body = json!({"error": error, "error_codes": [code], "error_description": format!("AADSTS{code}: no.")});
    response(400, "", &body)
}

fn is_upstreams_own(answer: &Answer, status: u16) -> bool {
    answer.status.as_u16() == status
        && answer.header("proxy-status").is_empty()
        && answer.json()["error"]["code"] == "InvalidAuthenticationToken"
}

fn claims(form: &HashMap<String, String>) -> Value {
    form.get("claims")
        .map_or(Value::Null, |claims| serde_json::from_str(claims).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_capability_is_declared_for_graph_alone() {
    let (script, proxy) = Script::start().await;
    for target in [GRAPH, "/api/incidents", "/api/machines"] {
        assert_eq!(proxy.get(target).await.status, StatusCode::OK);
    }
    let forms = script.forms();
    assert_eq!(forms.len(), 3);
    for form in &forms {
        let graph = form["scope"] == "https://graph.microsoft.com/.default";
        let expected = graph.then_some(CP1);
        assert_eq!(form.get("claims").map(String::as_str), expected, "{form:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenge_goes_to_entra_and_the_request_once_more() {
    for status in [401, 403] {
        let (script, proxy) = Script::start().await;
        assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
        script.api_says(challenge(status));
        let answer = proxy
            .post("/v1.0/security/runHuntingQuery", "{\"Query\":\"x\"}")
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let forms = script.forms();
        assert_eq!(forms.len(), 2, "{status}");
        let expected = json!({"access_token": {
            "nbf": {"essential": true, "value": "1604106651"},
            "xms_cc": {"values": ["cp1"]},
        }});
        assert_eq!(claims(&forms[1]), expected);
        assert_eq!(
            script.shown(),
            ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
        );
        let sent = script.calls();
        assert_eq!(sent[1].body, sent[2].body, "the body goes with it");
        // The new token is everybody's.
        assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
        assert_eq!(script.forms().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_challenge_is_the_clients() {
    for status in [401, 403] {
        let (script, proxy) = Script::start().await;
        for _ in 0..2 {
            script.api_says(challenge(status));
        }
        let answer = proxy.get(GRAPH).await;
        assert!(is_upstreams_own(&answer, status), "{answer:?}");
        assert!(
            answer
                .header("www-authenticate")
                .contains("insufficient_claims")
        );
        assert_eq!(script.forms().len(), 2);
        assert_eq!(script.calls().len(), 2);
        // And one that never ends is no storm.
        for _ in 0..30 {
            script.api_says(challenge(status));
            assert!(is_upstreams_own(&proxy.get(GRAPH).await, status));
        }
        assert_eq!(script.forms().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_403_is_about_permissions() {
    let (script, proxy) = Script::start().await;
    let coded = STANDARD.encode(NBF);
    for field in [
        String::new(),
        "WWW-Authenticate: Bearer error=\"insufficient_claims\"\r\n".to_owned(),
        format!("WWW-Authenticate: Bearer error=\"insufficient_scope\", claims=\"{coded}\"\r\n"),
        format!(
            "WWW-Authenticate: Bearer error=\"insufficient_claims\", Basic claims=\"{coded}\"\r\n"
        ),
        "WWW-Authenticate: Bearer error=\"insufficient_claims\", claims=\"bm8ganNvbg==\"\r\n"
            .to_owned(),
    ] {
        let body = json!({"error": {"code": "InvalidAuthenticationToken"}});
        script.api_says(response(403, &field, &body));
        let answer = proxy.get(GRAPH).await;
        assert!(is_upstreams_own(&answer, 403), "{field} {answer:?}");
    }
    assert_eq!(script.forms().len(), 1);
    assert_eq!(script.calls().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_upload_is_not_sent_again_but_the_next_request_has_the_new_token() {
    for status in [401, 403] {
        let (script, proxy) = Script::start().await;
        script.api_says(challenge(status));
        let answer = proxy.post(GRAPH, vec![b'x'; 64 * 1024 + 1]).await;
        assert!(is_upstreams_own(&answer, status), "{answer:?}");
        assert_eq!(script.forms().len(), 2);
        assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
        assert_eq!(script.shown(), ["Bearer token-1", "Bearer token-2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_entra_says_to_a_challenge_is_what_the_client_learns() {
    for (error, code, status, kind) in [
        ("invalid_grant", 53_003, 500, "proxy_configuration_error"),
        ("invalid_grant", 50_173, 503, "proxy_internal_response"),
        (
            "invalid_client",
            7_000_222,
            500,
            "proxy_configuration_error",
        ),
    ] {
        let (script, proxy) = Script::start().await;
        assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
        script.entra_says(refusal(error, code));
        for _ in 0..20 {
            script.api_says(challenge(401));
            let answer = proxy.get(GRAPH).await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
            assert!(answer.is_own(kind), "{answer:?}");
            assert_eq!(answer.json()["aadsts"], code);
            assert!(!answer.json()["next"].as_str().unwrap().is_empty());
        }
        assert_eq!(script.forms().len(), 2, "{code}: Entra ID is asked once");
        // The token serves on where nothing is asked of it.
        assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
        let log = proxy.log();
        let warned =
            |line: &&str| line.contains(" WARN ") && line.contains(&format!("AADSTS{code}"));
        assert_eq!(log.lines().filter(warned).count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_entra_is_down_the_challenge_itself_is_the_answer() {
    let (script, proxy) = Script::start().await;
    assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
    script.entra_says(response(503, "", &json!({})));
    for _ in 0..20 {
        script.api_says(challenge(403));
        assert!(is_upstreams_own(&proxy.get(GRAPH).await, 403));
    }
    assert_eq!(script.forms().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_application_works_on_with_a_token_of_after_the_revocation() {
    for status in [401, 403] {
        let (upstreams, proxy) = support::start().await;
        upstreams.settings(json!({"cae_status": status})).await;
        for target in [GRAPH, "/api/incidents", "/api/machines"] {
            assert_eq!(proxy.get(target).await.status, StatusCode::OK);
        }
        let stats = upstreams.stats().await;
        assert_eq!(stats["token_requests"]["with_claims"], 1, "Graph's alone");
        revoke(&upstreams, json!({"app": true})).await;
        // Defender has no challenges: a plain 401, and another token.
        for target in [GRAPH, "/api/incidents", "/api/machines"] {
            let answer = proxy.get(target).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        }
        let stats = upstreams.stats().await;
        assert_eq!(stats["token_requests"]["total"], 6);
        assert_eq!(stats["token_requests"]["with_claims"], 2);
        let refused = if status == 401 {
            json!({"200": 6, "401": 3})
        } else {
            json!({"200": 6, "401": 2, "403": 1})
        };
        assert_eq!(stats["api_calls"]["by_status"], refused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_user_is_told_to_sign_in_and_then_works_on() {
    let upstreams = Upstreams::start().await;
    let with = |sign_in: &str| upstreams.write_config(&of_alice(&upstreams, sign_in));
    let password = "sign_in = \"password\"\nusername = \"alice@contoso.example\"\npassword = { env = \"PASSWORD\" }";
    sign_in(&with(password)).await;
    let (mut command, log) =
        serve_command(&upstreams, &of_alice(&upstreams, "sign_in = \"browser\""));
    command.env("STORE_KEY", "key-of-the-tests");
    let proxy = Proxy::spawn(command, log);
    let answer = proxy.get(GRAPH).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    revoke(&upstreams, json!({"user": "alice@contoso.example"})).await;
    let before = upstreams.token_requests().await;
    for _ in 0..3 {
        let answer = proxy.get(GRAPH).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.is_own("proxy_internal_response"), "{answer:?}");
        assert_eq!(answer.json()["aadsts"], 50_173);
        assert!(
            answer.json()["next"]
                .as_str()
                .unwrap()
                .contains("defender-proxy login")
        );
        assert_eq!(answer.header("www-authenticate"), "");
    }
    assert_eq!(upstreams.token_requests().await, before + 1);
    sign_in(&with(password)).await;
    // Until the last refusal has been forgotten, a second later.
    let works = async { while proxy.get(GRAPH).await.status != StatusCode::OK {} };
    tokio::time::timeout(PATIENCE, works)
        .await
        .expect("signed in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_can_not_meet_a_challenge_keeps_the_token_for_the_rest() {
    let upstreams = Upstreams::start().await;
    let password = "sign_in = \"password\"\nusername = \"alice@contoso.example\"\npassword = { env = \"PASSWORD\" }";
    sign_in(&upstreams.write_config(&of_alice(&upstreams, password))).await;
    let (mut command, log) =
        serve_command(&upstreams, &of_alice(&upstreams, "sign_in = \"browser\""));
    command.env("STORE_KEY", "key-of-the-tests");
    let proxy = Proxy::spawn(command, log);
    assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
    let before = upstreams.token_requests().await;
    upstreams
        .faults(json!({"api": [{"claims_challenge": true}], "token": [{"aadsts": 50076}]}))
        .await;
    let challenged = proxy.get(GRAPH).await;
    assert_eq!(challenged.status, 503, "{}", challenged.text());
    assert_eq!(challenged.json()["aadsts"], 50_076);
    assert_eq!(proxy.get(GRAPH).await.status, StatusCode::OK);
    assert_eq!(upstreams.token_requests().await, before + 1);
}

async fn revoke(upstreams: &Upstreams, whom: Value) {
    upstreams
        .control(Method::POST, "/_sandbox/revoke", whom)
        .await;
}

/// A user instead of the application.
fn of_alice(upstreams: &Upstreams, sign_in: &str) -> String {
    let options = upstreams.sandbox.options();
    let config = upstreams.config();
    let (before, rest) = config.split_once("[identity.sandbox]").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    format!(
        "{before}[identity.alice]\nkind = \"user\"\ntenant = \"{}\"\nclient_id = \"{}\"\n{sign_in}\nstore = \"file\"\n\
         store_file = \"alice.sign-in\"\nstore_key = {{ env = \"STORE_KEY\" }}\n\n{after}",
        options.tenant, options.public_client_id
    )
}

async fn sign_in(config: &str) {
    let mut command = program();
    command
        .args(["login", "--config", config])
        .env("PASSWORD", "sandbox-password-do-not-use")
        .env("STORE_KEY", "key-of-the-tests");
    run(command).await.ok();
}
