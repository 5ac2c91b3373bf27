//! Clients that go away, and upstreams that may have done what they were asked before they did.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    support::{self, Upstreams},
    wire::{RawUpstream, Wire, h2c},
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
        ("Transfer-Encoding: chunked", "5\r\n01234\r\n"),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{sent}"
            ))
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        let taken = upstream.take(sent.len()).await;
        assert!(taken.eq_ignore_ascii_case(sent.as_bytes()), "{taken:?}");
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

/// Answers `/api/raw/warm`, and hangs up on every other request, which it tells of, with whether the connection had served before.
async fn hang_up(raw: RawUpstream, told: mpsc::UnboundedSender<bool>) {
    loop {
        let (mut upstream, told) = (raw.accept().await, told.clone());
        tokio::spawn(async move {
            let mut served = false;
            while upstream.message().await.0.contains("/api/raw/warm ") {
                upstream
                    .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    .await;
                served = true;
            }
            told.send(served).unwrap();
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_been_executed_is_never_sent_twice() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let (told, mut seen) = mpsc::unbounded_channel();
    tokio::spawn(hang_up(raw, told));
    let (mut sent, mut reused) = (0, false);
    // Until it was seen on a connection that had served before, where a client is most tempted to try again.
    while !reused {
        assert!(sent < 300, "no connection was used again");
        for method in ["POST", "GET", "DELETE"] {
            assert_eq!(proxy.get("/api/raw/warm").await.status, 200);
            let request = proxy.request(method.parse().unwrap(), "/api/raw/once");
            let got = proxy
                .exchange(request.body(Full::from("{}")).unwrap())
                .await;
            assert_eq!(got.status, 502, "{method}: {}", got.text());
            assert!(got.is_own("connection_terminated"), "{got:?}");
            sent += 1;
            reused |= seen.recv().await.unwrap();
        }
    }
    assert!(seen.try_recv().is_err(), "a request was sent again");

    let machines = proxy.get("/api/machines?$top=1").await.json();
    let machine = machines["value"][0]["id"].as_str().unwrap();
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
