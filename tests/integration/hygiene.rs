//! What must not pass: hop-by-hop fields, credentials, claims, ambiguous framing and ambiguous paths.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, header::HOST};
use http_body_util::{BodyExt, Full};
use serde_json::json;

use crate::{
    support::{self, Proxy},
    wire::{RawUpstream, Wire, field, h2c, names},
};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Sends a request to `/api/raw` with these lines, and returns the head that reached upstream.
async fn forwarded(proxy: &Proxy, raw: &RawUpstream, lines: &str) -> String {
    let mut client = Wire::connect(proxy).await;
    client
        .send(format!(
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n"
        ))
        .await;
    let mut upstream = raw.accept().await;
    let head = upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 OK"));
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hop_by_hop_fields_and_what_connection_names_stay_here() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let head = forwarded(
        &proxy,
        &raw,
        "Connection: keep-alive, X-One\r\nconnection:x-two ,, Upgrade, HTTP2-Settings\r\nX-One: 1\r\nX-Two: 2\r\n\
         X-Three: 3\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-T\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
    )
    .await;
    let names = names(&head);
    for gone in [
        "connection",
        "x-one",
        "x-two",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "http2-settings",
    ] {
        assert!(!names.contains(&gone.to_owned()), "{gone}: {head}");
    }
    assert_eq!(field(&head, "x-three"), Some("3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_line_cannot_take_away_what_the_proxy_adds() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let head = forwarded(
        &proxy,
        &raw,
        "Connection: authorization, via, host, accept-encoding, content-length\r\nAuthorization: Bearer mine\r\n",
    )
    .await;
    assert!(
        field(&head, "authorization")
            .unwrap()
            .starts_with("Bearer ey"),
        "{head}"
    );
    assert!(
        field(&head, "via")
            .unwrap()
            .starts_with("1.1 defender-proxy-"),
        "{head}"
    );
    assert!(
        raw.route().contains(field(&head, "host").unwrap()),
        "{head}"
    );
    assert_eq!(head.matches("uthorization:").count(), 1, "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_and_claims_of_the_client_never_reach_upstream() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let fields = [
        "Authorization",
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "X-Proxy-Key",
        "X_Proxy_Key",
        "Forwarded",
        "X-Forwarded-For",
        "X_Forwarded_For",
        "x-forwarded_host",
        "X-Forwarded-Proto",
        "X-Forwarded",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-MS-TOKEN-AAD-ACCESS-TOKEN",
        "X_MS_TOKEN_AAD_ID_TOKEN",
        "X-MS-CLIENT-PRINCIPAL",
        "Origin_",
    ];
    let lines: String = fields
        .iter()
        .map(|name| format!("{name}: WORTHLESS\r\n"))
        .collect();
    let head = forwarded(&proxy, &raw, &lines).await;
    let origin = "origin_: WORTHLESS";
    assert!(
        !head
            .to_lowercase()
            .replace(&origin.to_lowercase(), "")
            .contains("worthless"),
        "{head}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_the_request_end_here() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTrailer: Authorization, X-T\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\nAuthorization: Bearer mine\r\nX-T: 1\r\n\r\n",
        )
        .await;
    let mut upstream = raw.accept().await;
    assert_eq!(field(&upstream.head().await, "trailer"), None);
    assert_eq!(upstream.chunked().await, "3\r\nabc\r\n0\r\n\r\n");

    let frames = Full::new(Bytes::from("abc"));
    let trailers = HeaderMap::from_iter([(
        "authorization".parse().unwrap(),
        HeaderValue::from_static("Bearer mine"),
    )]);
    let body = frames.with_trailers(std::future::ready(Some(Ok(trailers))));
    let request = Request::post(format!("{}/api/raw", proxy.url))
        .body(Box::pin(body))
        .unwrap();
    let client = h2c();
    let asking = tokio::spawn(client.request(request));
    let mut upstream = raw.accept().await;
    let (head, body) = upstream.message().await;
    assert!(!head.contains("mine"), "{head}");
    assert_eq!(body, "abc");
    upstream
        .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(asking.await.unwrap().unwrap().status(), 200);
    assert_eq!(upstream.rest().await, "");
}

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
            "another version",
            "GET /api/raw HTTP/3.0\r\nHost: localhost\r\n\r\n",
        ),
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
async fn a_request_with_two_framings_is_one_request_upstream() {
    for lines in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 4\r\nConnection: content-length\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n",
    ] {
        let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n5\r\nabcde\r\n0\r\n\r\n\
                 GET /api/raw/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        let mut upstream = raw.accept().await;
        let head = upstream.head().await;
        assert_eq!(field(&head, "content-length"), None, "{head}");
        assert_eq!(field(&head, "transfer-encoding"), Some("chunked"), "{head}");
        assert_eq!(upstream.chunked().await, "5\r\nabcde\r\n0\r\n\r\n");
        upstream.send(OK).await;
        // RFC 9112 §6.3: the connection ends with this answer, so what follows is no request.
        let answer = client.rest().await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        drop(proxy);
        assert!(raw.is_idle().await);
        assert_eq!(upstream.rest().await, "", "{lines}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lenient_on_the_way_in_is_canonical_on_the_way_out() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for request in [
        "GET /api/raw HTTP/1.1\nHost: localhost\nX-A: 1\n\n",
        "\r\nGET /api/raw HTTP/1.1\r\nHost:localhost\r\nx-a:   1  \r\n\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
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
        client.send(request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 501 "), "{request}: {head}");
        assert_eq!(
            field(&head, "proxy-status"),
            Some("defender-proxy; error=http_request_error")
        );
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
async fn an_answer_says_nothing_about_upstreams_connection_or_for_our_origin() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let answering = async {
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream
            .send(
                "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nConnection: x-jump\r\nX-Hop: 1\r\nX-Jump: 1\r\n\
                 X-Stays: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nProxy-Authenticate: Basic\r\nUpgrade: h2c\r\n\
                 Trailer: X-T, Set-Cookie\r\nAlt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\n\
                 Access-Control-Allow-Origin: *\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\
                 Set-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\n\r\n",
            )
            .await;
    };
    let asking = async {
        let mut client = Wire::connect(&proxy).await;
        client
            .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\nTE: trailers\r\n\r\n")
            .await;
        (client.head().await, client.chunked().await)
    };
    let ((head, body), ()) = tokio::join!(asking, answering);
    assert_eq!(field(&head, "x-stays"), Some("1"));
    for gone in [
        "connection",
        "x-hop",
        "x-jump",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "upgrade",
        "alt-svc",
        "strict-transport-security",
        "access-control-allow-origin",
    ] {
        assert_eq!(field(&head, gone), None, "{head}");
    }
    assert!(body.starts_with("2\r\nok\r\n0\r\n"), "{body}");
    assert!(
        !body.to_lowercase().contains("set-cookie")
            && !body.to_lowercase().contains("access-control"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_back_is_refused() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let head = forwarded(&proxy, &raw, "Via: 1.1 other\r\n").await;
    let vias: Vec<&str> = head
        .lines()
        .filter_map(|line| line.strip_prefix("via: "))
        .collect();
    assert_eq!((vias.len(), vias[0]), (2, "1.1 other"), "{head}");
    let request = proxy
        .request(Method::GET, "/api/raw")
        .header("via", format!("{}, 1.0 third", vias.join(", ")));
    let answer = proxy.exchange(request.body(Full::default()).unwrap()).await;
    assert_eq!(answer.status, 502);
    assert!(answer.is_own("proxy_loop_detected"), "{answer:?}");
    drop(proxy);
    assert!(raw.is_idle().await);
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
