//! The stand-ins over real TLS.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::*;

const XDR: &str = "https://api.security.microsoft.com";
const ENDPOINT: &str = "https://api.securitycenter.microsoft.com";
const GRAPH: &str = "https://graph.microsoft.com";

/// A sandbox and a client that trusts it.
struct Bench {
    sandbox: Sandbox,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Bench {
    async fn start() -> Self {
        Self::speaking(Version::HTTP_2).await
    }

    async fn speaking(version: Version) -> Self {
        let sandbox = Sandbox::start(Options::default()).await.unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap())
            .unwrap();
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only();
        let connector = if version == Version::HTTP_2 {
            builder.enable_all_versions().build()
        } else {
            builder.enable_http1().build()
        };
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build(connector);
        Self { sandbox, pool }
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Option<Response<Incoming>> {
        self.pool
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .ok()
    }

    async fn get(&self, url: &str, token: &str) -> Reply {
        let request = Request::get(url).header(AUTHORIZATION, format!("Bearer {token}"));
        Reply::of(self.send(request, "").await.unwrap()).await
    }

    async fn api(&self, path: &str, token: &str) -> Reply {
        self.get(&format!("{}{path}", self.sandbox.defender()), token)
            .await
    }

    async fn ask(&self, path: &str, form: &str) -> Reply {
        let url = format!("{}{path}", self.sandbox.login());
        let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        Reply::of(self.send(request, form.to_owned()).await.unwrap()).await
    }

    fn token_path(&self) -> String {
        format!("/{}/oauth2/v2.0/token", self.sandbox.options().tenant)
    }

    fn form(&self, resource: &str) -> String {
        let Options {
            client_id,
            client_secret,
            ..
        } = self.sandbox.options();
        format!(
            "grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}&scope={resource}/.default"
        )
    }

    async fn token(&self, resource: &str) -> String {
        let reply = self.ask(&self.token_path(), &self.form(resource)).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn control(&self, path: &str, body: &Value) -> Reply {
        let url = format!("{}/_sandbox/{path}", self.sandbox.defender());
        Reply::of(
            self.send(Request::post(url), body.to_string())
                .await
                .unwrap(),
        )
        .await
    }

    async fn script(&self, body: Value) {
        let reply = self.control("faults", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }

    async fn look(&self, path: &str) -> Value {
        self.get(&format!("{}/_sandbox/{path}", self.sandbox.graph()), "")
            .await
            .json()
    }
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// `None` when it broke off.
    body: Option<Bytes>,
}

impl Reply {
    async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .ok()
            .map(http_body_util::Collected::to_bytes);
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_ref().unwrap()).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().unwrap()).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn error(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

#[tokio::test]
async fn a_token_opens_the_family_it_is_for_and_no_other() {
    let bench = Bench::start().await;
    let (xdr, endpoint, graph) = (
        bench.token(XDR).await,
        bench.token(ENDPOINT).await,
        bench.token(GRAPH).await,
    );
    assert_eq!(
        bench.api("/api/incidents", &xdr).await.status,
        StatusCode::OK
    );
    assert_eq!(
        bench.api("/api/sandbox/echo", &endpoint).await.status,
        StatusCode::OK
    );
    let wrong = bench.api("/api/machines", &xdr).await;
    assert_eq!(
        (wrong.status, wrong.error().as_str()),
        (StatusCode::FORBIDDEN, "Forbidden")
    );
    let url = format!("{}/v1.0/security/incidents", bench.sandbox.graph());
    let reply = bench.get(&url, &graph).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("request-id").is_some() && reply.header("odata-version") == Some("4.0"));
    assert_eq!(
        bench.get(&url, "nonsense").await.error(),
        "InvalidAuthenticationToken"
    );
}

#[tokio::test]
async fn calls_without_a_good_token_are_refused() {
    let bench = Bench::start().await;
    let url = format!("{}/api/incidents", bench.sandbox.defender());
    let none = Reply::of(bench.send(Request::get(&url), "").await.unwrap()).await;
    assert_eq!(
        (none.status, none.error().as_str()),
        (StatusCode::UNAUTHORIZED, "Unauthorized")
    );
    assert!(none.header("www-authenticate").is_none());
    bench
        .script(json!({"settings": {"www_authenticate": true, "token_lifetime": 0}}))
        .await;
    let expired = bench.get(&url, &bench.token(XDR).await).await;
    assert_eq!(expired.status, StatusCode::UNAUTHORIZED);
    assert!(expired.text().contains("expired") && expired.text().contains(XDR));
    assert!(
        expired
            .header("www-authenticate")
            .unwrap()
            .starts_with("Bearer ")
    );
}

#[tokio::test]
async fn a_missing_role_is_named() {
    let bench = Bench::start().await;
    bench
        .script(json!({"settings": {"roles": ["Alert.Read.All"]}}))
        .await;
    let reply = bench
        .api("/api/machines", &bench.token(ENDPOINT).await)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(reply.text().contains("Machine.Read.All") && reply.text().contains("Alert.Read.All"));
}

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
            form.replace("client_credentials", "password"),
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
async fn scripted_token_faults_come_once_and_in_order() {
    let bench = Bench::start().await;
    bench
        .script(json!({"token": [
            {"aadsts": 53003}, {"status": 429, "retry_after": 7}, {"html": 500}, {"empty": 404}, {"truncated_json": true},
        ]}))
        .await;
    let (path, form) = (bench.token_path(), bench.form(XDR));
    let blocked = bench.ask(&path, &form).await.json();
    assert!(blocked["claims"].is_string() && blocked["suberror"] == "message_only");
    let throttled = bench.ask(&path, &form).await;
    assert_eq!(
        (throttled.status.as_u16(), throttled.header("retry-after")),
        (429, Some("7"))
    );
    assert!(
        throttled
            .header("content-type")
            .unwrap()
            .starts_with("text/plain")
    );
    let page = bench.ask(&path, &form).await;
    assert!(page.status == 500 && page.text().starts_with("<!DOCTYPE html>"));
    let empty = bench.ask(&path, &form).await;
    assert!(empty.status == 404 && empty.text().is_empty());
    assert_eq!(empty.headers.get_all("set-cookie").iter().count(), 3);
    let cut = bench.ask(&path, &form).await;
    assert!(cut.status == 200 && serde_json::from_str::<Value>(&cut.text()).is_err());
    assert_eq!(bench.ask(&path, &form).await.json()["token_type"], "Bearer");
}

#[tokio::test]
async fn scripted_api_faults_leave_the_token_alone() {
    let bench = Bench::start().await;
    bench
        .script(json!({"api": [
            {"unauthorized": "once"}, {"code": "429", "retry_after": 3}, {"status": 500}, {"hunting": "oversize"},
        ]}))
        .await;
    let token = bench.token(XDR).await;
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::UNAUTHORIZED
    );
    let throttled = bench.api("/api/incidents", &token).await;
    assert_eq!(
        (throttled.error().as_str(), throttled.header("retry-after")),
        ("429", Some("3"))
    );
    let failed = bench.api("/api/incidents", &token).await.json();
    assert_eq!(failed["error"]["message"], "");
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::OK
    );
    let hunted = bench.api("/api/advancedhunting/run", &token).await;
    assert!(hunted.status == 400 && hunted.text().contains("124 MB"));
}

#[tokio::test]
async fn a_claims_challenge_is_for_graph_and_reaches_the_token_request() {
    let bench = Bench::start().await;
    bench
        .script(json!({"api": [{"claims_challenge": true}]}))
        .await;
    let token = bench.token(GRAPH).await;
    let reply = bench
        .get(
            &format!("{}/v1.0/security/incidents", bench.sandbox.graph()),
            &token,
        )
        .await;
    let challenge = reply.header("www-authenticate").unwrap().to_owned();
    assert!(reply.status == 401 && challenge.contains("error=\"insufficient_claims\""));
    let claims = challenge
        .split("claims=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    let claims: Value = serde_json::from_slice(&BASE64.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["access_token"]["nbf"]["essential"], true);
    bench
        .ask(
            &bench.token_path(),
            &format!("{}&claims=%7B%7D", bench.form(GRAPH)),
        )
        .await;
    assert_eq!(
        bench.look("stats").await["token_requests"]["with_claims"],
        1
    );
}

#[tokio::test]
async fn revoked_tokens_fail_until_a_newer_one_is_fetched() {
    let bench = Bench::start().await;
    let old = bench.token(XDR).await;
    bench.control("reset", &json!({})).await;
    assert_eq!(
        bench.api("/api/incidents", &old).await.status,
        StatusCode::OK
    );
    bench.script(json!({"revoke_tokens": true})).await;
    assert_eq!(
        bench.api("/api/incidents", &old).await.status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench
            .api("/api/incidents", &bench.token(XDR).await)
            .await
            .status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn rate_limits_count_and_refuse() {
    let bench = Bench::start().await;
    bench
        .script(json!({"settings": {"rate_limit": {"per_minute": 2, "code": "429"}}}))
        .await;
    let token = bench.token(XDR).await;
    for _ in 0..2 {
        assert_eq!(
            bench.api("/api/incidents", &token).await.status,
            StatusCode::OK
        );
    }
    let refused = bench.api("/api/incidents", &token).await;
    assert_eq!(
        (refused.status.as_u16(), refused.error().as_str()),
        (429, "429")
    );
    assert!(
        (1..=60).contains(
            &refused
                .header("retry-after")
                .unwrap()
                .parse::<u64>()
                .unwrap()
        )
    );
    bench
        .script(json!({"settings": {"rate_limit": null}}))
        .await;
    assert_eq!(
        bench.api("/api/incidents", &token).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn gzip_for_those_who_accept_it() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let bench = Bench::speaking(version).await;
        let token = bench.token(ENDPOINT).await;
        for path in ["/api/sandbox/echo", "/api/sandbox/download?bytes=300000"] {
            let plain = bench.api(path, &token).await;
            assert!(!plain.headers.contains_key(CONTENT_ENCODING));
            assert_eq!(plain.header("vary"), Some("Accept-Encoding"));
            let request = Request::get(format!("{}{path}", bench.sandbox.defender()))
                .header(AUTHORIZATION, format!("Bearer {token}"))
                .header(ACCEPT_ENCODING, "gzip");
            let packed = Reply::of(bench.send(request, "").await.unwrap()).await;
            assert_eq!(packed.headers.get(CONTENT_ENCODING).unwrap(), "gzip");
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&packed.body.unwrap()[..])
                .read_to_end(&mut text)
                .unwrap();
            assert!(serde_json::from_slice::<Value>(&text).is_ok());
            assert!(text.len().abs_diff(plain.body.unwrap().len()) < 10);
        }
    }
}

#[tokio::test]
async fn broken_bodies_are_broken_in_both_versions() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let bench = Bench::speaking(version).await;
        let token = bench.token(ENDPOINT).await;
        for (action, path) in [
            (json!({"truncate": 10}), "/api/sandbox/echo"),
            (json!({"truncate": 1_000_000}), "/api/sandbox/echo"),
            (json!({"reset": "mid-body"}), "/api/sandbox/echo"),
            (
                json!({"reset": "mid-body"}),
                "/api/sandbox/download?bytes=200000",
            ),
            (
                json!({"truncate": 100_000}),
                "/api/sandbox/download?bytes=200000&type=binary",
            ),
        ] {
            bench.script(json!({"api": [action]})).await;
            let reply = bench.api(path, &token).await;
            assert_eq!(
                reply.status,
                StatusCode::OK,
                "{action} {path}: the head arrives"
            );
            assert!(reply.body.is_none(), "{action} {path}: the body does not");
        }
        bench
            .script(json!({"api": [{"reset": "before-headers"}]}))
            .await;
        let url = format!("{}/api/sandbox/echo", bench.sandbox.defender());
        let request = Request::get(url).header(AUTHORIZATION, format!("Bearer {token}"));
        assert!(bench.send(request, "").await.is_none());
        assert_eq!(
            bench.look("stats").await["aborted"],
            0,
            "none of it was the client's doing"
        );
    }
}

#[tokio::test]
async fn slow_bodies_arrive_whole() {
    let bench = Bench::start().await;
    let token = bench.token(ENDPOINT).await;
    bench
        .script(json!({"api": [{"slow_body_ms": 1}, {"delay_ms": 1}]}))
        .await;
    assert_eq!(
        bench.api("/api/sandbox/echo", &token).await.json()["method"],
        "GET"
    );
    assert_eq!(
        bench.api("/api/sandbox/echo", &token).await.json()["method"],
        "GET"
    );
}

#[tokio::test]
async fn held_requests_wait_for_their_release() {
    let bench = Bench::start().await;
    let token = bench.token(XDR).await;
    bench.script(json!({"api": [{"hold": "a"}]})).await;
    let release = async {
        assert_eq!(bench.look("wait?held=a&api_calls=1").await["held"]["a"], 1);
        assert_eq!(
            bench.control("release", &json!({"name": "a"})).await.json()["released"],
            1
        );
    };
    let (reply, ()) = tokio::join!(bench.api("/api/incidents", &token), release);
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(bench.look("stats").await["held"], json!({}));
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let bench = Bench::speaking(version).await;
        let token = bench.token(ENDPOINT).await;
        bench.script(json!({"api": [{"hold": "a"}]})).await;
        tokio::select! {
            _ = bench.api("/api/sandbox/echo", &token) => panic!("it was held"),
            _ = bench.look("wait?held=a") => {}
        }
        assert_eq!(bench.look("wait?aborted=1").await["held"], json!({}));
        let url = format!(
            "{}/api/sandbox/download?bytes=100000000",
            bench.sandbox.defender()
        );
        let request = Request::get(url).header(AUTHORIZATION, format!("Bearer {token}"));
        drop(bench.send(request, "").await.unwrap());
        assert_eq!(bench.look("wait?aborted=2").await["aborted"], 2);
    }
}

#[tokio::test]
async fn stats_and_requests_tell_what_came() {
    let bench = Bench::start().await;
    bench.token(XDR).await;
    bench.token(XDR).await;
    let token = bench.token(ENDPOINT).await;
    let target =
        "/API/sandbox/echo/findby(ip='10.0.0.1',t=2026-01-22T08:44:05Z)?$filter=a+eq+'b%2Fc'&x=%20";
    bench.api(target, &token).await;
    bench.api("/api/incidents", &token).await;
    let stats = bench.look("stats").await;
    assert_eq!(stats["token_requests"]["total"], 3);
    let options = bench.sandbox.options();
    assert_eq!(
        stats["token_requests"]["by"][0],
        json!({"tenant": options.tenant, "client_id": options.client_id, "scope": format!("{XDR}/.default"), "count": 2})
    );
    assert_eq!(stats["api_calls"]["total"], 2);
    assert_eq!(
        stats["api_calls"]["by_family"],
        json!({"defender_endpoint": 1, "defender_xdr": 1})
    );
    assert_eq!(stats["api_calls"]["by_status"], json!({"200": 1, "403": 1}));
    assert_eq!(
        stats["connections"],
        json!({"defender": 1, "entra": 1, "graph": 1})
    );
    let requests = bench.look("requests").await["requests"].clone();
    assert_eq!(requests.as_array().unwrap().len(), 5);
    assert_eq!(requests[0]["body_bytes"], bench.form(XDR).len());
    assert_eq!(
        (&requests[3]["target"], &requests[3]["version"]),
        (&json!(target), &json!("HTTP/2.0"))
    );
    assert!(
        requests[3]["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["authorization", format!("Bearer {token}")]))
    );
    bench.control("reset", &json!({})).await;
    assert_eq!(bench.look("stats").await["token_requests"]["total"], 0);
    assert_eq!(bench.look("requests").await, json!({"requests": []}));
}

#[tokio::test]
async fn bodies_of_any_size_go_up_and_down() {
    let bench = Bench::speaking(Version::HTTP_11).await;
    let token = bench.token(ENDPOINT).await;
    let body = vec![7; 3_000_000];
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let post = |path: &str| {
        let url = format!("{}{path}", bench.sandbox.defender());
        Request::post(url).header(AUTHORIZATION, format!("Bearer {token}"))
    };
    let uploaded = Reply::of(
        bench
            .send(post("/api/sandbox/upload"), body.clone())
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        uploaded.json(),
        json!({"bytes": 3_000_000, "sum": crc.sum()})
    );
    let refused = bench.send(post("/api/sandbox/echo"), body).await;
    assert!(refused.is_none_or(|refused| refused.status() == StatusCode::PAYLOAD_TOO_LARGE));
    let binary = bench
        .api("/api/sandbox/download?bytes=1234567&type=binary", &token)
        .await;
    assert_eq!(binary.headers.get(CONTENT_LENGTH).unwrap(), "1234567");
    assert_eq!(binary.body.unwrap().len(), 1_234_567);
    let streamed = bench
        .api("/api/sandbox/download?bytes=1000000", &token)
        .await;
    assert!(!streamed.headers.contains_key(CONTENT_LENGTH));
    assert_eq!(streamed.body.unwrap().len(), 1_000_000);
}

#[tokio::test]
async fn control_requests_that_are_wrong_say_so_and_change_nothing() {
    let bench = Bench::start().await;
    for (body, part) in [
        (json!({"setings": {}}), "unknown key `setings`"),
        (
            json!({"settings": {"gzip": false, "link": "self"}}),
            "unknown key `settings.link`",
        ),
        (
            json!({"settings": {"links": "local"}}),
            "`links` cannot be \"local\"; it takes global, regional",
        ),
        (
            json!({"settings": {"rate_limit": {"per_second": 1}}}),
            "settings.rate_limit.per_second",
        ),
        (
            json!({"api": [{"status": 503}, {"sleep": 1}]}),
            "unknown key `sleep`",
        ),
        (json!([]), "not a JSON object"),
    ] {
        let reply = bench.control("faults", &body).await;
        assert!(
            reply.status == 400 && reply.json()["error"].as_str().unwrap().contains(part),
            "{}",
            reply.text()
        );
    }
    assert_eq!(
        bench.look("stats").await["queued"],
        json!({"token": 0, "api": 0})
    );
    let echo = bench
        .api("/api/sandbox/echo", &bench.token(ENDPOINT).await)
        .await;
    assert_eq!(
        echo.header("vary"),
        Some("Accept-Encoding"),
        "gzip is still on"
    );
    assert_eq!(
        bench.control("nothing", &json!({})).await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        bench.control("stats", &json!({})).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let index = bench.get(bench.sandbox.login(), "").await.json();
    assert_eq!(
        (
            &index["stand_in_for"],
            index["control"].as_array().map(Vec::len)
        ),
        (&json!("entra"), Some(6))
    );
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
async fn links_name_the_host_that_is_set() {
    let bench = Bench::start().await;
    let token = bench.token(XDR).await;
    for (links, origin) in [
        ("global", XDR),
        ("regional", "https://api-eu.security.microsoft.com"),
        ("legacy", "https://api.securitycenter.windows.com"),
        ("self", bench.sandbox.defender()),
    ] {
        bench.script(json!({"settings": {"links": links}})).await;
        let context = bench.api("/api/incidents", &token).await.json()["@odata.context"].clone();
        assert!(
            context.as_str().unwrap().starts_with(origin),
            "{links}: {context}"
        );
    }
}

#[tokio::test]
async fn the_config_is_toml_that_points_here() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let text = sandbox.proxy_toml(
        Path::new(r"C:\a b\ca.pem"),
        SecretSource::Env("SANDBOX_CLIENT_SECRET"),
    );
    let config: toml::Table = text.parse().unwrap();
    assert_eq!(config["cloud"]["login"].as_str(), Some(sandbox.login()));
    assert_eq!(
        config["cloud"]["defender_xdr"].as_str(),
        Some(sandbox.defender())
    );
    assert_eq!(config["upstream"]["ca"].as_str(), Some(r"C:\a b\ca.pem"));
    let secret = &config["identity"]["sandbox"]["credential"]["secret"];
    assert_eq!(secret["env"].as_str(), Some("SANDBOX_CLIENT_SECRET"));
    assert!(!text.contains(&sandbox.options().client_secret));
}

#[tokio::test]
async fn dropping_it_closes_the_ports() {
    let bench = Bench::start().await;
    bench.token(XDR).await;
    let Bench { sandbox, pool } = bench;
    let url = format!("{}/", sandbox.login());
    drop(sandbox);
    // The accept loops end when the runtime next turns to them.
    tokio::task::yield_now().await;
    assert!(
        pool.request(Request::get(url).body(Full::default()).unwrap())
            .await
            .is_err()
    );
}
