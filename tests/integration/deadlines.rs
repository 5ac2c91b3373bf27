//! What doesn't come in time, and upstreams that can't be reached.

use std::{fs, time::Duration};

use bytes::Bytes;
use defender_proxy::{config::Config, sandbox::SecretSource, serve::Bound, server::Limits};
use http_body_util::Full;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    time::timeout,
};

use crate::{
    support::{PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, h2c},
};

/// A proxy with one more route, `/api/other`.
async fn with_route(origin: &str, keys: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}{keys}\n[[route]]\nprefix = \"/api/other\"\nupstream = \"{origin}\"\n\
         audience = \"https://api.securitycenter.microsoft.com\"\n",
        upstreams.config()
    );
    let proxy = Proxy::start(&upstreams, &config);
    (upstreams, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_refuses_connections_is_502() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let (_upstreams, proxy) = with_route(&format!("{scheme}://{address}"), "").await;
        let answer = proxy.get("/api/other").await;
        assert_eq!(answer.status, 502);
        assert!(answer.is_own("connection_refused"), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_whose_certificate_is_not_trusted_gets_no_token() {
    // Like ours in all but the authority that signed it.
    let other = Upstreams::start().await;
    let (_upstreams, proxy) = with_route(other.sandbox.defender(), "").await;
    let answer = proxy.get("/api/other").await;
    assert_eq!(answer.status, 502);
    assert!(answer.is_own("tls_certificate_error"), "{answer:?}");
    assert!(answer.text().contains("upstream.ca"), "{}", answer.text());
    assert_eq!(other.api_calls().await, 0);
    // The right authority, another name.
    let upstreams = Upstreams::start().await;
    let named = upstreams
        .sandbox
        .defender()
        .replace("localhost", "[::ffff:127.0.0.1]");
    let config = format!(
        "{}\n[[route]]\nprefix = \"/api/other\"\nupstream = \"{named}\"\naudience = \"https://graph.microsoft.com\"\n",
        upstreams.config()
    );
    let proxy = Proxy::start(&upstreams, &config);
    let answer = proxy.get("/api/other").await;
    assert!(answer.is_own("tls_certificate_error"), "{answer:?}");
    assert_eq!(upstreams.api_calls().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_is_silent_is_504_and_is_left() {
    let (_upstreams, proxy, raw) =
        RawUpstream::behind_proxy_with("response_timeout = \"1s\"").await;
    let answering = async {
        let mut upstream = raw.accept().await;
        upstream.message().await;
        // Sent no answer, it is hung up on: nothing may come of this request later.
        assert_eq!(upstream.rest().await, "");
    };
    let (answer, ()) = tokio::join!(proxy.post("/api/raw", "{}"), answering);
    assert_eq!(answer.status, 504);
    assert!(answer.is_own("http_response_timeout"), "{answer:?}");
    assert!(raw.is_idle().await, "sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_upload_is_not_taken_for_a_silent_upstream() {
    let (_upstreams, proxy, raw) =
        RawUpstream::behind_proxy_with("response_timeout = \"1s\"").await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    for byte in b"slow!" {
        client.send([*byte]).await;
        assert_eq!(upstream.take(1).await, [*byte]);
        // Nothing comes before the answer does: the pause is what is tested, half of what is allowed.
        assert!(
            timeout(Duration::from_millis(500), client.head())
                .await
                .is_err()
        );
    }
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_is_not_cut_off() {
    let (_upstreams, proxy, raw) =
        RawUpstream::behind_proxy_with("response_timeout = \"5s\"").await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        .await;
    client.head().await;
    assert_eq!(client.take(2).await, b"ab");
    assert!(
        timeout(Duration::from_millis(1500), client.take(1))
            .await
            .is_err()
    );
    upstream.send("cd").await;
    assert_eq!(client.take(2).await, b"cd");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_shake_hands_is_504() {
    // The kernel takes the connection, and nobody ever speaks TLS on it.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", silent.local_addr().unwrap());
    let (_upstreams, proxy) = with_route(&origin, "connect_timeout = \"1s\"").await;
    let answer = proxy.get("/api/other").await;
    assert_eq!(answer.status, 504);
    assert!(answer.is_own("connection_timeout"), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_speaks_no_http_is_502() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for (answer, error) in [
        ("SSH-2.0-OpenSSH_9.9\r\n", "http_protocol_error"),
        ("\0\0\0\u{4}\u{1}\0\0\0\0", "http_protocol_error"),
        ("HTTP/1.1 abc OK\r\n\r\n", "http_protocol_error"),
        ("HTTP/1.1 200 OK\r\nX-A: 1", "connection_terminated"),
        ("", "connection_terminated"),
    ] {
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send(answer).await;
        };
        let (got, ()) = tokio::join!(proxy.get("/api/raw"), answering);
        assert_eq!(got.status, 502, "{answer:?}");
        assert!(got.is_own(error), "{answer:?}: {got:?}");
    }
}

/// A proxy inside this test, with other limits than the program has.
async fn bounded(limits: Limits) -> (Upstreams, String, oneshot::Sender<()>) {
    let upstreams = Upstreams::start().await;
    let dir = upstreams.dir.path();
    fs::write(
        dir.join("secret"),
        &upstreams.sandbox.options().client_secret,
    )
    .unwrap();
    let secret = dir.join("secret");
    let text = upstreams
        .sandbox
        .proxy_toml(&dir.join("ca.pem"), SecretSource::File(&secret));
    let file = dir.join("bounded.toml");
    fs::write(
        &file,
        format!("{text}\n[listen]\naddress = \"127.0.0.1:0\"\n"),
    )
    .unwrap();
    let config = Config::load(Some(&file), &|_| None).unwrap();
    let bound = Bound::new(&config, limits).await.unwrap();
    let address = bound.url().strip_prefix("http://").unwrap().to_owned();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(bound.run(async {
        let _ = stopped.await;
    }));
    (upstreams, address, stop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_asks_for_nothing_is_hung_up_on() {
    let (_upstreams, address, _stop) = bounded(Limits {
        first_request: Duration::from_millis(300),
        idle: Duration::from_mins(10),
        ..Limits::default()
    })
    .await;
    for begun in [
        "",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "G",
        "GET /api/incidents HTTP/1.1\r\nHost: l",
    ] {
        let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
        client.send(begun).await;
        // Reset or not, it ends.
        let _ = client.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_asked_is_not_bound_by_the_first_deadline() {
    let (upstreams, address, _stop) = bounded(Limits {
        first_request: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    let late = serde_json::json!({"api": [{"delay_ms": 700, "times": 2}]});
    upstreams.faults(late).await;
    let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
    client
        .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let uri = format!("http://{address}/api/sandbox/echo")
        .parse()
        .unwrap();
    assert_eq!(h2c::<Full<Bytes>>().get(uri).await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed() {
    let (_upstreams, address, _stop) = bounded(Limits {
        idle: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    for begun in ["", "GET /nowhere HTTP/1.1\r\nHost: l"] {
        let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
        client
            .send("GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        assert!(client.message().await.0.starts_with("HTTP/1.1 404 "));
        client.send(begun).await;
        timeout(PATIENCE, client.rest()).await.expect("no hang");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_connections_than_allowed_wait_for_their_turn() {
    let (_upstreams, address, _stop) = bounded(Limits {
        connections: 2,
        ..Limits::default()
    })
    .await;
    let ask = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
        client.send(ask).await;
        open.push(client);
    }
    let mut third = open.pop().unwrap();
    for client in &mut open {
        assert!(client.message().await.0.starts_with("HTTP/1.1 404 "));
    }
    assert!(
        timeout(Duration::from_millis(300), third.head())
            .await
            .is_err()
    );
    open.pop();
    assert!(third.message().await.0.starts_with("HTTP/1.1 404 "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_still_in_flight_after_the_grace_time_is_cut_off() {
    let (upstreams, address, stop) = bounded(Limits {
        grace: Duration::from_millis(300),
        ..Limits::default()
    })
    .await;
    upstreams
        .faults(serde_json::json!({"api": [{"hold": "x"}]}))
        .await;
    let mut client = Wire::new(TcpStream::connect(&address).await.unwrap());
    client
        .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    upstreams.wait("held=x").await;
    drop(stop);
    assert_eq!(client.rest().await, "");
    upstreams.wait("aborted=1").await;
}
