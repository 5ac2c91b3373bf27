//! Users who sign in with a password and stay signed in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};

use super::{Bench, ENDPOINT, GRAPH, Reply, XDR};

pub(super) const ALICE: &str = "alice@contoso.example";
const PASSWORD: &str = "sandbox-password-do-not-use";

pub(super) fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(payload).unwrap()).unwrap()
}

/// Status, `error` and number of a refusal.
pub(super) fn refused(reply: &Reply) -> (u16, String, u64) {
    let body = reply.json();
    let word = body["error"].as_str().unwrap_or_default().to_owned();
    (
        reply.status.as_u16(),
        word,
        body["error_codes"][0].as_u64().unwrap_or_default(),
    )
}

pub(super) fn error(status: u16, word: &str, code: u64) -> (u16, String, u64) {
    (status, word.to_owned(), code)
}

impl Bench {
    pub(super) fn public(&self) -> &str {
        &self.sandbox.options().public_client_id
    }

    pub(super) async fn grant(&self, fields: &str) -> Reply {
        let form = format!("client_id={}&{fields}", self.public());
        self.ask(&self.token_path(), &form).await
    }

    pub(super) async fn password(&self) -> Value {
        let scope = format!("openid profile offline_access {XDR}/.default");
        let reply = self
            .grant(&format!(
                "grant_type=password&username={ALICE}&password={PASSWORD}&scope={scope}"
            ))
            .await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
        reply.json()
    }

    pub(super) async fn renew(&self, refresh_token: &Value, more: &str) -> Reply {
        let token = refresh_token.as_str().unwrap();
        self.grant(&format!(
            "grant_type=refresh_token&refresh_token={token}{more}"
        ))
        .await
    }
}

#[tokio::test]
async fn a_password_gets_tokens_of_the_user() {
    let bench = Bench::start().await;
    let body = bench.password().await;
    let access = claims(&body["access_token"]);
    assert_eq!(
        (&access["upn"], &access["idtyp"]),
        (&json!(ALICE), &json!("user"))
    );
    assert!(access["scp"].as_str().unwrap().contains("Incident.Read"));
    assert!(access.get("roles").is_none());
    assert!(
        body["scope"]
            .as_str()
            .unwrap()
            .contains(&format!("{XDR}/.default"))
    );
    let id = claims(&body["id_token"]);
    let tenant = &bench.sandbox.options().tenant;
    assert_eq!(
        id["iss"],
        format!("{}/{tenant}/v2.0", bench.sandbox.login())
    );
    assert_eq!(
        (&id["aud"], &id["preferred_username"]),
        (&json!(bench.public()), &json!(ALICE))
    );
    let wrong = bench
        .grant(&format!(
            "grant_type=password&username={ALICE}&password=x&scope={XDR}/.default"
        ))
        .await;
    assert_eq!(refused(&wrong), error(400, "invalid_grant", 50126));
    let nobody = bench
        .grant(&format!(
            "grant_type=password&username=eve&password=x&scope={XDR}/.default"
        ))
        .await;
    assert_eq!(refused(&nobody), error(400, "invalid_grant", 50034));
}

#[tokio::test]
async fn a_refresh_token_is_good_for_every_resource_and_rotates() {
    let bench = Bench::start().await;
    let first = bench.password().await["refresh_token"].clone();
    let same = bench.renew(&first, "").await.json();
    assert_eq!(claims(&same["access_token"])["aud"], XDR);
    assert_ne!(same["refresh_token"], first);
    let other = bench
        .renew(
            &first,
            &format!("&scope={ENDPOINT}/.default {GRAPH}/.default"),
        )
        .await
        .json();
    assert_eq!(
        claims(&other["access_token"])["aud"],
        ENDPOINT,
        "the old one works, the first resource counts"
    );
    let own = bench.sandbox.options();
    let form = format!(
        "client_id={}&client_secret={}&grant_type=refresh_token&refresh_token={}",
        own.client_id,
        own.client_secret,
        first.as_str().unwrap()
    );
    let foreign = bench.ask(&bench.token_path(), &form).await;
    assert_eq!(
        (refused(&foreign), &foreign.json()["suberror"]),
        (
            error(400, "invalid_grant", 70000),
            &json!("client_mismatch")
        )
    );
}

#[tokio::test]
async fn refresh_tokens_can_be_strict_or_end_or_not_come() {
    let bench = Bench::start().await;
    let first = bench.password().await["refresh_token"].clone();
    bench
        .script(json!({"settings": {"refresh_tokens": "strict"}}))
        .await;
    let second = bench.renew(&first, "").await.json()["refresh_token"].clone();
    let spent = bench.renew(&first, "").await;
    assert_eq!(
        (refused(&spent), &spent.json()["suberror"]),
        (error(400, "invalid_grant", 70000), &json!("bad_token"))
    );
    bench
        .script(json!({"settings": {"refresh_tokens": "none"}}))
        .await;
    let last = bench.renew(&second, "").await.json();
    assert!(last["access_token"].is_string() && last.get("refresh_token").is_none());
    bench
        .script(json!({"settings": {"refresh_token_lifetime": 0, "id_token": false}}))
        .await;
    let body = bench.password().await;
    assert!(body.get("id_token").is_none());
    assert_eq!(
        refused(&bench.renew(&body["refresh_token"], "").await),
        error(400, "invalid_grant", 700_082)
    );
}

#[tokio::test]
async fn what_was_revoked_is_over_and_a_newer_token_works() {
    let bench = Bench::start().await;
    let body = bench.password().await;
    let app = bench.token(XDR).await;
    let revoked = bench
        .control("revoke", &json!({"user": ALICE}))
        .await
        .json();
    assert_eq!(
        revoked["revoked"],
        json!({"access_tokens": 1, "refresh_tokens": 1})
    );
    let reply = bench.renew(&body["refresh_token"], "").await;
    assert_eq!(
        (refused(&reply), &reply.json()["suberror"]),
        (error(400, "invalid_grant", 50173), &json!("bad_token"))
    );
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(
        bench.api("/api/incidents", token).await.status.as_u16(),
        401
    );
    assert_eq!(bench.api("/api/incidents", &app).await.status.as_u16(), 200);
    bench.control("revoke", &json!({"app": true})).await;
    assert_eq!(bench.api("/api/incidents", &app).await.status.as_u16(), 401);
    let newer = super::super::tokens::unix_now() + 1;
    let wanted = json!({"access_token": {"nbf": {"essential": true, "value": newer.to_string()}, "xms_cc": {"values": ["cp1"]}}});
    let form = format!("{}&claims={wanted}", bench.form(XDR));
    let body = bench.ask(&bench.token_path(), &form).await.json();
    let access = claims(&body["access_token"]);
    assert_eq!(
        (&access["nbf"], &access["xms_cc"]),
        (&json!(newer), &json!(["cp1"]))
    );
    assert_eq!(
        bench.look("stats").await["token_requests"]["claims"],
        json!([wanted.to_string()])
    );
    assert_eq!(
        bench
            .api("/api/incidents", body["access_token"].as_str().unwrap())
            .await
            .status
            .as_u16(),
        200
    );
}

#[tokio::test]
async fn clients_are_checked_in_the_grants_of_users_too() {
    let bench = Bench::start().await;
    let own = bench.sandbox.options();
    let fields =
        format!("grant_type=password&username={ALICE}&password={PASSWORD}&scope={XDR}/.default");
    for (client, status, word, code) in [
        (
            format!("client_id={}", own.client_id),
            401,
            "invalid_client",
            7_000_218,
        ),
        (
            format!("client_id={}&client_secret=x", own.public_client_id),
            401,
            "invalid_client",
            700_025,
        ),
        (
            "client_id=x".to_owned(),
            400,
            "unauthorized_client",
            700_016,
        ),
    ] {
        let reply = bench
            .ask(&bench.token_path(), &format!("{client}&{fields}"))
            .await;
        assert_eq!(refused(&reply), error(status, word, code));
    }
    let public = format!("client_id={}&{fields}", own.public_client_id);
    for (tenant, expected) in [
        ("common", error(400, "invalid_request", 9_001_023)),
        (
            own.customers[0].as_str(),
            error(400, "invalid_grant", 50034),
        ),
        ("nobody", error(400, "invalid_request", 90002)),
    ] {
        let reply = bench
            .ask(&format!("/{tenant}/oauth2/v2.0/token"), &public)
            .await;
        assert_eq!(refused(&reply), expected);
    }
    let several = public.replace(".default", &format!(".default {GRAPH}/.default"));
    assert_eq!(
        refused(&bench.ask(&bench.token_path(), &several).await),
        error(400, "invalid_scope", 28000)
    );
}
