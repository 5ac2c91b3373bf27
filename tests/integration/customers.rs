//! A partner's customers: each request is for one of them, by whatever way it names it, and for no other.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    guarding::{ask, assert_untouched},
    load::{self, Http2},
    raw::Raw,
    support::{Answer, Proxy, Upstreams, field, header},
};

pub(crate) const CONTOSO: &str = "5a9db0c5-0000-4000-8000-000000000002";
pub(crate) const FABRIKAM: &str = "5a9db0c5-0000-4000-8000-000000000003";

/// A configuration whose identity is a partner with these customers, as TOML.
pub(crate) fn partner(upstreams: &Upstreams, customers: &str) -> String {
    let tenant = &upstreams.sandbox.options().tenant;
    let config = upstreams.config();
    let application = format!("kind = \"application\"\ntenant = \"{tenant}\"");
    assert!(config.contains(&application), "{config}");
    config.replace(
        &application,
        &format!("kind = \"partner\"\ncustomers = {{ {customers} }}"),
    )
}

pub(crate) fn two() -> String {
    format!("contoso = \"{CONTOSO}\", Fabrikam = \"{FABRIKAM}\"")
}

async fn start_with(more: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let config = format!("{}\n{more}", partner(&upstreams, &two()));
    let proxy = Proxy::start(&upstreams, &config);
    (upstreams, proxy)
}

/// The tenant of the token that a recorded request carried.
pub(crate) fn tenant(request: &Value) -> String {
    let token = header(request, "authorization").expect("a token");
    let payload = token.split('.').nth(1).expect("a JWT");
    let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("claims");
    claims["tid"].as_str().expect("a tenant").to_owned()
}

async fn last(upstreams: &Upstreams) -> Value {
    let requests = upstreams.api_requests().await;
    requests.last().expect("a request").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_way_of_naming_a_customer_leads_to_its_tenant() {
    let (upstreams, proxy) = start_with("").await;
    let upper = FABRIKAM.to_uppercase();
    let below = |name: &str| format!("/t/{name}/api/machines?$top=1");
    for (target, fields, expected) in [
        (below("contoso"), vec![], CONTOSO),
        (below("FABRIKAM"), vec![], FABRIKAM),
        (below(&upper), vec![], FABRIKAM),
        (
            "/api/machines?$top=1".into(),
            vec![("X-Defender-Tenant", "contoso")],
            CONTOSO,
        ),
        (
            "/api/machines?$top=1".into(),
            vec![("x_defender_tenant", &*upper)],
            FABRIKAM,
        ),
        (
            "/api/machines?$top=1".into(),
            vec![("Host", "contoso.localhost")],
            CONTOSO,
        ),
        (
            "/api/machines?$top=1".into(),
            vec![("Host", "Fabrikam.LocalHost:99")],
            FABRIKAM,
        ),
        // The same customer by all three, by name and by tenant.
        (
            below("fabrikam"),
            vec![
                ("X-Defender-Tenant", FABRIKAM),
                ("Host", "fabrikam.localhost"),
            ],
            FABRIKAM,
        ),
    ] {
        let answer = ask(&proxy, "GET", &target, &fields).await;
        assert_eq!(answer.status, 200, "{target} {fields:?}: {}", answer.text());
        let seen = last(&upstreams).await;
        assert_eq!(tenant(&seen), expected, "{target} {fields:?}");
        assert_eq!(seen["target"], "/api/machines?$top=1");
        for name in ["x-defender-tenant", "x_defender_tenant"] {
            assert_eq!(field(&seen, name), None, "{seen}");
        }
    }
    assert_eq!(upstreams.token_requests().await, 2);
    let log = proxy.log();
    assert!(
        log.contains("customer=\"contoso\"") && log.contains("customer=\"Fabrikam\""),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_authority_of_http2_names_a_customer_too() {
    let (upstreams, proxy) = start_with("").await;
    let connection = Http2::connect(&proxy).await;
    for (host, expected) in [
        ("contoso.localhost", CONTOSO),
        ("fabrikam.localhost:1", FABRIKAM),
    ] {
        let request = Request::get(format!("http://{host}{}", load::SMALL_XDR));
        let answer = connection
            .send(request.body(Full::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(tenant(&last(&upstreams).await), expected);
    }
    let request = Request::get("http://nobody.localhost/api/incidents");
    let answer = connection
        .send(request.body(Full::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status, 421, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_could_be_anothers_goes_nowhere() {
    let (upstreams, proxy) = start_with("").await;
    let plain = "/api/incidents";
    for (target, fields, status) in [
        (plain, "", 400),
        (
            "/t/contoso/api/incidents",
            "X-Defender-Tenant: fabrikam\r\n",
            400,
        ),
        (
            plain,
            "X-Defender-Tenant: contoso\r\nX-Defender-Tenant: contoso\r\n",
            400,
        ),
        (
            plain,
            "X-Defender-Tenant: contoso\r\nX_Defender_Tenant: fabrikam\r\n",
            400,
        ),
        (plain, "X-Defender-Tenant: contoso, fabrikam\r\n", 400),
        (plain, "X-Defender-Tenant:\r\n", 400),
        ("/t/contoso/t/fabrikam/api/incidents", "", 400),
        ("/t/contoso/%74/fabrikam/api/incidents", "", 400),
        ("/t/c%6Fntoso/api/incidents", "", 400),
        ("/%74/contoso/api/incidents", "", 400),
        ("/T/contoso/api/incidents", "", 400),
        ("/t/contoso%2fapi/incidents", "", 400),
        ("/t/contoso;x/api/incidents", "", 400),
        ("/t/contoso/../fabrikam/api/incidents", "", 400),
        ("/t/contoso//evil.example/api", "", 400),
        ("/t//api/incidents", "", 400),
        ("/t", "", 400),
        ("/t/nobody/api/incidents", "", 403),
        (plain, "X-Defender-Tenant: nobody\r\n", 403),
        // The home tenant of the application is no customer.
        (
            plain,
            "X-Defender-Tenant: 5a9db0c5-0000-4000-8000-000000000001\r\n",
            403,
        ),
        ("/t/contoso/nowhere", "", 404),
    ] {
        let answer = proxy
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n"
            ))
            .await;
        let start = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&start), "{target} {fields}: {answer}");
        assert!(
            answer.contains("Proxy-Status: defender-proxy; error="),
            "{answer}"
        );
    }
    for (host, fields, status) in [
        ("fabrikam.localhost", "X-Defender-Tenant: contoso\r\n", 400),
        ("nobody.localhost", "", 421),
        ("contoso.localhost.evil.example", "", 421),
    ] {
        let answer = proxy
            .raw(format!(
                "GET {plain} HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n"
            ))
            .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {answer}"
        );
    }
    assert_untouched(&upstreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_learn_the_names_of_customers_and_web_pages_do_not() {
    let page = "http://localhost:3000";
    let (upstreams, proxy) =
        start_with(&format!("[listen]\nallowed_origins = [\"{page}\"]\n")).await;
    for (fields, status) in [
        (vec![], 400),
        (vec![("X-Defender-Tenant", "fabricam")], 403),
    ] {
        let answer = ask(&proxy, "GET", "/api/incidents", &fields).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        let problem = answer.json();
        let first = if status == 403 { "Fabrikam" } else { "contoso" };
        assert_eq!(problem["customers"][0], first, "{problem}");
        assert_eq!(problem["customer_count"], 2);
        assert!(
            problem["next"].as_str().unwrap().contains("customer"),
            "{problem}"
        );

        let mut fields = fields;
        for origin in [page, &proxy.url] {
            fields.push(("Origin", origin));
            let answer = ask(&proxy, "GET", "/api/incidents", &fields).await;
            assert_eq!(answer.status, status);
            let text = answer.text().to_lowercase();
            assert!(
                !text.contains("contoso") && !text.contains("fabrikam"),
                "{text}"
            );
            assert!(!text.contains("customer_count"), "{text}");
            fields.pop();
        }
    }
    assert_untouched(&upstreams).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_only_customer_needs_no_name() {
    let upstreams = Upstreams::start().await;
    let config = partner(&upstreams, &format!("contoso = \"{CONTOSO}\""));
    let proxy = Proxy::start(&upstreams, &config);
    let page = proxy.get("/api/incidents").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(tenant(&last(&upstreams).await), CONTOSO);
    let next = page.json()["@odata.nextLink"].as_str().unwrap().to_owned();
    assert!(next.starts_with(&format!("{}/api/", proxy.url)), "{next}");
    let other = ask(
        &proxy,
        "GET",
        "/api/incidents",
        &[("X-Defender-Tenant", "fabrikam")],
    )
    .await;
    assert_eq!(other.status, 403);
}

/// Silently ignored, it would be a request served for another tenant than the client named.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_identity_of_one_tenant_refuses_the_name_of_another() {
    let upstreams = Upstreams::start().await;
    let proxy = Proxy::start(&upstreams, &upstreams.config());
    let own = upstreams.sandbox.options().tenant.clone();
    let with = |name: &str| vec![("X-Defender-Tenant".to_owned(), name.to_owned())];
    for (fields, status) in [
        (with("contoso"), 400),
        (with(CONTOSO), 400),
        (with(&own), 200),
    ] {
        let fields: Vec<_> = fields.iter().map(|(a, b)| (&**a, &**b)).collect();
        let answer = ask(&proxy, "GET", "/api/incidents?$top=1", &fields).await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    // Without a partner `/t` is a path like others, and nobody's host.
    assert_eq!(proxy.get("/t/contoso/api/incidents").await.status, 404);
    let answer = ask(
        &proxy,
        "GET",
        "/api/incidents",
        &[("Host", "contoso.localhost")],
    )
    .await;
    assert_eq!(answer.status, 421);
    assert_eq!(upstreams.api_calls().await, 1);
}

/// A customer may be named where a partner's routes are, and nowhere else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_partner_an_application_keeps_its_own_tenant() {
    let upstreams = Upstreams::start().await;
    let own = &upstreams.sandbox.options().tenant;
    let client_id = &upstreams.sandbox.options().client_id;
    let config = format!(
        "{}\n[identity.own]\nkind = \"application\"\ntenant = \"{own}\"\nclient_id = \"{client_id}\"\n\
         credential = {{ secret = {{ env = \"SANDBOX_CLIENT_SECRET\" }} }}\n\
         [[route]]\nprefix = \"/\"\napi = \"defender\"\nidentity = \"sandbox\"\n\
         [[route]]\nprefix = \"/api/machines\"\napi = \"defender\"\nidentity = \"own\"\n",
        partner(&upstreams, &two())
    );
    let proxy = Proxy::start(&upstreams, &config);
    for (target, status, expected) in [
        ("/t/contoso/api/incidents?$top=1".to_owned(), 200, CONTOSO),
        ("/api/machines?$top=1".to_owned(), 200, own),
        (format!("/t/{own}/api/machines?$top=1"), 200, own),
        ("/t/contoso/api/machines?$top=1".to_owned(), 400, own),
    ] {
        let answer = proxy.get(&target).await;
        assert_eq!(answer.status, status, "{target}: {}", answer.text());
        assert_eq!(tenant(&last(&upstreams).await), expected, "{target}");
    }
    assert_eq!(upstreams.api_calls().await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_token_for_one_customer_holds_up_no_other() {
    let (upstreams, proxy) = start_with("").await;
    upstreams.faults(json!({"token": [{"hold": "slow"}]})).await;
    let connection = Http2::connect(&proxy).await;
    let slow = connection.get("/t/contoso/api/incidents");
    upstreams.wait("held=slow").await;
    let other = connection.get("/t/fabrikam/api/incidents").await.unwrap();
    assert_eq!(other.status, 200, "{}", other.text());
    assert!(!slow.is_finished());
    upstreams.release("slow").await;
    assert_eq!(slow.await.unwrap().status, 200);
    assert_eq!(upstreams.token_requests().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interleaved_pages_stay_with_their_customers() {
    let (upstreams, proxy) = start_with("").await;
    upstreams.settings(json!({"page_size": 60})).await;
    let first = |name: &str, way: &str| match way {
        "path" => (format!("{}/t/{name}/api/machines", proxy.url), vec![]),
        "header" => {
            let url = format!("{}/api/machines", proxy.url);
            (url, vec![("x-defender-tenant", name.to_owned())])
        }
        _ => {
            let port = proxy.address().split(':').nth(1).unwrap();
            let host = format!("{name}.localhost:{port}");
            (format!("http://{host}/api/machines"), vec![])
        }
    };
    for way in ["path", "header", "host"] {
        let mut links = [("contoso", CONTOSO), ("fabrikam", FABRIKAM)].map(|(name, tenant)| {
            let (url, fields) = first(name, way);
            (Some(url), fields, tenant, 0)
        });
        while links.iter().any(|(next, ..)| next.is_some()) {
            for (next, fields, expected, records) in &mut links {
                let Some(url) = next.take() else { continue };
                let page = get(&proxy, &url, fields).await;
                // Only the first request says so in a field: its links work by themselves.
                fields.clear();
                assert_eq!(tenant(&last(&upstreams).await), *expected, "{way}: {url}");
                *records += page["value"].as_array().unwrap().len();
                let origin = url.split("/api/").next().unwrap();
                *next = page["@odata.nextLink"].as_str().map(str::to_owned);
                if way != "header" {
                    assert!(next.iter().all(|next| next.starts_with(origin)), "{next:?}");
                }
            }
        }
        assert_eq!(links.map(|(.., records)| records), [200, 200], "{way}");
    }
    assert_eq!(upstreams.token_requests().await, 2);
}

/// Asks for a URL of whatever name below localhost, at the proxy's address.
async fn get(proxy: &Proxy, url: &str, fields: &[(&'static str, String)]) -> Value {
    let (host, path) = url
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut all: Vec<(&str, &str)> = vec![("host", host)];
    all.extend(fields.iter().map(|(name, value)| (*name, &**value)));
    let answer = ask(proxy, "GET", &format!("/{path}"), &all).await;
    assert_eq!(answer.status, 200, "{url}: {}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_without_a_host_keep_the_customer() {
    let config = |upstreams: &Upstreams| partner(upstreams, &two());
    let text = "HTTP/1.1 201 Created\r\nLocation: /api/alerts/1\r\nLink: </api/x>; rel=next\r\nContent-Length: 0\r\n\r\n";
    let (_raw, proxy) = Raw::behind_proxy_of(config, text.into()).await;
    for (target, fields, prefix) in [
        ("/t/contoso/api/alerts", vec![], "/t/contoso"),
        (
            "/api/alerts",
            vec![("X-Defender-Tenant", "fabrikam")],
            "/t/Fabrikam",
        ),
        ("/api/alerts", vec![("Host", "contoso.localhost")], ""),
    ] {
        let answer: Answer = ask(&proxy, "POST", target, &fields).await;
        assert_eq!(answer.header("location"), format!("{prefix}/api/alerts/1"));
        assert_eq!(answer.header("link"), format!("<{prefix}/api/x>; rel=next"));
    }
}
