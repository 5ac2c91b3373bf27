//! What is asked arrives upstream as it was sent, in every version of HTTP on either side.

use bytes::Bytes;
use defender_proxy::sandbox::Options;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use crate::{
    support::{self, Proxy, Upstreams},
    wire::{Flood, RawUpstream, Wire, field, h2c},
};

/// The stand-ins with or without HTTP/2.
async fn start(http2: bool) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start_with(Options {
        http2,
        ..Options::default()
    })
    .await;
    let proxy = Proxy::start(&upstreams, &upstreams.config());
    (upstreams, proxy)
}

/// The values of a field of a recorded request.
pub(crate) fn sent<'r>(request: &'r Value, name: &str) -> Vec<&'r str> {
    let fields = request["headers"].as_array().unwrap();
    let named = fields.iter().filter(|field| field[0] == name);
    named.map(|field| field[1].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_version_of_http_comes_in_and_goes_out() {
    for (http2, version) in [(true, "HTTP/2.0"), (false, "HTTP/1.1")] {
        let (upstreams, proxy) = start(http2).await;
        let path = "/api/incidents?$top=2";

        // A client of HTTP/1.0 knows neither chunks nor keep-alive.
        let answer = proxy
            .raw(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
            .await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200 OK"), "{head}");
        assert_eq!(field(head, "transfer-encoding"), None, "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["value"].as_array().unwrap().len(), 2);

        assert_eq!(proxy.get(path).await.status, 200);
        let uri = format!("{}{path}", proxy.url).parse().unwrap();
        let answer = h2c::<Full<Bytes>>().get(uri).await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.version()),
            (200, http::Version::HTTP_2)
        );
        let again = answer.into_body().collect().await.unwrap().to_bytes();
        assert!(serde_json::from_slice::<Value>(&again).unwrap()["value"].is_array());

        let seen = upstreams.api_requests().await;
        let vias: Vec<&str> = seen.iter().map(|seen| &sent(seen, "via")[0][..4]).collect();
        assert_eq!(vias, ["1.0 ", "1.1 ", "2.0 "]);
        assert!(
            seen.iter()
                .all(|seen| seen["version"] == version && seen["target"] == path)
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_and_bodies_arrive_as_they_were_sent() {
    for http2 in [true, false] {
        let (upstreams, proxy) = start(http2).await;
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            for body in ["", r#"{"a": 1}"#] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let request = proxy.request(method.clone(), "/api/sandbox/echo/x");
                let answer = proxy
                    .exchange(request.body(Full::from(body)).unwrap())
                    .await;
                assert_eq!(answer.status, 200, "{method} {}", answer.text());
                let seen = upstreams.api_requests().await.pop().unwrap();
                assert_eq!(
                    (&seen["method"], &seen["body_bytes"]),
                    (&json!(method.as_str()), &json!(body.len()))
                );
                if method == Method::HEAD {
                    assert_eq!(answer.text(), "");
                } else {
                    assert_eq!(answer.json()["bodyBytes"], body.len());
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_keeps_its_framing() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    for (request, length, coding, body) in [
        ("GET / HTTP/1.1\r\n\r\n", None, None, ""),
        (
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            Some("0"),
            None,
            "",
        ),
        (
            "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            Some("3"),
            None,
            "abc",
        ),
        (
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            None,
            Some("chunked"),
            "3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            Some("3"),
            None,
            "abc",
        ),
    ] {
        client
            .send(request.replacen(
                "/ HTTP/1.1\r\n",
                "/api/raw HTTP/1.1\r\nHost: localhost\r\n",
                1,
            ))
            .await;
        let mut upstream = raw.accept().await;
        let head = upstream.head().await;
        assert_eq!(field(&head, "content-length"), length, "{request} {head}");
        assert_eq!(
            field(&head, "transfer-encoding"),
            coding,
            "{request} {head}"
        );
        let arrived = match coding {
            Some(_) => upstream.chunked().await,
            None => String::from_utf8(upstream.take(body.len()).await).unwrap(),
        };
        assert_eq!(arrived, body);
        upstream
            .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert_eq!(client.message().await.1, "ok");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_target_reaches_upstream_byte_for_byte() {
    for http2 in [true, false] {
        let (upstreams, proxy) = start(http2).await;
        for target in [
            "/api/sandbox/echo/findByIp(ip='10.248.240.38',timestamp=2026-01-22T08:44:05Z)",
            "/api/Sandbox/ECHO/MixedCase?$filter=severity%20eq%20'High'%20and%20id%20gt%205",
            "/api/sandbox/echo?a=b+c&d=%2F%3D&e=%3d&$top=5&%24skip=1",
            "/api/sandbox/echo/a%2Fb%2fc%3Dd+e",
            "/api/v1.0/sandbox/echo/x",
            "/api/sandbox/echo?",
            "/api/sandbox/echo?a=?b&/c=//d/../e",
            "/api/sandbox/echo/\"quoted\"{x}?r='y'&z={}|[]^`~",
            "/api/sandbox/echo/a//b/?x=%zz&y=%",
            "/api/sandbox/echo/;v=1,2:3@4!5$6*7~8/",
            "/api/sandbox/echo/caf%C3%A9?x=caf\u{e9}",
        ] {
            let answer = proxy
                .raw(format!(
                    "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
                ))
                .await;
            assert!(answer.starts_with("HTTP/1.1 200 OK"), "{target}: {answer}");
            let seen = upstreams.api_requests().await.pop().unwrap();
            assert_eq!(seen["target"], target);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn header_fields_of_the_request_pass() {
    let (upstreams, proxy) = support::start().await;
    let kept = [
        ("user-agent", "MdatpPartner-Contoso-Siem/1.2 (legacy)"),
        ("if-match", "W/\"7\""),
        ("prefer", "odata.maxpagesize=5, wait=1"),
        ("consistencylevel", "eventual"),
        ("x-ms-client-request-id", "5a9db0c5"),
        ("accept-language", "de, en;q=0.5"),
        ("content-type", "text/plain; charset=iso-8859-1"),
        ("x-empty", ""),
    ];
    let mut request = proxy.request(Method::POST, "/api/sandbox/echo");
    for (name, value) in kept {
        request = request.header(name, value);
    }
    request = request.header("x-twice", "1").header("x-twice", "2");
    assert_eq!(
        proxy
            .exchange(request.body(Full::from("x")).unwrap())
            .await
            .status,
        200
    );
    let seen = upstreams.api_requests().await.pop().unwrap();
    for (name, value) in kept {
        assert_eq!(sent(&seen, name), [value], "{name}");
    }
    assert_eq!(sent(&seen, "x-twice"), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_get_with_a_body_in_chunks_loses_nothing() {
    for http2 in [true, false] {
        let (_upstreams, proxy) = start(http2).await;
        let uri = format!("{}/api/sandbox/echo", proxy.url);
        let client = h2c::<Flood>();
        let request = Request::get(uri).body(Flood::new(1000, false)).unwrap();
        let answer = client.request(request).await.unwrap();
        let (status, body) = (answer.status(), answer.into_body().collect().await.unwrap());
        let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap();
        // Either it arrives, or the client is told.
        assert!(
            status == 400 || body["bodyBytes"] == 1000,
            "http2 upstream: {http2}, {status} {body}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_without_a_body_says_so() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for (method, length) in [
        ("POST", Some("0")),
        ("PATCH", Some("0")),
        ("GET", None),
        ("DELETE", None),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "{method} /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        let mut upstream = raw.accept().await;
        let head = upstream.head().await;
        assert_eq!(field(&head, "content-length"), length, "{head}");
        assert_eq!(field(&head, "transfer-encoding"), None, "{head}");
        upstream
            .send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 204"));
    }
}
