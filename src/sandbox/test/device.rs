//! Users who sign in on another device.

use serde_json::{Value, json};

use super::users::{ALICE, claims, error, refused};
use super::{Bench, Reply, XDR};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

impl Bench {
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
