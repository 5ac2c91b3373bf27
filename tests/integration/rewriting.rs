//! Links that a client would follow are led back; every other byte arrives as the API sent it.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::{
    raw::Raw,
    support::{self, Answer, Proxy, Upstreams, header},
};

/// The sandbox's prose names Defender hosts and `@odata.nextLink`, also with escaped slashes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_that_looks_like_links_arrives_to_the_byte() {
    let (upstreams, proxy) = support::start().await;
    let defender = upstreams.sandbox.defender();
    let graph = upstreams.sandbox.graph();
    for (origin, target, host) in [
        (
            defender,
            "/api/alerts?$expand=evidence",
            "https://api.securitycenter.microsoft.com",
        ),
        (
            defender,
            "/api/incidents",
            "https://api.security.microsoft.com",
        ),
        (
            graph,
            "/v1.0/security/incidents?$expand=alerts",
            "https://graph.microsoft.com",
        ),
        (
            graph,
            "/beta/security/alerts",
            "https://graph.microsoft.com",
        ),
    ] {
        let answer = proxy.get(target).await;
        let direct = upstreams
            .direct(&format!("{origin}{target}"), "identity")
            .await;
        let mut expected = direct.text();
        // Looks like a link, beside those that are.
        assert!(expected.matches("nextLink").count() + expected.matches("/api/").count() > 2);
        for field in ["@odata.context", "@odata.nextLink"] {
            let link = |host: &str| format!("\"{field}\":\"{host}/");
            expected = expected.replace(&link(host), &link(&proxy.url));
        }
        assert_ne!(expected, direct.text(), "{target}");
        assert!(answer.text() == expected, "{target} was changed");
    }
}

/// Nothing in a hunting row is a control field, whatever its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hunting_rows_arrive_to_the_byte() {
    let (upstreams, proxy) = support::start().await;
    for (query, target) in [
        ("DeviceNetworkEvents | take 200", "/api/advancedhunting/run"),
        ("DeviceProcessEvents | take 200", "/api/advancedqueries/run"),
        (
            r#"print x = '{"@odata.nextLink":"https://api.security.microsoft.com/"}'"#,
            "/api/advancedhunting/run",
        ),
    ] {
        let answer = proxy
            .post(target, json!({"Query": query}).to_string())
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(
            answer.text().contains("https://api") || answer.text().contains("api-eu"),
            "{query}"
        );
        assert!(!answer.text().contains(proxy.address()), "{query}");
    }
    drop(upstreams);

    let row = r#"{"@odata.nextLink":"https://api.security.microsoft.com/a","@odata.context":"https:\/\/graph.microsoft.com\/b","deep":[{"x@odata.nextLink":"https://api.securitycenter.microsoft.com"}]}"#;
    for (target, results) in [
        ("/api/advancedhunting/run", "Results"),
        ("/API/v1.0/AdvancedHunting/Run", "Results"),
        ("/v1.0/security/runHuntingQuery", "results"),
    ] {
        let rows = format!(
            "\"{results}\":[{row},{row}],\"@odata.deltaLink\":\"https://graph.microsoft.com/d\"}}"
        );
        let body = format!("{{\"@odata.context\":\"https://graph.microsoft.com/c\",{rows}");
        let (raw, proxy) = Raw::behind_proxy(json_answer(&body)).await;
        let answer = proxy.post(target, "{}").await;
        let expected = format!("{{\"@odata.context\":\"{}/c\",{rows}", proxy.url);
        assert_eq!(answer.text(), expected, "{target}");
        drop(raw);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn download_links_with_their_own_right_stay() {
    let (upstreams, proxy) = support::start().await;
    let target = "/api/machines/SoftwareVulnerabilitiesExport?sasValidHours=2";
    let answer = proxy.get(target).await.json();
    let direct = upstreams
        .direct(
            &format!("{}{target}", upstreams.sandbox.defender()),
            "identity",
        )
        .await
        .json();
    assert_eq!(answer["exportFiles"], direct["exportFiles"]);
    let link = answer["exportFiles"][0].as_str().unwrap();
    assert!(
        link.contains(".blob.core.windows.net/") && link.contains("sig="),
        "{link}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_passes_to_the_byte() {
    let (upstreams, proxy) = support::start().await;
    let target = "/api/sandbox/download?bytes=300001&type=binary";
    let url = format!("{}{target}", upstreams.sandbox.defender());
    proxy.get("/api/machines").await;
    let plain = upstreams.direct(&url, "identity").await;
    assert_eq!(plain.body.len(), 300_001);
    let answer = ask(&proxy, Method::GET, target, None).await;
    assert!(answer.body == plain.body);
    assert_eq!(answer.header("content-encoding"), "");

    let target = "/api/alerts/$count";
    let url = format!("{}{target}", upstreams.sandbox.defender());
    let zipped = upstreams.direct(&url, "gzip").await;
    assert_eq!(zipped.header("content-encoding"), "gzip");
    // Who accepts gzip gets upstream's own, and who doesn't what is in it.
    let answer = ask(&proxy, Method::GET, target, Some("br;q=1, gzip;q=0.5")).await;
    assert_eq!(answer.header("content-encoding"), "gzip");
    assert_eq!(answer.body, zipped.body);
    assert_eq!(ask(&proxy, Method::GET, target, None).await.text(), "1000");

    // Part of a body is neither decoded nor searched.
    let part = proxy
        .request(Method::GET, target)
        .header("range", "bytes=0-9")
        .body(Full::default())
        .unwrap();
    proxy.exchange(part).await;
    let seen = upstreams.api_requests().await;
    assert_eq!(header(seen.last().unwrap(), "accept-encoding"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstream_is_asked_for_gzip_whatever_the_client_said() {
    let (upstreams, proxy) = support::start().await;
    for encoding in [
        None,
        Some("identity"),
        Some("br, zstd"),
        Some("gzip;q=0"),
        Some("gzip, deflate"),
    ] {
        let answer = ask(&proxy, Method::GET, "/api/incidents", encoding).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), "", "{encoding:?}");
        assert!(answer.json()["value"].is_array());
        assert!(
            answer
                .header("vary")
                .to_lowercase()
                .contains("accept-encoding")
        );
        // It would be the length of other bytes.
        assert_eq!(answer.header("content-length"), "");
        let seen = upstreams.api_requests().await;
        assert_eq!(
            header(seen.last().unwrap(), "accept-encoding"),
            Some("gzip")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_api_pass_as_they_are() {
    let (upstreams, proxy) = support::start().await;
    for (target, status) in [
        ("/api/machines/none", 404),
        ("/api/incidents?$top=401", 400),
    ] {
        let answer = proxy.get(target).await;
        let direct = upstreams
            .direct(
                &format!("{}{target}", upstreams.sandbox.defender()),
                "identity",
            )
            .await;
        assert_eq!(answer.status, status);
        assert_eq!(direct.status, status);
        let mut problem = answer.json();
        // A new one each time.
        problem["error"]["target"] = direct.json()["error"]["target"].clone();
        assert_eq!(problem, direct.json());
        assert_eq!(answer.header("proxy-status"), "");
        assert_eq!(answer.header("content-type"), direct.header("content-type"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_speaks_of_the_answer_that_get_would_have() {
    let (_upstreams, proxy) = support::start().await;
    for target in [
        "/api/incidents",
        "/api/alerts/$count",
        "/api/sandbox/download?bytes=1000&type=binary",
    ] {
        for encoding in [None, Some("gzip")] {
            let get = ask(&proxy, Method::GET, target, encoding).await;
            let head = ask(&proxy, Method::HEAD, target, encoding).await;
            assert_eq!(head.status, 200, "{target}");
            assert!(head.body.is_empty());
            for name in ["content-type", "content-encoding", "vary"] {
                assert_eq!(
                    head.header(name),
                    get.header(name),
                    "{target} {encoding:?} {name}"
                );
            }
            let length = head.header("content-length");
            assert!(
                length.is_empty() || length == get.body.len().to_string(),
                "{target} {length}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_in_headers_are_led_back() {
    let (raw, proxy) = Raw::behind_proxy_with(|origin| {
        format!(
            "HTTP/1.1 202 Accepted\r\nLocation: {origin}/api/actions/1?a=b#c\r\n\
             Content-Location: https://api.security.microsoft.com/api/x\r\n\
             Link: <https://api-eu.security.microsoft.com/p?2>; rel=\"next\", <https://contoso.example/>; rel=\"help\"\r\n\
             Link: <{origin}/q>; rel=prev\r\nRefresh: 5; url={origin}/r\r\nContent-Length: 0\r\n\r\n"
        )
    })
    .await;
    let answer = proxy.get("/api/machines").await;
    assert_eq!(answer.status, 202);
    let own = &proxy.url;
    assert_eq!(
        answer.header("location"),
        format!("{own}/api/actions/1?a=b#c")
    );
    assert_eq!(answer.header("content-location"), format!("{own}/api/x"));
    let links: Vec<_> = answer.headers.get_all("link").iter().collect();
    assert_eq!(
        links[0].to_str().unwrap(),
        format!("<{own}/p?2>; rel=\"next\", <https://contoso.example/>; rel=\"help\"")
    );
    assert_eq!(links[1].to_str().unwrap(), format!("<{own}/q>; rel=prev"));
    assert_eq!(answer.header("refresh"), format!("5; url={}/r", raw.origin));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_to_elsewhere_reach_the_client_and_are_not_followed() {
    for location in [
        "https://contoso.example/api/machines",
        "https://api.security.microsoft.com@contoso.example/",
        "https://api.security.microsoft.com.contoso.example/",
        "/relative?x=https://api.security.microsoft.com/",
        "//api.security.microsoft.com/x",
    ] {
        let text = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        );
        let (raw, proxy) = Raw::behind_proxy(text.into_bytes()).await;
        let answer = proxy.get("/api/machines").await;
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), location);
        assert_eq!(raw.heads().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_longer_holds_of_a_rewritten_body_is_taken_back() {
    let page =
        |host: &str| format!("{{\"value\":[1],\"odata\":2,\"@odata.nextLink\":\"{host}/n\"}}");
    let sent = page("https://api.security.microsoft.com");
    let zipped = gzip(sent.as_bytes());
    let (_raw, proxy) = Raw::behind_proxy(answer(
        "application/json\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\nVary: Origin\r\nContent-MD5: abc\r\nAccept-Ranges: bytes",
        &zipped,
    ))
    .await;
    for encoding in [None, Some("gzip")] {
        let got = ask(&proxy, Method::GET, "/api/incidents", encoding).await;
        assert_eq!(got.text(), page(&proxy.url));
        for (name, value) in [
            ("etag", "W/\"v1\""),
            ("content-encoding", ""),
            ("content-length", ""),
            ("content-md5", ""),
            ("accept-ranges", ""),
        ] {
            assert_eq!(got.header(name), value, "{name}");
        }
        let vary: Vec<_> = got.headers.get_all("vary").iter().collect();
        assert_eq!(vary, ["Origin", "accept-encoding"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_holds_of_a_body_stays() {
    let zipped = gzip(b"a;b\n1;2\n");
    let (_raw, proxy) = Raw::behind_proxy(answer(
        "text/csv\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\nContent-MD5: abc",
        &zipped,
    ))
    .await;
    let got = ask(&proxy, Method::GET, "/api/x", Some("gzip")).await;
    assert_eq!(got.body, zipped);
    for (name, value) in [
        ("etag", "\"v1\""),
        ("content-encoding", "gzip"),
        ("content-md5", "abc"),
        ("content-length", &zipped.len().to_string()),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
    let got = ask(&proxy, Method::GET, "/api/x", None).await;
    assert_eq!(got.text(), "a;b\n1;2\n");
    for (name, value) in [
        ("etag", "W/\"v1\""),
        ("content-encoding", ""),
        ("content-length", ""),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }
}

/// A corrupt or cut body must not look whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gzip_that_is_broken_breaks_the_answer() {
    let mut cut = gzip(
        json!({"value": vec!["contoso"; 5000]})
            .to_string()
            .as_bytes(),
    )
    .to_vec();
    cut.truncate(cut.len() - 6);
    let mut corrupt = gzip(b"{\"value\":[1,2,3]}").to_vec();
    let checksum = corrupt.len() - 5;
    corrupt[checksum] ^= 1;
    for body in [cut, corrupt] {
        let (_raw, proxy) =
            Raw::behind_proxy(answer("application/json\r\nContent-Encoding: gzip", &body)).await;
        let text = proxy
            .raw("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
        // If it breaks at once, not even the head need arrive.
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 200"),
            "{text}"
        );
        assert!(!text.ends_with("\r\n0\r\n\r\n"), "a clean end: {text}");
    }
}

async fn ask(proxy: &Proxy, method: Method, target: &str, encoding: Option<&str>) -> Answer {
    let mut request = proxy.request(method, target);
    if let Some(encoding) = encoding {
        request = request.header("accept-encoding", encoding);
    }
    proxy.exchange(request.body(Full::default()).unwrap()).await
}

fn json_answer(body: &str) -> Vec<u8> {
    answer("application/json", body.as_bytes())
}

/// A whole HTTP answer; `content_type` may carry more headers behind it.
fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn gzip(data: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap().into()
}
