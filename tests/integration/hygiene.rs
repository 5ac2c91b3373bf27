//! Fields that must not pass: those of one connection, credentials, claims.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};

use crate::{
    support::Proxy,
    wire::{RawUpstream, Wire, field, h2c, names},
};

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
    let lines = fields.join(": WORTHLESS\r\n") + ": WORTHLESS\r\n";
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
