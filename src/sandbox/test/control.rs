//! `/_sandbox/`.

use http::header::AUTHORIZATION;
use http::{Request, StatusCode, Version};
use serde_json::json;

use super::{Bench, ENDPOINT, XDR};

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
        json!({"token": 0, "api": 0, "managed": 0})
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
    assert_eq!(index["stand_in_for"], "entra");
    for listed in index["control"].as_array().unwrap() {
        let path = listed["path"].as_str().unwrap();
        let reply = bench
            .control(path.trim_start_matches("/_sandbox/"), &json!({"x": 1}))
            .await;
        assert_ne!(reply.status, StatusCode::NOT_FOUND, "{path}");
    }
}
