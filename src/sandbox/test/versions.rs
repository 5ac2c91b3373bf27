//! The v1 forms of what v2 has, and what clients read before they sign in.

use serde_json::json;
use url::Url;

use super::users::{ALICE, claims};
use super::{Bench, ENDPOINT, XDR};

impl Bench {
    fn v1(&self, last: &str) -> String {
        format!("/{}/oauth2/{last}", self.sandbox.options().tenant)
    }
}

#[tokio::test]
async fn v1_names_a_resource_and_writes_numbers_as_text() {
    let bench = Bench::start().await;
    let public = bench.public();
    let form = format!(
        "client_id={public}&grant_type=password&username={ALICE}&password=sandbox-password-do-not-use&resource={XDR}"
    );
    let body = bench.ask(&bench.v1("token"), &form).await.json();
    assert_eq!(
        (&body["expires_in"], &body["resource"]),
        (&json!("3599"), &json!(XDR))
    );
    assert!(body["id_token"].is_string());
    let refresh = body["refresh_token"].as_str().unwrap();
    let form = format!(
        "client_id={public}&grant_type=refresh_token&refresh_token={refresh}&resource={ENDPOINT}"
    );
    let body = bench.ask(&bench.v1("token"), &form).await.json();
    assert_eq!(claims(&body["access_token"])["aud"], ENDPOINT);
}

#[tokio::test]
async fn v1_has_codes_for_browsers_and_devices() {
    let bench = Bench::start().await;
    let public = bench.public();
    let url = format!(
        "{}{}?client_id={public}&response_type=code&redirect_uri=http://localhost:1&resource={XDR}&sandbox_user={ALICE}",
        bench.sandbox.login(),
        bench.v1("authorize")
    );
    let reply = bench.get(&url, "").await;
    let back = Url::parse(reply.header("location").unwrap()).unwrap();
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").unwrap();
    let form = format!(
        "client_id={public}&grant_type=authorization_code&code={code}&redirect_uri=http://localhost:1"
    );
    let body = bench.ask(&bench.v1("token"), &form).await.json();
    assert_eq!(claims(&body["access_token"])["aud"], XDR);

    let form = format!("client_id={public}&resource={XDR}");
    let begun = bench.ask(&bench.v1("devicecode"), &form).await.json();
    assert_eq!(
        (&begun["expires_in"], &begun["interval"]),
        (&json!("900"), &json!("5"))
    );
    assert!(begun["verification_url"].is_string());
    let entered = json!({"user_code": begun["user_code"], "user": ALICE});
    bench.control("device", &entered).await;
    let code = begun["device_code"].as_str().unwrap();
    let form = format!("client_id={public}&grant_type=device_code&code={code}");
    let body = bench.ask(&bench.v1("token"), &form).await.json();
    assert_eq!(claims(&body["access_token"])["upn"], ALICE);
}

#[tokio::test]
async fn what_clients_discover_is_there() {
    let bench = Bench::start().await;
    let login = bench.sandbox.login();
    for (path, key, value) in [
        (
            "/common/userrealm/alice%40contoso.example?api-version=1.0",
            "domain_name",
            json!("contoso.example"),
        ),
        (
            "/common/userrealm/alice@contoso.example?api-version=1.0",
            "account_type",
            json!("Managed"),
        ),
        (
            "/federation/.well-known/openid-configuration",
            "issuer",
            json!(format!("{login}/federation")),
        ),
        (
            "/common/discovery/instance?api-version=1.1",
            "api-version",
            json!("1.1"),
        ),
    ] {
        let body = bench.get(&format!("{login}{path}"), "").await.json();
        assert_eq!(body[key], value, "{path}");
    }
    let url = format!("{login}/organizations/v2.0/.well-known/openid-configuration");
    let metadata = bench.get(&url, "").await.json();
    for endpoint in [
        "authorization_endpoint",
        "device_authorization_endpoint",
        "jwks_uri",
    ] {
        let url = metadata[endpoint].as_str().unwrap();
        assert_ne!(bench.get(url, "").await.status.as_u16(), 404, "{url}");
    }
    let keys = bench
        .get(&format!("{login}/federation/discovery/keys"), "")
        .await
        .json();
    assert_eq!(keys["keys"][0]["kid"], "sandbox-federation-key");
}
