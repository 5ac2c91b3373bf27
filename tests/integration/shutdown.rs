//! Stopping: at once for who is idle, after the answer for who waits for one.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    support::{self, Proxy, Upstreams},
    wire::{Wire, h2c, tls_keys},
};

/// Long enough for an exit that waits for nobody, and well below the 25 seconds that one in flight is given.
const SOON: Duration = Duration::from_secs(10);

async fn exits_cleanly(proxy: Proxy) {
    let code = timeout(SOON, proxy.exit_code()).await;
    assert_eq!(code.expect("an exit"), Some(0));
}

/// Waits until the listener is closed.
async fn refused(address: &str) {
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(SOON, closed).await.expect("a closed listener");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_in_flight_is_finished_and_no_new_one_let_in() {
    for signal in ["TERM", "INT"] {
        let (upstreams, proxy) = support::start().await;
        let faults = json!({"api": [{"hold": "late", "path": "/api/sandbox/echo", "times": 2}]});
        upstreams.faults(faults).await;
        let mut http1 = Wire::connect(&proxy).await;
        http1.send("POST /api/sandbox/echo/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc").await;
        let uri = format!("{}/api/sandbox/echo/2", proxy.url);
        let client = h2c::<Full<Bytes>>();
        let http2 = tokio::spawn(client.get(uri.parse().unwrap()));
        upstreams.wait("held=late&api_calls=2").await;

        proxy.signal(signal);
        refused(proxy.address()).await;
        upstreams.release("late").await;
        assert!(http1.head().await.starts_with("HTTP/1.1 200 OK"));
        assert!(http1.rest().await.contains("\"bodyBytes\":3"));
        let answer = http2.await.unwrap().expect("an answer");
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await.is_ok());
        exits_cleanly(proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_in_flight_is_finished() {
    let (_upstreams, proxy) = support::start().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/sandbox/download?bytes=20000000&type=binary HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = client.head().await;
    let mut upload = Wire::connect(&proxy).await;
    upload
        .send("POST /api/sandbox/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert!(upload.head().await.starts_with("HTTP/1.1 100 "));
    upload.send("abc").await;
    proxy.signal("TERM");
    refused(proxy.address()).await;
    upload.send("def").await;
    assert!(upload.head().await.starts_with("HTTP/1.1 200 OK"));
    assert!(upload.rest().await.contains("\"bytes\":6"));
    assert_eq!(client.take(20_000_000).await.len(), 20_000_000, "{head}");
    exits_cleanly(proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let (upstreams, proxy) = support::start().await;
        upstreams
            .faults(json!({"api": [{"hold": "for ever"}]}))
            .await;
        let mut client = Wire::connect(&proxy).await;
        client
            .send("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        upstreams.wait("held=for+ever").await;
        proxy.signal(first);
        refused(proxy.address()).await;
        proxy.signal(second);
        exits_cleanly(proxy).await;
        assert_eq!(client.rest().await, "");
        // Upstream learns of it too.
        upstreams.wait("aborted=1").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_delay_nothing() {
    let (_upstreams, proxy) = support::start().await;
    let mut kept = Wire::connect(&proxy).await;
    kept.send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(kept.message().await.0.starts_with("HTTP/1.1 404 "));
    let client = h2c::<Full<Bytes>>();
    let answer = client
        .get(format!("{}/nowhere", proxy.url).parse().unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 404);
    answer.into_body().collect().await.unwrap();
    let mut silent = Wire::connect(&proxy).await;
    let mut half = Wire::connect(&proxy).await;
    half.send("PRI * HTTP/2.0\r\n").await;
    let mut begun = Wire::connect(&proxy).await;
    begun.send("GET /api/incidents HTTP/1.1\r\nHost: loc").await;
    proxy.signal("TERM");
    exits_cleanly(proxy).await;
    for wire in [&mut kept, &mut silent, &mut half, &mut begun] {
        assert_eq!(wire.rest().await, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_shakes_hands_delays_nothing() {
    let upstreams = Upstreams::start().await;
    let listen = format!("[listen]\n{}", tls_keys(upstreams.dir.path()));
    let proxy = Proxy::start(&upstreams, &format!("{}\n{listen}", upstreams.config()));
    // Two, so that each worker has one; and a third, as its acceptance shows that those before it were accepted.
    let mut silent = [Wire::connect(&proxy).await, Wire::connect(&proxy).await];
    let mut plain = Wire::connect(&proxy).await;
    plain.send("GET / HTTP/1.1\r\n\r\n").await;
    plain.rest().await;
    proxy.signal("TERM");
    exits_cleanly(proxy).await;
    for wire in &mut silent {
        assert_eq!(wire.rest().await, "");
    }
}
