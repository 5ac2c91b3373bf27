//! The endpoints of managed identities.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use http::{Request, StatusCode, Version};
use serde_json::{Value, json};

use super::super::Options;
use super::{Bench, ENDPOINT, Reply, XDR};

const IMDS: &str = "/metadata/identity/oauth2/token?api-version=2018-02-01";
const APP_SERVICE: &str = "/msi/token?api-version=2019-08-01";
const ARC: &str = "/arc/metadata/identity/oauth2/token?api-version=2020-06-01";

const METADATA: (&str, &str) = ("Metadata", "true");
const IDENTITY_HEADER: (&str, &str) = ("X-IDENTITY-HEADER", "sandbox-identity-header");

impl Bench {
    async fn managed(&self, target: &str, headers: &[(&str, &str)]) -> Reply {
        let url = format!("{}{target}", self.sandbox.managed_identity());
        let request = headers
            .iter()
            .fold(Request::get(url), |request, (name, value)| {
                request.header(*name, *value)
            });
        Reply::of(self.send(request, "").await.unwrap()).await
    }

    /// A token of the metadata service, and that it opens the API.
    async fn metadata_token(&self, more: &str) -> Value {
        let reply = self
            .managed(&format!("{IMDS}&resource={XDR}{more}"), &[METADATA])
            .await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
        let body = reply.json();
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(self.api("/api/incidents", token).await.status, 200);
        body
    }
}

fn claims(body: &Value) -> Value {
    let token = body["access_token"].as_str().unwrap();
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL.decode(claims).unwrap()).unwrap()
}

#[tokio::test]
async fn the_metadata_service_writes_numbers_as_text() {
    let bench = Bench::start().await;
    let body = bench.metadata_token("").await;
    for number in ["expires_in", "expires_on", "ext_expires_in", "not_before"] {
        assert!(
            body[number].as_str().unwrap().parse::<u64>().is_ok(),
            "{number}: {body}"
        );
    }
    assert_eq!(
        (
            &body["resource"],
            &body["refresh_token"],
            &body["token_type"]
        ),
        (&json!(XDR), &json!(""), &json!("Bearer"))
    );
}

#[tokio::test]
async fn the_metadata_service_says_what_is_wrong() {
    let bench = Bench::start().await;
    for (query, headers, error) in [
        (format!("&resource={XDR}"), &[][..], "bad_request_102"),
        (
            format!("&resource={XDR}/.default"),
            &[METADATA],
            "invalid_resource",
        ),
        (String::new(), &[METADATA], "invalid_request"),
        (
            format!("&resource={XDR}&client_id=nobody"),
            &[METADATA],
            "invalid_request",
        ),
        (
            format!("&resource={XDR}&client_id=a&object_id=b"),
            &[METADATA],
            "invalid_request",
        ),
    ] {
        let reply = bench.managed(&format!("{IMDS}{query}"), headers).await;
        assert_eq!(reply.status, 400, "{query}");
        assert_eq!(reply.json()["error"], error, "{query}");
    }
    assert_eq!(bench.managed("/elsewhere", &[METADATA]).await.status, 404);
}

#[tokio::test]
async fn a_user_assigned_identity_is_selected_by_each_of_its_ids() {
    let bench = Bench::start().await;
    let own = claims(&bench.metadata_token("").await)["appid"].clone();
    let Options {
        managed_client_id,
        managed_object_id,
        managed_resource_id,
        ..
    } = bench.sandbox.options();
    for selector in [
        format!("client_id={managed_client_id}"),
        format!("object_id={managed_object_id}"),
        format!("msi_res_id={managed_resource_id}"),
    ] {
        let body = bench.metadata_token(&format!("&{selector}")).await;
        assert_eq!(claims(&body)["appid"], *managed_client_id, "{selector}");
        assert_ne!(own, *managed_client_id);
    }
    let counts = bench.look("stats").await["managed_requests"].clone();
    assert_eq!(counts["total"], 4);
    assert_eq!(counts["by"][0]["source"], "imds");
}

#[tokio::test]
async fn the_platform_gives_the_same_token_until_half_of_its_life_is_over() {
    let bench = Bench::start().await;
    let first = bench.metadata_token("").await["access_token"].clone();
    assert_eq!(bench.metadata_token("").await["access_token"], first);
    bench.script(json!({"revoke_tokens": true})).await;
    let again = bench
        .managed(&format!("{IMDS}&resource={XDR}"), &[METADATA])
        .await;
    assert_eq!(
        again.json()["access_token"],
        first,
        "also when it was revoked"
    );
    let other = format!("{IMDS}&resource={ENDPOINT}");
    bench
        .script(json!({"settings": {"token_lifetime": 0}}))
        .await;
    let spent = bench.managed(&other, &[METADATA]).await.json();
    let newer = bench.managed(&other, &[METADATA]).await.json();
    assert_ne!(spent["access_token"], newer["access_token"]);
    bench
        .script(json!({"settings": {"token_lifetime": 3599, "managed_identity_cache": false}}))
        .await;
    assert_ne!(bench.metadata_token("").await["access_token"], first);
}

#[tokio::test]
async fn app_service_tells_the_end_of_a_token_only() {
    let bench = Bench::start().await;
    let target = format!("{APP_SERVICE}&resource={XDR}");
    let body = bench.managed(&target, &[IDENTITY_HEADER]).await.json();
    assert!(body["expires_in"].is_null(), "{body}");
    assert!(body["expires_on"].as_str().unwrap().parse::<u64>().is_ok());
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(bench.api("/api/incidents", token).await.status, 200);

    let refused = bench.managed(&target, &[METADATA]).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["statusCode"], 401);
    let unknown = format!("{APP_SERVICE}&resource=https://nowhere.example");
    let failed = bench.managed(&unknown, &[IDENTITY_HEADER]).await;
    assert_eq!(failed.status, 500);
    assert!(
        !failed.json()["message"]
            .as_str()
            .unwrap()
            .contains("nowhere")
    );
}

#[tokio::test]
async fn arc_wants_the_content_of_a_file_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        arc_key_folder: Some(folder.path().into()),
        ..Options::default()
    };
    let bench = Bench::with(options, Version::HTTP_11).await;
    let target = format!("{ARC}&resource={XDR}");
    assert_eq!(bench.managed(&target, &[]).await.status, 400);
    let challenge = bench.managed(&target, &[METADATA]).await;
    assert_eq!(challenge.status, 401);
    let realm = challenge.header("www-authenticate").unwrap();
    let file = realm.strip_prefix("Basic realm=").unwrap().to_owned();
    let kind = Path::new(&file).extension().unwrap();
    assert_eq!(kind, "key");
    let key = format!("Basic {}", fs::read_to_string(&file).unwrap());
    let proof = [METADATA, ("Authorization", key.as_str())];
    let body = bench.managed(&target, &proof).await.json();
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(bench.api("/api/incidents", token).await.status, 200);
    assert!(fs::metadata(&file).is_err(), "the key is used up");
    let again = bench.managed(&target, &proof).await;
    assert_eq!(again.status, 401);
    assert!(again.header("www-authenticate").is_none());
}

#[tokio::test]
async fn a_machine_outside_arc_has_no_agent() {
    let bench = Bench::start().await;
    let reply = bench
        .managed(&format!("{ARC}&resource={XDR}"), &[METADATA])
        .await;
    assert_eq!(reply.status, 404);
}

#[tokio::test]
async fn scripted_faults_speak_as_the_endpoint_does() {
    let bench = Bench::start().await;
    bench
        .script(json!({"managed": [
            {"empty": 404}, {"status": 410}, {"status": 429, "retry_after": 7}, {"html": 500}, {"truncated_json": true},
        ]}))
        .await;
    let target = format!("{IMDS}&resource={XDR}");
    let ask = || bench.managed(&target, &[METADATA]);
    assert_eq!(ask().await.status, 404);
    let gone = ask().await;
    assert!(gone.status == 410 && gone.json()["error_description"].is_string());
    let throttled = ask().await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("7"))
    );
    let page = ask().await;
    assert!(page.status == 500 && page.text().starts_with("<!DOCTYPE html>"));
    let cut = ask().await;
    assert!(cut.status == 200 && serde_json::from_str::<Value>(&cut.text()).is_err());
    assert_eq!(ask().await.status, 200);

    bench.script(json!({"managed": [{"status": 503}]})).await;
    let target = format!("{APP_SERVICE}&resource={XDR}");
    let reply = bench.managed(&target, &[IDENTITY_HEADER]).await;
    assert_eq!(reply.json()["statusCode"], 503);
    let refused = bench
        .control("faults", &json!({"managed": [{"aadsts": 65001}]}))
        .await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn the_application_trusts_both_identities() {
    let bench = Bench::start().await;
    let assigned = format!("&client_id={}", bench.sandbox.options().managed_client_id);
    for selector in ["", &assigned] {
        let target = format!("{IMDS}&resource=api://AzureADTokenExchange{selector}");
        let assertion = bench.managed(&target, &[METADATA]).await.json();
        let form = format!(
            "grant_type=client_credentials&client_id={}&scope={XDR}/.default&client_assertion={}\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            bench.sandbox.options().client_id,
            assertion["access_token"].as_str().unwrap(),
        );
        let reply = bench.ask(&bench.token_path(), &form).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
}
