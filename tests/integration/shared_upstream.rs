//! Connections of HTTP/2 that requests share: how many there are, and how much may be on its way.

use std::{
    convert::Infallible,
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::{
    net::TcpListener,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    frame_servers::{good, trusted},
    frames::*,
    support::{PATIENCE, Proxy, Upstreams},
    wire::Wire,
};

/// A proxy whose `/api/raw` leads to this listener.
fn proxy_before(upstreams: &Upstreams, listener: &TcpListener) -> Proxy {
    let port = listener.local_addr().unwrap().port();
    let route = format!(
        "[[route]]\nprefix = \"/api/raw\"\nupstream = \"https://localhost:{port}\"\n\
         audience = \"https://api.securitycenter.microsoft.com\"\n"
    );
    Proxy::start(upstreams, &format!("{}\n{route}", upstreams.config()))
}

/// Each connection takes so many requests at a time, the least that RFC 9113 §6.5.2 recommends.
const ROOM: u32 = 100;

/// Counts its connections and the requests that it holds, until it is told to answer.
#[derive(Default)]
struct Holding {
    connections: AtomicUsize,
    held: watch::Sender<usize>,
    answers: watch::Sender<bool>,
}

impl Holding {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<String>, Infallible> {
        if request.uri().path().ends_with("/held") {
            self.held.send_modify(|held| *held += 1);
            self.answers
                .subscribe()
                .wait_for(|told| *told)
                .await
                .unwrap();
        }
        Ok(Response::new("ok".to_owned()))
    }

    async fn serve(self: Arc<Self>, listener: TcpListener, tls: TlsAcceptor) {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = tls.accept(stream).await else {
                continue;
            };
            self.connections.fetch_add(1, Ordering::Relaxed);
            let holding = Arc::clone(&self);
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let holding = Arc::clone(&holding);
                    async move { holding.answer(request).await }
                });
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(ROOM);
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_connection_is_not_the_last() {
    let upstreams = Upstreams::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = trusted(&upstreams);
    let proxy = proxy_before(&upstreams, &listener);
    let holding = Arc::<Holding>::default();
    tokio::spawn(Arc::clone(&holding).serve(listener, tls));

    let workers = available_parallelism().map_or(1, NonZero::get);
    let mut clients = Vec::new();
    for _ in 0..workers * 150 {
        let mut client = Wire::connect(&proxy).await;
        // So that its worker knows how many its connection takes.
        client
            .send("GET /api/raw/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
        clients.push(client);
    }
    for client in &mut clients {
        client
            .send("GET /api/raw/held HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
    }
    // All at once, however few each connection takes.
    let mut held = holding.held.subscribe();
    let all = timeout(PATIENCE, held.wait_for(|held| *held == clients.len()));
    all.await.expect("no hang").unwrap();
    let connections = holding.connections.load(Ordering::Relaxed);
    assert!(
        connections * ROOM as usize >= clients.len(),
        "{connections}"
    );
    holding.answers.send_replace(true);
    for client in &mut clients {
        assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
    }
}

/// What the proxy lets be on its way in one answer, as it has said so often, to an upstream that takes `trip` to answer a ping.
async fn windows(trip: Duration, count: usize) -> Vec<u32> {
    let upstreams = Upstreams::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = trusted(&upstreams);
    let proxy = proxy_before(&upstreams, &listener);
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/raw/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut peer = Peer::new(tls.accept(stream).await.unwrap());
    peer.preface().await.unwrap();
    peer.send(settings(&[])).await;
    let mut windows = Vec::new();
    while windows.len() < count {
        let frame = peer.next().await.expect("the proxy keeps the connection");
        match frame.kind {
            // The way is as long as that.
            PING if !frame.has(ACK) => sleep(trip).await,
            SETTINGS if !frame.has(ACK) => windows.extend(initial_window(&frame)),
            HEADERS => peer.send(good(frame.stream)).await,
            _ => {}
        }
        peer.acknowledge(&frame).await;
    }
    assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
    windows
}

fn initial_window(settings: &Frame) -> Option<u32> {
    let mut values = settings.payload.chunks(6);
    let value = values.find(|value| value.starts_with(&[0, 4]))?;
    Some(u32::from_be_bytes(value[2..].try_into().unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way_has_a_long_window() {
    let windows = windows(Duration::from_millis(60), 2).await;
    let (first, last) = (windows[0], windows[1]);
    assert!(
        first <= 512 * 1024,
        "{first}: what a client that stops reading costs"
    );
    // 64 MiB in a second.
    assert!(last >= 60 * 64 * 1024 * 1024 / 1000, "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_token_is_fetched_a_connection_is_opened() {
    let upstreams = Upstreams::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tls = trusted(&upstreams);
    let proxy = proxy_before(&upstreams, &listener);
    upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/raw/x HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    upstreams.wait("held=token").await;
    let accepted = timeout(PATIENCE, listener.accept());
    let (stream, _) = accepted.await.expect("no hang").unwrap();
    upstreams.release("token").await;
    let mut peer = Peer::new(tls.accept(stream).await.unwrap());
    peer.preface().await.unwrap();
    peer.send(settings(&[])).await;
    // The request comes on that one.
    let head = peer.next_of(HEADERS).await.unwrap();
    peer.send(good(head.stream)).await;
    assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
}
