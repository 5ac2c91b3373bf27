//! Connections without a request, which the proxy takes out of HTTP until the next one.

use tokio::time::{Instant, sleep};

use crate::{
    support::{PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire},
};

const ASK: &str = "GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn traced() -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let proxy = Proxy::start_with(&upstreams, &upstreams.config(), &["-vv"]);
    (upstreams, proxy)
}

/// Waits until connections have begun to rest so many times, all together.
async fn rests(proxy: &Proxy, times: usize) {
    let began = Instant::now();
    while proxy.log().matches("a connection rests").count() < times {
        assert!(began.elapsed() < PATIENCE, "no rest");
        sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn is_answered(client: &mut Wire) {
    let (head, _) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_rest_a_connection_goes_on() {
    let (_upstreams, proxy) = traced().await;
    let mut client = Wire::connect(&proxy).await;
    client.send(ASK).await;
    is_answered(&mut client).await;
    rests(&proxy, 1).await;

    // In two halves, and with another behind it.
    let (half, rest) = ASK.split_at(ASK.len() / 2);
    client.send(half).await;
    client.send(format!("{rest}{ASK}")).await;
    is_answered(&mut client).await;
    is_answered(&mut client).await;
    rests(&proxy, 2).await;

    client
        .send("POST /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n")
        .await;
    client.send("{}").await;
    is_answered(&mut client).await;
    rests(&proxy, 3).await;

    client.send("GET / HTTP/1.1\nHost: localhost\n\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_may_come_before_the_rest() {
    let (_upstreams, proxy) = traced().await;
    let mut client = Wire::connect(&proxy).await;
    let (half, rest) = ASK.split_at(ASK.len() / 2);
    client.send(format!("{ASK}{half}")).await;
    is_answered(&mut client).await;
    rests(&proxy, 1).await;
    client.send(rest).await;
    is_answered(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_asked_does_not_rest() {
    let (upstreams, raw) = (Upstreams::start().await, RawUpstream::bind().await);
    let config = format!("{}\n{}", upstreams.config(), raw.route());
    let proxy = Proxy::start_with(&upstreams, &config, &["-vv"]);
    let (mut asking, mut idle) = (Wire::connect(&proxy).await, Wire::connect(&proxy).await);
    asking
        .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    // The proxy answers this one by itself.
    idle.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(idle.message().await.0.starts_with("HTTP/1.1 404 "));
    rests(&proxy, 1).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        .await;
    assert_eq!(asking.message().await.1, "hi");
    rests(&proxy, 2).await;
}
