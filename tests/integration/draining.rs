//! Stopping with much under way: what can end in the grace time does, what can't is cut off visibly, and the program ends well.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    support::{PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, h2c},
};

fn grace(time: &str) -> String {
    format!("\n[limits]\ngrace = \"{time}\"\n")
}

async fn refused(proxy: &Proxy) {
    let closed = async { while TcpStream::connect(proxy.address()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("a closed listener");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_ends_is_cut_off_visibly_at_the_end_of_the_grace_time() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&grace("3s")).await;
    let mut cut = Vec::new();
    let mut upstreams = Vec::new();
    for (version, framing) in [
        ("1.1", "Content-Length: 10\r\n\r\nabc"),
        ("1.1", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        ("1.0", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "GET /api/raw HTTP/{version}\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        client.head().await;
        upstreams.push(upstream);
        cut.push((version, framing, client));
    }
    let uri = format!("{}/api/raw", proxy.url);
    let asking = tokio::spawn(h2c::<Full<Bytes>>().get(uri.parse().unwrap()));
    let mut last = raw.accept().await;
    last.head().await;
    last.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    let stream = asking.await.unwrap().unwrap();
    // Clients that send half of a request, and a body that doesn't end.
    let mut half = Wire::connect(&proxy).await;
    half.send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
        .await;
    let mut waiting = raw.accept().await;
    waiting.head().await;
    // This one can end, and does.
    let mut whole = Wire::connect(&proxy).await;
    whole
        .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut ending = raw.accept().await;
    ending.head().await;
    ending
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        .await;
    whole.head().await;

    let began = Instant::now();
    proxy.signal("TERM");
    refused(&proxy).await;
    ending.send("cd").await;
    assert_eq!(whole.take(4).await, b"abcd");
    let code = tokio::time::timeout(PATIENCE, proxy.exit_code()).await;
    assert_eq!(code.expect("an exit"), Some(0));
    assert!(began.elapsed() >= Duration::from_secs(2), "too early");
    for (version, framing, client) in &mut cut {
        let ended = client.end().await;
        if *version == "1.0" {
            assert!(ended.is_err(), "HTTP/1.0, {framing:?}: an orderly end");
        } else {
            let rest = client.rest().await;
            assert!(!rest.contains("0\r\n\r\n"), "{framing:?}: {rest:?}");
        }
    }
    assert!(stream.into_body().collect().await.is_err(), "HTTP/2: whole");
    assert_eq!(half.rest().await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_token_or_a_place_is_served_within_the_grace_time() {
    let upstreams = Upstreams::start().await;
    let config = format!("{}{}requests = 1\n", upstreams.config(), grace("60s"));
    let proxy = Proxy::start(&upstreams, &config);
    upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Wire::connect(&proxy).await;
        client
            .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        clients.push(client);
    }
    upstreams.wait("held=token").await;
    proxy.signal("TERM");
    refused(&proxy).await;
    upstreams.release("token").await;
    for client in &mut clients {
        let (head, body) = client.message().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(body.contains("/api/sandbox/echo"), "cut off: {body}");
        assert_eq!(client.rest().await, "");
    }
    let code = tokio::time::timeout(PATIENCE, proxy.exit_code()).await;
    assert_eq!(code.expect("an exit"), Some(0));
}

/// To a client of HTTP/1.0 an end in order is the end of the body; and when upstream's answer is over, the last of it may wait in the
/// program for a client that reads slowly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_length_that_is_cut_off_does_not_look_whole() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&grace("500ms")).await;
    let mut asked = Vec::new();
    for bytes in (400_000..720_000).step_by(16_000) {
        let mut client = Wire::connect(&proxy).await;
        client
            .send("GET /api/raw HTTP/1.0\r\nHost: localhost\r\n\r\n")
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = format!("{bytes:x}\r\n{}\r\n0\r\n\r\n", "1".repeat(bytes));
        upstream.send(format!("{head}{body}")).await;
        client.head().await;
        asked.push((client, upstream, bytes));
    }
    proxy.signal("TERM");
    assert_eq!(proxy.exit_code().await, Some(0));
    for (mut client, _upstream, bytes) in asked {
        match client.end().await {
            Ok(_) => assert_eq!(client.ahead(), bytes, "it looks whole"),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}
