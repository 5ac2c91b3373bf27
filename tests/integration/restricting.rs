//! What a route allows, however the request is spelled.

use crate::{
    guarding::{ask, assert_untouched, start},
    support,
};

const RESTRICTED: &str = "[[route]]\nprefix = \"/api/machines\"\napi = \"defender\"\nread_only = true\n\n\
    [[route]]\nprefix = \"/api/alerts\"\napi = \"defender\"\nmethods = [\"GET\", \"PATCH\"]\n\n\
    [[route]]\nprefix = \"/api/advancedhunting\"\napi = \"defender\"\nread_only = true\n\n\
    [[route]]\nprefix = \"/api/advancedqueries\"\napi = \"defender\"\nread_only = true\n\n\
    [[route]]\nprefix = \"/v1.0/security\"\napi = \"defender\"\nread_only = true\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limited_route_allows_its_methods_alone_however_the_path_is_spelled() {
    let (upstreams, proxy) = start(RESTRICTED).await;
    for (target, allow) in [
        ("/api/machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/API/Machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/v1.0/machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/Api/V1.0/MACHINES/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/v1%2e0/machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/v1.0//machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/%6dachines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/%4Dachines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/%256dachines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api//machines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/machines%2f1/isolate", "GET, HEAD, OPTIONS"),
        ("/api%2fmachines/1/isolate", "GET, HEAD, OPTIONS"),
        ("/api/machines/", "GET, HEAD, OPTIONS"),
        ("/api/machines?x=/run", "GET, HEAD, OPTIONS"),
        ("/api/machines('1')/isolate", "GET, HEAD, OPTIONS"),
        ("/api/advancedhunting/run/x", "GET, HEAD, OPTIONS"),
        ("/api/advancedhunting", "GET, HEAD, OPTIONS"),
        ("/v1.0/security/incidents/1", "GET, HEAD, OPTIONS"),
        ("/api/alerts/batchUpdate", "GET, PATCH"),
    ] {
        let answer = ask(&proxy, "POST", target, &[]).await;
        assert_eq!(answer.status, 405, "{target}: {}", answer.text());
        assert!(answer.is_own("http_request_denied"), "{answer:?}");
        assert_eq!(answer.header("allow"), allow, "{target}");
    }
    for method in ["PUT", "PATCH", "DELETE", "MERGE", "get"] {
        assert_eq!(
            ask(&proxy, method, "/api/machines/1", &[]).await.status,
            405,
            "{method}"
        );
    }
    assert_untouched(&upstreams).await;

    let query = r#"{"Query": "DeviceInfo | take 1"}"#;
    for target in [
        "/api/advancedhunting/run",
        "/API/v1.0/AdvancedHunting/run",
        "/api/advancedqueries/run",
        "/v1.0/security/runHuntingQuery",
    ] {
        let answer = proxy.post(target, query).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert_eq!(
            ask(&proxy, method, "/api/machines", &[])
                .await
                .header("proxy-status"),
            "",
            "{method}"
        );
    }
    let before = upstreams.api_calls().await;
    assert_eq!(
        ask(&proxy, "POST", "/api/machinesx", &[])
            .await
            .header("proxy-status"),
        "",
        "another resource"
    );
    assert_eq!(upstreams.api_calls().await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_cannot_change_the_method_behind_a_limited_route() {
    let (upstreams, proxy) = start(RESTRICTED).await;
    let fields = [
        ("x-http-method", "DELETE"),
        ("X-HTTP-Method-Override", "DELETE"),
        ("x_method_override", "DELETE"),
        ("x-a", "1"),
    ];
    ask(&proxy, "GET", "/api/machines", &fields).await;
    ask(&proxy, "POST", "/api/indicators", &fields).await;
    let seen = upstreams.api_requests().await;
    assert!(
        !seen[0]["headers"].to_string().contains("DELETE"),
        "{}",
        seen[0]
    );
    // Where every method is allowed, it is the client's to say.
    assert_eq!(
        seen[1]["headers"].to_string().matches("DELETE").count(),
        3,
        "{}",
        seen[1]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_without_a_route_is_404() {
    let (upstreams, proxy) = support::start().await;
    for target in [
        "/",
        "/api",
        "/apix/incidents",
        "/v1.0/users",
        "/v1.0/$batch",
        "/beta/securityx/alerts",
        "/favicon.ico",
        "/_sandbox/stats",
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(&proxy, method, target, &[]).await;
            assert_eq!(answer.status, 404, "{target}");
            assert!(answer.is_own("destination_not_found"), "{answer:?}");
        }
    }
    assert_untouched(&upstreams).await;
}
