//! What upstream answers reaches the client as it was sent, in order.

use http::Method;
use http_body_util::Full;
use serde_json::json;

use crate::{
    forwarding::sent,
    support::{self},
    wire::{RawUpstream, Wire, names},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_and_fields_of_the_answer_pass() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for (answer, status, fields) in [
        (
            "302 Found\r\nLocation: https://files.contoso.example/x?sig=1\r\nContent-Length: 0\r\n\r\n",
            302,
            vec![("location", "https://files.contoso.example/x?sig=1")],
        ),
        (
            "308 Permanent Redirect\r\nLocation: /api/raw/elsewhere\r\nContent-Length: 0\r\n\r\n",
            308,
            vec![("location", "/api/raw/elsewhere")],
        ),
        (
            "204 No Content\r\nETag: \"7\"\r\n\r\n",
            204,
            vec![("etag", "\"7\"")],
        ),
        (
            "304 Not Modified\r\nETag: W/\"7\"\r\n\r\n",
            304,
            vec![("etag", "W/\"7\"")],
        ),
        (
            "418 Teapot\r\nX-Many: 1\r\nX-Many: 2\r\nContent-Length: 3\r\n\r\ntea",
            418,
            vec![("x-many", "1")],
        ),
        (
            "503 Service Unavailable\r\nRetry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n",
            503,
            vec![("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")],
        ),
        ("599 Odd\r\nContent-Length: 0\r\n\r\n", 599, vec![]),
        // The last, as it closes the gate.
        (
            "429 Slow Down\r\nRetry-After: 17\r\nContent-Length: 4\r\n\r\nslow",
            429,
            vec![("retry-after", "17")],
        ),
    ] {
        let asking = proxy.get("/api/raw");
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            let answer = answer.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            upstream
                .send(format!(
                    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 {answer}"
                ))
                .await;
        };
        let (got, ()) = tokio::join!(asking, answering);
        assert_eq!(got.status.as_u16(), status);
        assert_eq!(got.header("proxy-status"), "", "{answer}");
        assert_eq!(got.text(), answer.split_once("\r\n\r\n").unwrap().1);
        for (name, value) in fields {
            assert_eq!(got.header(name), value);
        }
        let many = if status == 418 { 2 } else { 0 };
        assert_eq!(got.headers.get_all("x-many").iter().count(), many);
    }
    assert!(raw.is_idle().await, "a redirect was followed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_body_leaves_the_connection_usable() {
    let (upstreams, proxy) = support::start().await;
    let mut client = Wire::connect(&proxy).await;
    for (request, fault) in [
        ("HEAD /api/incidents", None),
        ("HEAD /api/sandbox/download?bytes=1000000&type=binary", None),
        ("DELETE /api/sandbox/echo", Some(204)),
        ("GET /api/incidents", Some(304)),
    ] {
        if let Some(status) = fault {
            upstreams.faults(json!({"api": [{"empty": status}]})).await;
        }
        client
            .send(format!("{request} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        let head = client.head().await;
        let status = fault.unwrap_or(200).to_string();
        assert_eq!(head.split(' ').nth(1), Some(&*status), "{head}");
        client
            .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n")
            .await;
        // Bytes of a body that should not have been sent would stand before this head.
        let (head, _) = client.message().await;
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{request}: {head}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clients_own_403_is_told_from_upstreams() {
    let (upstreams, proxy) = support::start().await;
    upstreams.settings(json!({"roles": ["Nothing.Read"]})).await;
    let theirs = proxy.get("/api/incidents").await;
    assert_eq!(theirs.status, 403);
    assert_eq!(theirs.header("proxy-status"), "");
    assert!(theirs.text().contains("roles"), "{}", theirs.text());

    let request = proxy
        .request(Method::GET, "/api/incidents")
        .header("origin", "https://contoso.example");
    let ours = proxy.exchange(request.body(Full::default()).unwrap()).await;
    assert_eq!(ours.status, 403);
    assert!(ours.is_own("http_request_denied"), "{ours:?}");
    assert_eq!(upstreams.api_calls().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_are_answered_in_order() {
    let (upstreams, proxy) = support::start().await;
    upstreams
        .faults(json!({"api": [{"hold": "first", "path": "/api/sandbox/echo/1"}]}))
        .await;
    let mut client = Wire::connect(&proxy).await;
    let request = |n: u8| {
        format!(
            "POST /api/sandbox/echo/{n} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n{n}"
        )
    };
    client
        .send([request(1), request(2), request(3)].concat())
        .await;
    upstreams.wait("held=first").await;
    upstreams.release("first").await;
    for n in 1..=3 {
        let (_, body) = client.message().await;
        assert!(
            body.contains(&format!("/api/sandbox/echo/{n}\"")),
            "{n}: {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_for_100_continue_gets_it_or_its_refusal() {
    let (upstreams, proxy) = support::start().await;
    let mut client = Wire::connect(&proxy).await;
    let head = |host: &str| {
        format!(
            "POST /api/sandbox/echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
    };
    client.send(head("localhost")).await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("12345").await;
    let (answer, body) = client.message().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(body.contains("\"bodyBytes\":5"), "{body}");
    let seen = upstreams.api_requests().await.pop().unwrap();
    assert_eq!(sent(&seen, "expect"), [""; 0]);

    let mut client = Wire::connect(&proxy).await;
    client.send(head("contoso.example")).await;
    assert!(client.head().await.starts_with("HTTP/1.1 421 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_to_an_upload_reaches_the_client() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nthe first bytes")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        .await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(body, "big");
    assert!(!names(&head).contains(&"proxy-status".to_owned()));
}
