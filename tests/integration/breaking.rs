//! Connections that break: on either side it is seen on the other, and nothing cut short looks whole.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{
    support::{self, PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, field, h2c},
};

/// How soon upstream must know that its client has gone. It takes some milliseconds; the machine may be busy.
const SOON: Duration = Duration::from_secs(5);

/// Waits until the stand-ins have seen another request given up.
async fn given_up(upstreams: &Upstreams, so_far: u64, what: &str) {
    let start = Instant::now();
    let condition = format!("aborted={}", so_far + 1);
    timeout(SOON, upstreams.wait(&condition)).await.expect(what);
    eprintln!("{what}: upstream knew after {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_hangs_up_cancels_its_request_upstream() {
    let (upstreams, proxy) = support::start().await;
    let faults =
        json!({"api": [{"hold": "answer", "path": "/api/sandbox/echo", "times": "always"}]});
    upstreams.faults(faults).await;
    let download = "/api/sandbox/download?bytes=1000000000&type=binary";

    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    upstreams.wait("held=answer").await;
    drop(client);
    given_up(&upstreams, 0, "HTTP/1.1, waiting").await;

    let mut client = Wire::connect(&proxy).await;
    client
        .send(format!(
            "GET {download} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ))
        .await;
    client.head().await;
    client.take(100_000).await;
    drop(client);
    given_up(&upstreams, 1, "HTTP/1.1, amid the body").await;

    let client = h2c::<Full<Bytes>>();
    let uri = |path: &str| format!("{}{path}", proxy.url).parse().unwrap();
    let asking = tokio::spawn(client.get(uri("/api/sandbox/echo")));
    upstreams.wait("held=answer").await;
    asking.abort();
    given_up(&upstreams, 2, "HTTP/2, waiting").await;

    let answer = client.get(uri(download)).await.unwrap();
    let mut body = answer.into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    given_up(&upstreams, 3, "HTTP/2, amid the body").await;
    // The connection serves on.
    assert_eq!(client.get(uri("/nowhere")).await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_cut_short_is_cut_short_upstream() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for (framing, sent) in [
        ("Content-Length: 100", "0123456789"),
        ("Transfer-Encoding: chunked", "a\r\n0123456789\r\n"),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{sent}"
            ))
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        assert_eq!(upstream.take(sent.len()).await, sent.as_bytes());
        let start = Instant::now();
        drop(client);
        // Neither the last chunk nor anything else follows.
        let rest = timeout(SOON, upstream.rest()).await.expect("an end");
        eprintln!("{framing}: upstream knew after {:?}", start.elapsed());
        assert_eq!(rest, "", "{framing}");
    }
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let so_far = upstreams.stats().await["aborted"].as_u64().unwrap();
        let calls = upstreams.api_calls().await;
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!("POST /api/sandbox/upload HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\na\r\n0123456789\r\n"))
            .await;
        upstreams.wait(&format!("api_calls={}", calls + 1)).await;
        drop(client);
        given_up(&upstreams, so_far, head).await;
    }
    let stats = upstreams.stats().await;
    assert_eq!(
        stats["api_calls"]["by_status"]["200"],
        json!(null),
        "{stats}"
    );
}

/// What ends an answer too early, and whether that is a plain close.
fn cut_answers() -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}},")).collect();
    gzip.write_all(format!("[{text}0]").as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let half = &gzip[..gzip.len() / 2];
    let head =
        |fields: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}\r\n").into_bytes();
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let json = "Content-Type: application/json\r\n";
    vec![
        (
            "a length",
            [head("Content-Length: 100000\r\n"), vec![b'x'; 50_000]].concat(),
        ),
        (
            "chunks",
            [
                head("Transfer-Encoding: chunked\r\n"),
                chunk(&[b'x'; 50_000]),
            ]
            .concat(),
        ),
        (
            "amid a chunk",
            [
                head("Transfer-Encoding: chunked\r\n"),
                b"fffff\r\nxxxxx".to_vec(),
            ]
            .concat(),
        ),
        (
            "JSON in chunks",
            [
                head(&format!("{json}Transfer-Encoding: chunked\r\n")),
                chunk(b"{\"value\": [1"),
            ]
            .concat(),
        ),
        (
            "gzip of a length",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                    gzip.len()
                )),
                half.to_vec(),
            ]
            .concat(),
        ),
        // Framed as whole, but the compressed data isn't.
        (
            "gzip cut inside",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                    half.len()
                )),
                half.to_vec(),
            ]
            .concat(),
        ),
        (
            "gzip cut inside chunks",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
                )),
                chunk(half),
                b"0\r\n\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "gzip without its end, up to the close",
            [
                head(&format!("{json}Content-Encoding: gzip\r\n")),
                half.to_vec(),
            ]
            .concat(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_short_is_cut_short_for_every_client() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let client = h2c::<Full<Bytes>>();
    for (what, answer) in cut_answers() {
        let answering = async || {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send(&answer).await;
        };
        let asking = proxy
            .client
            .get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, ()) = tokio::join!(asking, answering());
        let body = timeout(PATIENCE, got.unwrap().into_body().collect())
            .await
            .expect("no hang");
        assert!(body.is_err(), "{what}, HTTP/1.1: {body:?}");

        let asking = client.get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, ()) = tokio::join!(asking, answering());
        let body = timeout(PATIENCE, got.unwrap().into_body().collect())
            .await
            .expect("no hang");
        assert!(body.is_err(), "{what}, HTTP/2: {body:?}");

        // With neither length nor chunks, a client of HTTP/1.0 takes a close for the end: it must get a reset.
        let asking = async {
            let mut client = Wire::connect(&proxy).await;
            client
                .send("GET /api/raw HTTP/1.0\r\nHost: localhost\r\n\r\n")
                .await;
            let head = client.head().await;
            (head, client.end().await)
        };
        let ((head, end), ()) = tokio::join!(asking, answering());
        assert!(
            field(&head, "content-length").is_some() || end.is_err(),
            "{what}, HTTP/1.0: {head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_http2_that_breaks_off_breaks_the_answer() {
    let (upstreams, proxy) = support::start().await;
    let client = h2c::<Full<Bytes>>();
    for path in [
        "/api/incidents",
        "/api/sandbox/download?bytes=1000000&type=binary",
        "/api/sandbox/download?bytes=1000000&type=json",
    ] {
        for fault in [
            json!({"reset": "mid-body", "times": 3}),
            json!({"truncate": 5000, "times": 3}),
        ] {
            upstreams.faults(json!({"api": [fault]})).await;
            for client in [&proxy.client, &client] {
                let answer = client
                    .get(format!("{}{path}", proxy.url).parse().unwrap())
                    .await
                    .unwrap();
                assert_eq!(answer.status(), 200);
                assert!(
                    answer.into_body().collect().await.is_err(),
                    "{path} {fault}"
                );
            }
            let mut old = Wire::connect(&proxy).await;
            old.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
                .await;
            let head = old.head().await;
            let end = old.end().await;
            assert!(
                field(&head, "content-length").is_some() || end.is_err(),
                "{path} {fault} {head}"
            );
        }
    }
    assert!(proxy.log().contains("end=\"cut\""), "{}", proxy.log());
}

/// Runs curl against a path, and returns its exit code.
async fn curl(proxy: &Proxy, args: &[&str], path: &str) -> Option<i32> {
    let mut command = Command::new("curl");
    command
        .args(["-s", "-o", "/dev/null", "--max-time", "30"])
        .args(args);
    command.arg(format!("{}{path}", proxy.url));
    command.status().await.expect("curl is installed").code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sees_that_an_answer_was_cut_short() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    assert_eq!(curl(&proxy, &[], "/api/incidents").await, Some(0));
    for (what, answer) in cut_answers() {
        for (args, codes) in [
            (&[][..], &[18][..]),
            (&["--http2-prior-knowledge"], &[92, 18]),
            (&["--http1.0"], &[56, 18]),
        ] {
            let answering = async {
                let mut upstream = raw.accept().await;
                upstream.head().await;
                upstream.send(&answer).await;
            };
            let (code, ()) = tokio::join!(curl(&proxy, args, "/api/raw"), answering);
            assert!(codes.contains(&code.unwrap()), "{what} {args:?}: {code:?}");
        }
    }
    upstreams
        .faults(json!({"api": [{"reset": "mid-body"}]}))
        .await;
    assert_eq!(curl(&proxy, &[], "/api/incidents").await, Some(18));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_is_whole_unless_it_was_reset() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for reset in [false, true] {
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send("HTTP/1.0 200 OK\r\n\r\nall of it").await;
            upstream
        };
        let asking = proxy
            .client
            .get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, upstream) = tokio::join!(asking, answering);
        let mut body = got.unwrap().into_body();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "all of it"
        );
        if reset {
            upstream.stream.set_zero_linger().unwrap();
        }
        drop(upstream);
        assert_eq!(body.collect().await.is_err(), reset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_been_executed_is_never_sent_twice() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    // On a new connection, and on one that has served before.
    for served_before in [false, true] {
        for method in ["POST", "GET", "DELETE"] {
            let answering = async {
                let mut upstream = raw.accept().await;
                if served_before {
                    upstream.message().await;
                    upstream
                        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                        .await;
                }
                assert!(upstream.message().await.0.starts_with(method));
            };
            let asking = async {
                if served_before {
                    assert_eq!(proxy.get("/api/raw").await.status, 200);
                }
                let request = proxy.request(method.parse().unwrap(), "/api/raw");
                proxy
                    .exchange(request.body(Full::from("{}")).unwrap())
                    .await
            };
            let (got, ()) = tokio::join!(asking, answering);
            assert_eq!(got.status, 502, "{method}: {}", got.text());
            assert!(got.is_own("connection_terminated"), "{got:?}");
        }
    }
    assert!(raw.is_idle().await, "a request was sent again");

    let machine = upstreams_machine(&proxy).await;
    upstreams
        .faults(json!({"api": [{"reset": "before-headers"}]}))
        .await;
    let answer = proxy
        .post(
            &format!("/api/machines/{machine}/isolate"),
            r#"{"Comment": "x", "IsolationType": "Full"}"#,
        )
        .await;
    assert!(answer.is_own("connection_terminated"), "{answer:?}");
    let stats = upstreams.stats().await;
    assert_eq!(stats["executions"]["POST isolate"], 1, "{stats}");
}

async fn upstreams_machine(proxy: &Proxy) -> String {
    let machines = proxy.get("/api/machines?$top=1").await.json();
    machines["value"][0]["id"].as_str().unwrap().to_owned()
}
