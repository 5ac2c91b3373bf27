//! Users: each way to sign in, from the request to an answer of the API.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use url::Url;

use super::{Bench, ENDPOINT, GRAPH, Reply, XDR};

const ALICE: &str = "alice@contoso.example";
const PASSWORD: &str = "sandbox-password-do-not-use";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

pub(super) fn claims(token: &Value) -> Value {
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(payload).unwrap()).unwrap()
}

impl Bench {
    fn public(&self) -> &str {
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

    /// What the browser is sent back with.
    async fn authorize(&self, more: &str) -> Url {
        let reply = self.visit(more).await;
        assert_eq!(reply.status.as_u16(), 302, "{}", reply.text());
        Url::parse(reply.header("location").unwrap()).unwrap()
    }

    async fn visit(&self, more: &str) -> Reply {
        let challenge = BASE64URL.encode(digest(&SHA256, VERIFIER.as_bytes()));
        let url = format!(
            "{}/organizations/oauth2/v2.0/authorize?client_id={}&response_type=code&redirect_uri=http://localhost:50123\
             &scope=openid%20offline_access%20{XDR}/.default&state=s1&nonce=n1&code_challenge={challenge}\
             &code_challenge_method=S256{more}",
            self.sandbox.login(),
            self.public()
        );
        self.get(&url, "").await
    }

    async fn redeem(&self, code: &str, verifier: &str) -> Reply {
        self.grant(&format!(
            "grant_type=authorization_code&code={code}&redirect_uri=http://localhost:50123&code_verifier={verifier}&client_info=1"
        ))
        .await
    }

    async fn device(&self) -> Value {
        let form = format!(
            "client_id={}&scope=offline_access {XDR}/.default",
            self.public()
        );
        let path = self.token_path().replace("/token", "/devicecode");
        self.ask(&path, &form).await.json()
    }

    async fn poll(&self, device_code: &Value) -> Reply {
        let code = device_code.as_str().unwrap();
        self.grant(&format!("grant_type={DEVICE}&device_code={code}"))
            .await
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

fn refused(reply: &Reply) -> (u16, String, u64) {
    let body = reply.json();
    let word = body["error"].as_str().unwrap_or_default().to_owned();
    (
        reply.status.as_u16(),
        word,
        body["error_codes"][0].as_u64().unwrap_or_default(),
    )
}

fn error(status: u16, word: &str, code: u64) -> (u16, String, u64) {
    (status, word.to_owned(), code)
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
async fn a_code_is_redeemed_once_with_its_verifier() {
    let bench = Bench::start().await;
    let back = bench.authorize(&format!("&sandbox_user={ALICE}")).await;
    assert_eq!((back.port(), back.path()), (Some(50123), "/"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
    let code = parameter(&back, "code").unwrap();
    let wrong = bench.redeem(&code, &VERIFIER.replace('d', "e")).await;
    assert_eq!(refused(&wrong), error(400, "invalid_grant", 501_481));
    let body = bench.redeem(&code, VERIFIER).await.json();
    assert_eq!(claims(&body["id_token"])["nonce"], "n1");
    assert!(body["refresh_token"].is_string() && body["client_info"].is_string());
    let again = bench.redeem(&code, VERIFIER).await;
    assert_eq!(refused(&again), error(400, "invalid_grant", 54005));
}

#[tokio::test]
async fn the_way_back_says_what_went_wrong() {
    let bench = Bench::start().await;
    for (more, word) in [
        ("&sandbox_error=access_denied", "access_denied"),
        (
            "&sandbox_error=interaction_required&sandbox_aadsts=50076",
            "interaction_required",
        ),
        ("&prompt=none", "login_required"),
        (&format!("&prompt=none&login_hint={ALICE}"), ""),
    ] {
        let back = bench.authorize(more).await;
        assert_eq!(parameter(&back, "error").unwrap_or_default(), word);
        assert_eq!(parameter(&back, "state").as_deref(), Some("s1"));
        let text = parameter(&back, "error_description");
        assert_eq!(
            text.is_some_and(|text| text.starts_with("AADSTS")),
            !word.is_empty()
        );
    }
    let fragment = bench
        .authorize(&format!("&response_mode=fragment&sandbox_user={ALICE}"))
        .await;
    assert!(fragment.fragment().unwrap().starts_with("code=") && fragment.query().is_none());
    let post = bench
        .visit(&format!("&response_mode=form_post&sandbox_user={ALICE}"))
        .await
        .text();
    assert!(
        post.contains("method=\"post\" action=\"http://localhost:50123/\"")
            && post.contains("name=\"code\"")
    );
}

#[tokio::test]
async fn people_choose_on_a_page_and_stay_on_it_when_the_client_is_wrong() {
    let bench = Bench::start().await;
    let page = bench.visit("").await;
    let text = page.text();
    assert_eq!(page.status.as_u16(), 200);
    assert!(
        text.contains("sandbox_user=alice%40contoso.example")
            && text.contains("sandbox_error=access_denied")
    );
    let url = format!(
        "{}/organizations/oauth2/v2.0/authorize",
        bench.sandbox.login()
    );
    for (query, code) in [
        (
            format!("client_id=x&redirect_uri=http://localhost:1&scope={XDR}/.default"),
            "AADSTS700016",
        ),
        (
            format!(
                "client_id={}&redirect_uri=http://127.0.0.1:1&scope={XDR}/.default",
                bench.public()
            ),
            "AADSTS50011",
        ),
        (
            format!("redirect_uri=http://localhost&scope={XDR}/.default"),
            "AADSTS900144",
        ),
    ] {
        let reply = bench.get(&format!("{url}?{query}"), "").await;
        assert_eq!(reply.status.as_u16(), 400);
        assert!(reply.text().contains(code), "{}", reply.text());
    }
}

#[tokio::test]
async fn a_device_waits_until_its_code_was_entered() {
    let bench = Bench::start().await;
    let begun = bench.device().await;
    assert_eq!(
        (&begun["expires_in"], &begun["interval"]),
        (&json!(900), &json!(5))
    );
    let user_code = begun["user_code"].as_str().unwrap();
    assert!(begun["message"].as_str().unwrap().contains(user_code));
    let pending = bench.poll(&begun["device_code"]).await;
    assert_eq!(
        refused(&pending),
        error(400, "authorization_pending", 70016)
    );
    let stats = bench.look("stats").await;
    assert_eq!(
        (&stats["token_requests"]["total"], &stats["device_polls"]),
        (&json!(0), &json!(1))
    );
    let entered = bench
        .control("device", &json!({"user_code": user_code, "user": ALICE}))
        .await;
    assert_eq!(entered.status.as_u16(), 200);
    let body = bench.poll(&begun["device_code"]).await.json();
    assert_eq!(claims(&body["access_token"])["upn"], ALICE);
    assert!(body["refresh_token"].is_string());
    let stats = bench.look("wait?device_polls=2&token_requests=1").await;
    assert_eq!(stats["token_requests"]["by_grant"], json!({DEVICE: 1}));
    let again = bench.poll(&begun["device_code"]).await;
    assert_eq!(refused(&again), error(400, "invalid_grant", 54005));
}

#[tokio::test]
async fn a_device_hears_why_it_need_not_wait() {
    let bench = Bench::start().await;
    for (action, word, code) in [
        ("decline", "authorization_declined", 65004),
        ("expire", "expired_token", 70019),
    ] {
        let begun = bench.device().await;
        bench
            .control(
                "device",
                &json!({"user_code": begun["user_code"], "action": action}),
            )
            .await;
        assert_eq!(
            refused(&bench.poll(&begun["device_code"]).await),
            error(400, word, code)
        );
    }
    let unknown = bench.poll(&json!("unknown")).await;
    assert_eq!(
        refused(&unknown),
        error(400, "bad_verification_code", 70018)
    );
    let nothing = bench
        .control("device", &json!({"user_code": "X", "user": ALICE}))
        .await;
    assert_eq!(nothing.status.as_u16(), 400);
    bench
        .script(json!({"settings": {"device_lifetime": 0}}))
        .await;
    let begun = bench.device().await;
    assert_eq!(
        refused(&bench.poll(&begun["device_code"]).await),
        error(400, "expired_token", 70019)
    );
}

#[tokio::test]
async fn polling_without_pause_is_taken_for_a_loop() {
    let bench = Bench::start().await;
    bench
        .script(json!({"settings": {"device_slow_down": true}}))
        .await;
    let begun = bench.device().await;
    let mut words = Vec::new();
    for _ in 0..8 {
        words.push(refused(&bench.poll(&begun["device_code"]).await).1);
    }
    assert_eq!(words[..2], ["slow_down", "authorization_pending"]);
    assert_eq!(words[6..], ["invalid_grant", "invalid_grant"]);
    bench
        .script(json!({"settings": {"device_slow_down": false, "device_interval": 0}}))
        .await;
    let begun = bench.device().await;
    for _ in 0..20 {
        assert_eq!(refused(&bench.poll(&begun["device_code"]).await).2, 70016);
    }
}

#[tokio::test]
async fn the_device_page_takes_the_code() {
    let bench = Bench::start().await;
    let begun = bench.device().await;
    let page = begun["verification_uri"].as_str().unwrap();
    assert!(
        bench
            .get(page, "")
            .await
            .text()
            .contains("name=\"user_code\"")
    );
    let code = begun["user_code"].as_str().unwrap().to_lowercase();
    let done = bench
        .get(&format!("{page}?user_code={code}&sandbox_user={ALICE}"), "")
        .await;
    assert!(done.text().contains("You have signed in"));
    assert_eq!(bench.poll(&begun["device_code"]).await.status.as_u16(), 200);
    let wrong = bench.get(&format!("{page}?user_code=x"), "").await;
    assert!(wrong.text().contains("not known"));
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
