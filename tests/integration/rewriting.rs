//! Links that a client would follow are led back; every other byte arrives as the API sent it.

use serde_json::json;

use crate::{
    raw::{Raw, answer},
    support,
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

fn json_answer(body: &str) -> Vec<u8> {
    answer("application/json", body.as_bytes())
}
