//! Token requests and what comes before them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::super::Options;
use super::{Bench, ENDPOINT, Reply, XDR};

#[tokio::test]
async fn token_errors_say_what_is_wrong() {
    let bench = Bench::start().await;
    let (path, form) = (bench.token_path(), bench.form(XDR));
    let v1 = path.replace("/v2.0", "");
    for (path, form, status, error, code) in [
        (
            path.clone(),
            form.replace("do-not-use", "wrong"),
            401,
            "invalid_client",
            7_000_215,
        ),
        (
            path.clone(),
            form.replace("client_secret", "x"),
            401,
            "invalid_client",
            7_000_216,
        ),
        (
            path.clone(),
            form.replace("0000000000aa", "0000000000ab"),
            400,
            "unauthorized_client",
            700_016,
        ),
        (
            path.clone(),
            form.replace("/.default", "/Incident.Read"),
            400,
            "invalid_scope",
            1_002_012,
        ),
        (
            path.clone(),
            format!("{form} {ENDPOINT}/.default"),
            400,
            "invalid_scope",
            70011,
        ),
        (
            path.clone(),
            form.replace("api.security", "vault"),
            400,
            "invalid_resource",
            500_011,
        ),
        (
            path.clone(),
            form.replace("client_credentials", "implicit"),
            400,
            "unsupported_grant_type",
            70003,
        ),
        (path.clone(), String::new(), 400, "invalid_request", 900_144),
        (
            path.replace("000001", "0000ff"),
            form.clone(),
            400,
            "invalid_request",
            90002,
        ),
        (v1, form.clone(), 400, "invalid_request", 900_144),
    ] {
        let reply = bench.ask(&path, &form).await;
        let body = reply.json();
        assert_eq!(reply.status.as_u16(), status, "{body}");
        assert_eq!(
            (&body["error"], &body["error_codes"]),
            (&json!(error), &json!([code]))
        );
        assert_eq!(reply.header("x-ms-request-id"), body["trace_id"].as_str());
        assert_eq!(reply.headers.get_all("set-cookie").iter().count(), 3);
    }
    let reply = bench
        .get(&format!("{}{path}", bench.sandbox.login()), "")
        .await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["error_codes"]),
        (400, &json!([900_561]))
    );
}

#[tokio::test]
async fn token_answers_have_the_shape_of_their_version() {
    let bench = Bench::start().await;
    let id = "5a9db0c5-1111-4000-8000-000000000001";
    let Options {
        tenant,
        client_id,
        client_secret,
        ..
    } = bench.sandbox.options().clone();
    let v2 = bench
        .ask(&bench.token_path(), &bench.form(XDR))
        .await
        .json();
    assert_eq!(
        (&v2["expires_in"], &v2["token_type"]),
        (&json!(3599), &json!("Bearer"))
    );
    assert!(v2.get("refresh_in").is_none());
    let url = format!("{}/{tenant}/oauth2/token", bench.sandbox.login());
    let request = Request::post(url)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(
            AUTHORIZATION,
            format!(
                "Basic {}",
                BASE64.encode(format!("{client_id}:{client_secret}"))
            ),
        )
        .header("client-request-id", id)
        .header("return-client-request-id", "true")
        .header("x-client-SKU", "MSAL.Python");
    let form = format!("grant_type=client_credentials&resource={ENDPOINT}");
    let reply = Reply::of(bench.send(request, form).await.unwrap()).await;
    let v1 = reply.json();
    assert_eq!(
        (&v1["expires_in"], &v1["refresh_in"]),
        (&json!("3599"), &json!("1799"))
    );
    assert_eq!(v1["resource"], ENDPOINT);
    assert!(v1["expires_on"].is_string() && v1["not_before"].is_string());
    assert_eq!(reply.header("client-request-id"), Some(id));
    assert_eq!(reply.header("cache-control"), Some("no-store, no-cache"));
}

#[tokio::test]
async fn metadata_names_this_origin() {
    let bench = Bench::start().await;
    let (login, tenant) = (bench.sandbox.login(), &bench.sandbox.options().tenant);
    let metadata = bench
        .get(
            &format!("{login}/{tenant}/v2.0/.well-known/openid-configuration"),
            "",
        )
        .await
        .json();
    assert_eq!(
        metadata["token_endpoint"],
        format!("{login}{}", bench.token_path())
    );
    let unknown = bench
        .get(
            &format!("{login}/nobody/v2.0/.well-known/openid-configuration"),
            "",
        )
        .await;
    assert_eq!(
        (unknown.status.as_u16(), &unknown.json()["error"]),
        (400, &json!("invalid_tenant"))
    );
}

#[tokio::test]
async fn a_domain_names_the_tenant_too() {
    let bench = Bench::start().await;
    let tenant = &bench.sandbox.options().tenant;
    let reply = bench
        .ask("/Contoso.example/oauth2/v2.0/token", &bench.form(XDR))
        .await;
    let token = reply.json()["access_token"].as_str().unwrap().to_owned();
    let claims = token.split('.').nth(1).unwrap();
    let claims: Value = serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["tid"], json!(tenant));
    let login = bench.sandbox.login();
    let url = format!("{login}/contoso.example/v2.0/.well-known/openid-configuration");
    let metadata = bench.get(&url, "").await.json();
    assert_eq!(
        metadata["token_endpoint"],
        format!("{login}{}", bench.token_path())
    );
    assert_eq!(metadata["issuer"], format!("{login}/{tenant}/v2.0"));
}
