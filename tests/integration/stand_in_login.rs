//! `listen.stand_in_login`: tools that insist on signing in get a token that opens nothing, and the proxy's own goes upstream.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

use crate::{
    guarding::{ask, assert_untouched, start},
    support::{self, Answer, Proxy, Upstreams, field},
    wire::tls_keys,
};

const ON: &str = "[listen]\nstand_in_login = true\n";
const SECRET: &str = "secret-of-another-system";
/// What an application, a user and a managed identity ask, each with a secret of theirs.
const QUESTIONS: [(&str, &str, &str); 9] = [
    (
        "GET",
        "/contoso.example/v2.0/.well-known/openid-configuration",
        "",
    ),
    ("GET", "/common/.well-known/openid-configuration", ""),
    ("GET", "/common/discovery/instance?api-version=1.1", ""),
    ("GET", "/common/discovery/v2.0/keys", ""),
    (
        "GET",
        "/common/userrealm/alice@contoso.example?api-version=1.0",
        "",
    ),
    ("POST", "/contoso.example/oauth2/v2.0/token", APPLICATION),
    ("POST", "/contoso.example/oauth2/token", V1),
    (
        "GET",
        "/metadata/identity/oauth2/token?resource=https%3A%2F%2Fgraph.microsoft.com",
        "",
    ),
    (
        "GET",
        "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fgraph.microsoft.com",
        "",
    ),
];
const APPLICATION: &str = "grant_type=client_credentials&client_id=their-app&client_secret=secret-of-another-system\
    &scope=https%3A%2F%2Fapi.security.microsoft.com%2F.default";
const V1: &str = "grant_type=client_credentials&client_id=their-app&client_secret=secret-of-another-system\
    &resource=https%3A%2F%2Fapi.securitycenter.microsoft.com";
const PASSWORD: &str = "grant_type=password&client_id=their-app&username=alice&password=secret-of-another-system\
    &scope=openid+offline_access+https%3A%2F%2Fgraph.microsoft.com%2FSecurityAlert.Read.All&client_info=1";

/// Asks one question with the headers that platforms want.
async fn question(proxy: &Proxy, (method, target, body): (&str, &str, &str)) -> Answer {
    let request = proxy
        .request(method.parse::<Method>().unwrap(), target)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("metadata", "true")
        .header("x-identity-header", SECRET);
    let body = Full::from(body.to_owned());
    proxy.exchange(request.body(body).unwrap()).await
}

async fn token(proxy: &Proxy, target: &str, form: &str) -> Value {
    let answer = question(proxy, ("POST", target, form)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// The claims of a token that looks like one.
fn claims(token: &Value) -> Value {
    let parts: Vec<&str> = token.as_str().unwrap().split('.').collect();
    assert_eq!(parts.len(), 3, "{token}");
    let header = URL_SAFE_NO_PAD.decode(parts[0]).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    assert_eq!(header["alg"], "none", "nobody signs it");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_has_an_answer_that_says_whose_it_is() {
    let (upstreams, proxy) = start(ON).await;
    for asked in QUESTIONS {
        let answer = question(&proxy, asked).await;
        assert_eq!(answer.status, 200, "{asked:?} {}", answer.text());
        assert!(
            answer
                .header("content-type")
                .starts_with("application/json")
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        let own = answer.header("proxy-status");
        assert!(
            own.starts_with("defender-proxy;") && !own.contains("error="),
            "{own}"
        );
        assert!(answer.json().is_object());
        assert!(!answer.text().contains(SECRET));
    }
    assert_untouched(&upstreams).await;
    for (method, target) in [
        ("GET", "/contoso.example/oauth2/v2.0/token"),
        ("POST", "/metadata/identity/oauth2/token"),
        ("GET", "/contoso.example/oauth2/v2.0/authorize"),
        ("POST", "/t/contoso/oauth2/v2.0/token"),
    ] {
        let answer = question(&proxy, (method, target, "")).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.is_own("destination_not_found"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_lead_to_the_origin_by_which_the_client_came() {
    let (_upstreams, proxy) = start(ON).await;
    let port = proxy.address().rsplit_once(':').unwrap().1;
    for host in [format!("localhost:{port}"), format!("127.0.0.1:{port}")] {
        let ask = async |target: &str| ask(&proxy, "GET", target, &[("host", &host)]).await.json();
        let v2 = ask("/Contoso.example/v2.0/.well-known/openid-configuration").await;
        let tenant = format!("http://{host}/contoso.example");
        assert_eq!(v2["issuer"], format!("{tenant}/v2.0"));
        assert_eq!(v2["token_endpoint"], format!("{tenant}/oauth2/v2.0/token"));
        assert!(
            v2["authorization_endpoint"].is_string(),
            "MSAL refuses metadata without it"
        );
        let v1 = ask("/contoso.example/.well-known/openid-configuration").await;
        assert_eq!(v1["token_endpoint"], format!("{tenant}/oauth2/token"));
        let keys = v2["jwks_uri"]
            .as_str()
            .unwrap()
            .strip_prefix(&format!("http://{host}"));
        assert_eq!(ask(keys.unwrap()).await, json!({"keys": []}));
        let instance = ask("/common/discovery/instance").await;
        assert_eq!(instance["metadata"][0]["aliases"], json!([host]));
        assert!(
            instance["tenant_discovery_endpoint"]
                .as_str()
                .unwrap()
                .contains(&host)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_have_the_shape_that_clients_parse() {
    let (_upstreams, proxy) = start(ON).await;
    let v2 = token(&proxy, "/contoso.example/oauth2/v2.0/token", APPLICATION).await;
    assert_eq!(
        (&v2["token_type"], &v2["expires_in"]),
        (&json!("Bearer"), &json!(86_399))
    );
    assert_eq!(v2["refresh_token"], Value::Null, "an application has none");
    let about = claims(&v2["access_token"]);
    assert_eq!(about["aud"], "https://api.security.microsoft.com");
    assert!(
        about["note"].as_str().unwrap().contains("worthless"),
        "{about}"
    );

    let v1 = token(&proxy, "/contoso.example/oauth2/token", V1).await;
    assert_eq!(v1["expires_in"], "86399", "v1 writes numbers as texts");
    assert!(v1["expires_on"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(v1["resource"], "https://api.securitycenter.microsoft.com");

    let user = token(&proxy, "/organizations/oauth2/v2.0/token", PASSWORD).await;
    assert!(
        user["refresh_token"].is_string() && user["scope"].as_str().unwrap().contains("openid")
    );
    assert_eq!(
        claims(&user["access_token"])["aud"],
        "https://graph.microsoft.com"
    );
    let id = claims(&user["id_token"]);
    assert_eq!(id["aud"], "their-app", "MSAL refuses another audience");
    assert_eq!(id["iss"], format!("{}/organizations/v2.0", proxy.url));
    let info = URL_SAFE_NO_PAD
        .decode(user["client_info"].as_str().unwrap())
        .unwrap();
    assert!(serde_json::from_slice::<Value>(&info).unwrap()["uid"].is_string());
    let renewal = format!(
        "grant_type=refresh_token&refresh_token={}",
        user["refresh_token"]
    );
    let renewed = token(&proxy, "/organizations/oauth2/v2.0/token", &renewal).await;
    assert!(renewed["access_token"].is_string() && renewed["client_info"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managed_identities_have_their_platforms_shape() {
    let (_upstreams, proxy) = start(ON).await;
    let machine = question(&proxy, QUESTIONS[7]).await.json();
    for number in ["expires_in", "expires_on", "not_before"] {
        assert!(
            machine[number].as_str().unwrap().parse::<u64>().is_ok(),
            "{machine}"
        );
    }
    assert_eq!(
        (&machine["refresh_token"], &machine["resource"]),
        (&json!(""), &json!("https://graph.microsoft.com"))
    );
    let service = question(&proxy, QUESTIONS[8]).await.json();
    assert_eq!(service["expires_in"], Value::Null);
    assert!(service["expires_on"].is_string());
    for token in [&machine, &service] {
        assert_eq!(
            claims(&token["access_token"])["aud"],
            "https://graph.microsoft.com"
        );
    }
    // A page that guesses the address can't send these.
    for (_, target, _) in &QUESTIONS[7..] {
        assert_eq!(ask(&proxy, "GET", target, &[]).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_signs_in_first_works_with_the_proxys_token() {
    let (upstreams, proxy) = start(ON).await;
    let answer = token(&proxy, "/contoso.example/oauth2/v2.0/token", APPLICATION).await;
    let worthless = answer["access_token"].as_str().unwrap();
    let bearer = format!("Bearer {worthless}");
    for target in [
        "/api/incidents",
        "/api/machines",
        "/v1.0/security/incidents",
    ] {
        let answer = ask(&proxy, "GET", target, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let sent = upstreams.api_requests().await;
    assert_eq!(sent.len(), 3);
    for request in sent {
        let shown = field(&request, "authorization").expect("a token");
        assert!(shown.starts_with("Bearer ") && shown != bearer);
    }
    let all = json!(upstreams.requests().await).to_string();
    assert!(!all.contains(worthless) && !all.contains(SECRET));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_off_unless_asked_for() {
    let (upstreams, proxy) = support::start().await;
    for asked in QUESTIONS {
        let answer = question(&proxy, asked).await;
        assert_eq!(answer.status, 404, "{asked:?}");
        assert!(answer.is_own("destination_not_found"), "{answer:?}");
    }
    assert_untouched(&upstreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_foreign_page_or_host_gets_an_answer() {
    let listen = format!("{ON}allowed_origins = [\"http://localhost:3000\"]\n");
    let (upstreams, proxy) = start(&listen).await;
    for (method, target, _) in QUESTIONS {
        for (name, value, status) in [
            ("origin", "https://contoso.example", 403),
            ("origin", "null", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("host", "login.microsoftonline.com", 421),
            ("host", "169.254.169.254", 421),
        ] {
            let fields = [
                ("metadata", "true"),
                ("x-identity-header", "x"),
                (name, value),
            ];
            let answer = ask(&proxy, method, target, &fields).await;
            assert_eq!(answer.status, status, "{target} {name}: {value}");
            assert!(answer.is_own("http_request_denied"), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    let page = [("origin", "http://localhost:3000")];
    let answer = ask(&proxy, "POST", "/common/oauth2/v2.0/token", &page).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("access-control-allow-origin"), page[0].1);
    assert_untouched(&upstreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_key_is_asked_for_where_something_is_to_be_had() {
    let upstreams = Upstreams::start().await;
    let key = upstreams.dir.path().join("key");
    std::fs::write(&key, "open").unwrap();
    let config = format!(
        "{}\n{ON}client_key = {{ file = {key:?} }}\n",
        upstreams.config()
    );
    let proxy = Proxy::start(&upstreams, &config);
    for asked in QUESTIONS {
        assert_eq!(question(&proxy, asked).await.status, 200, "{asked:?}");
    }
    let answer = token(&proxy, "/contoso.example/oauth2/v2.0/token", APPLICATION).await;
    let bearer = format!("Bearer {}", answer["access_token"].as_str().unwrap());
    let call = [("authorization", &*bearer)];
    assert_eq!(
        ask(&proxy, "GET", "/api/incidents", &call).await.status,
        401
    );
    assert_untouched(&upstreams).await;
    let call = [("authorization", &*bearer), ("x-proxy-key", "open")];
    assert_eq!(
        ask(&proxy, "GET", "/api/incidents", &call).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_clients_send_and_get_is_logged_nowhere() {
    let upstreams = Upstreams::start().await;
    let config = format!("{}\n{ON}", upstreams.config());
    let (mut command, log) = support::serve_command(&upstreams, &config);
    command.arg("-vvv").env("RUST_LOG", "trace");
    let proxy = Proxy::spawn(command, log);
    let mut given = vec![SECRET.to_owned(), "their-app".to_owned()];
    for asked in QUESTIONS {
        let answer = question(&proxy, asked).await.json();
        given.extend(answer["access_token"].as_str().map(str::to_owned));
    }
    let user = token(&proxy, "/common/oauth2/v2.0/token", PASSWORD).await;
    for kind in ["refresh_token", "id_token"] {
        given.push(user[kind].as_str().unwrap().to_owned());
    }
    let query = format!("/msi/token?resource=x&secret={SECRET}");
    assert_eq!(question(&proxy, ("GET", &query, "")).await.status, 200);
    assert_eq!(
        question(
            &proxy,
            (
                "POST",
                "/common/oauth2/token",
                &SECRET.repeat(64 * 1024 / SECRET.len() + 1)
            )
        )
        .await
        .status,
        400
    );
    let log = proxy.log();
    assert!(log.contains("/contoso.example/oauth2/v2.0/token"), "{log}");
    for text in given {
        assert!(!log.contains(&text), "'{text}' is in the log");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_request_has_a_size() {
    let (upstreams, proxy) = start(ON).await;
    let of_size = |size: usize| {
        format!(
            "{APPLICATION}&x={}",
            "x".repeat(size - APPLICATION.len() - 3)
        )
    };
    for (size, status) in [(64 * 1024, 200), (64 * 1024 + 1, 400)] {
        let asked = of_size(size);
        let answer = question(&proxy, ("POST", "/common/oauth2/v2.0/token", &asked)).await;
        assert_eq!(answer.status, status, "{size}");
        assert_eq!(
            answer.is_own("http_request_error"),
            status == 400,
            "{answer:?}"
        );
    }
    let cut = "POST /common/oauth2/v2.0/token HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\
               Connection: close\r\n\r\nnonsense\r\n";
    let answer = proxy.raw(cut).await;
    assert!(!answer.contains("200 OK"), "{answer}");
    assert_untouched(&upstreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_the_endpoints_are_https() {
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}\n{ON}{}",
        upstreams.config(),
        tls_keys(upstreams.dir.path())
    );
    let proxy = Proxy::start(&upstreams, &config);
    let ca = upstreams.dir.path().join("listen.pem");
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(support::connector(&ca));
    let target = format!("{}/common/v2.0/.well-known/openid-configuration", proxy.url);
    let metadata = Answer::read(client.get(target.parse().unwrap()).await.unwrap())
        .await
        .json();
    let endpoint = metadata["token_endpoint"].as_str().unwrap();
    assert!(endpoint.starts_with("https://127.0.0.1:"), "{endpoint}");
    let request = Request::post(endpoint).body(Full::from(PASSWORD)).unwrap();
    let answer = Answer::read(client.request(request).await.unwrap()).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
}
