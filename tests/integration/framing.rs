//! Requests and answers that can be read in two ways.

use bytes::Bytes;
use http::{Method, header::HOST};
use http_body_util::Full;
use serde_json::json;

use crate::{
    support::{self},
    wire::{RawUpstream, Wire, field, h2c, names},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_or_malformed_requests_are_refused() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for (what, request) in [
        (
            "two lengths",
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        ),
        (
            "a list of lengths",
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3, 4\r\n\r\nabcd",
        ),
        (
            "a signed length",
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc",
        ),
        (
            "a folded line",
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n Authorization: 2\r\n\r\n",
        ),
        (
            "a space before the colon",
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A : 1\r\n\r\n",
        ),
        (
            "a bare CR",
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: 1\rX-B: 2\r\n\r\n",
        ),
        (
            "a NUL",
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: 1\0\r\n\r\n",
        ),
        (
            "chunked is not last",
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        ),
        (
            "an unknown coding",
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "chunks in HTTP/1.0",
            "POST /api/raw HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("no version", "GET /api/raw\r\n\r\n"),
        (
            "a target that is no path",
            "GET api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (
            "an asterisk",
            "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (
            "a fragment",
            "GET //localhost/api/raw#x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (
            "a space in the target",
            "GET /api/raw x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client.send(request).await;
        let head = client.head().await;
        assert!(
            head.starts_with("HTTP/1.1 400 ") || head.starts_with("HTTP/1.0 400 "),
            "{what}: {head}"
        );
    }
    let many = "X-A: 0123456789\r\n".repeat(10_000);
    let answer = proxy
        .raw(format!(
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{many}\r\n"
        ))
        .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    drop(proxy);
    assert!(raw.is_idle().await, "one of them was forwarded");
    assert_eq!(upstreams.token_requests().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lenient_on_the_way_in_is_canonical_on_the_way_out() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for request in [
        "\r\nGET /api/raw HTTP/1.1\r\nHost:localhost\r\nx-a:   1  \r\n\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nContent-Length: 03\r\n\r\nabc",
    ] {
        let mut client = Wire::connect(&proxy).await;
        client.send(request).await;
        let mut upstream = raw.accept().await;
        let (head, body) = upstream.message().await;
        assert_eq!(
            head.matches('\n').count(),
            head.matches("\r\n").count(),
            "{head:?}"
        );
        assert_eq!(field(&head, "x-a"), Some("1"), "{head:?}");
        assert_eq!(
            names(&head)
                .iter()
                .filter(|name| *name == "content-length")
                .count(),
            body.len() / 3
        );
        assert_eq!(body, request[request.len() - body.len()..]);
        upstream
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .await;
        client.head().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_that_could_leave_their_route_reach_nothing() {
    let (upstreams, proxy) = support::start().await;
    for path in [
        "/api/../v1.0/security/x",
        "/api/incidents/..",
        "/api/./incidents",
        "/api/%2e%2e/x",
        "/api/%2E%2e%2Fx",
        "/api/incidents/%2e%2e%2f%2e%2e%2fx",
        "/api/..%2fx",
        "/api/%252e%252e/x",
        "/api/incidents/..;/x",
        "/api\\incidents",
        "/api/..\\x",
        "/api/%5c..%5cx",
        "//contoso.example/api/incidents",
        "///api/incidents",
    ] {
        let answer = proxy
            .raw(format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{path}: {answer}");
    }
    for path in ["/.", "/..", "/api/%2e%2e/x", "/api/incidents/.."] {
        let uri = format!("{}{path}", proxy.url).parse().unwrap();
        assert_eq!(
            h2c::<Full<Bytes>>().get(uri).await.unwrap().status(),
            400,
            "{path}"
        );
    }
    assert_eq!(
        (
            upstreams.api_calls().await,
            upstreams.token_requests().await
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_echoes_and_upgrades_are_refused() {
    let (upstreams, proxy) = support::start().await;
    for request in [
        "CONNECT api.security.microsoft.com:443 HTTP/1.1\r\nHost: api.security.microsoft.com:443\r\n\r\n",
        "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
        "TRACE /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/incidents HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /api/incidents HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n",
    ] {
        let mut client = Wire::connect(&proxy).await;
        // What a client sends into a tunnel is no request.
        client
            .send(format!(
                "{request}GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 501 "), "{request}: {head}");
        assert_eq!(
            field(&head, "proxy-status"),
            Some("defender-proxy; error=http_request_error")
        );
        assert_eq!(field(&head, "connection"), Some("close"), "{request}");
        let rest = client.rest().await;
        assert!(!rest.contains("HTTP/1.1"), "{request}: {rest}");
    }
    assert_eq!(upstreams.api_calls().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_in_absolute_form_is_for_this_host_only() {
    let (upstreams, proxy) = support::start().await;
    for (target, host, status) in [
        (
            "http://localhost:1/api/sandbox/echo?a=%2F",
            "localhost:1",
            200,
        ),
        ("http://localhost:1/api/sandbox/echo", "localhost:2", 400),
        (
            "http://contoso.example/api/sandbox/echo",
            "contoso.example",
            421,
        ),
        ("http://contoso.example/api/sandbox/echo", "localhost", 400),
        (
            "http://localhost@contoso.example/api/sandbox/echo",
            "localhost",
            400,
        ),
        ("ftp://localhost/api/sandbox/echo", "localhost", 400),
    ] {
        let answer = proxy
            .raw(format!(
                "GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ))
            .await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{target}: {answer}"
        );
    }
    // In HTTP/2 the host has a field of its own.
    let request = proxy
        .request(Method::GET, "/api/sandbox/echo")
        .header(HOST, "contoso.example");
    let answer = h2c::<Full<Bytes>>()
        .request(request.body(Full::default()).unwrap())
        .await;
    assert_eq!(answer.unwrap().status(), 400);
    let seen = upstreams.api_requests().await;
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["target"], "/api/sandbox/echo?a=%2F");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_nobody_asked_for_is_given_to_nobody() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let first = async {
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await;
        upstream
    };
    let (answer, mut upstream) = tokio::join!(proxy.get("/api/raw/1"), first);
    assert_eq!(answer.text(), "one");
    // The connection is given up as soon as the surplus is seen.
    assert_eq!(upstream.rest().await, "");
    let second = async {
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream
            .send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
            .await;
    };
    let (answer, ()) = tokio::join!(proxy.get("/api/raw/2"), second);
    assert_eq!(answer.text(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_with_two_lengths_is_no_answer() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 2\r\n\r\nab",
        "garbage\r\n\r\n",
    ] {
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send(answer).await;
        };
        let (got, ()) = tokio::join!(proxy.get("/api/raw"), answering);
        assert_eq!(got.status, 502, "{answer}: {got:?}");
        assert!(got.is_own("http_protocol_error"), "{answer}: {got:?}");
        assert_eq!(got.json()["status"], json!(502));
    }
}
