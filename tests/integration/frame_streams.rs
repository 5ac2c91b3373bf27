//! Many streams on one connection to upstream: an answer reaches the client it is for, and no other, whatever happens beside it.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    frame_clients::{get, outcome},
    frame_servers::{OK, good, head, last, trusted},
    frames::*,
    load::Http2,
    support::{PATIENCE, Proxy, Upstreams},
    wire::{Flood, h2c},
};

/// An upstream over TLS that the test plays, one connection at a time.
struct Upstream {
    proxy: Proxy,
    listener: TcpListener,
    tls: TlsAcceptor,
    _upstreams: Upstreams,
}

impl Upstream {
    /// Behind every path below `/api/raw` of a new proxy.
    async fn start() -> Self {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = trusted(&upstreams);
        let route = format!(
            "[[route]]\nprefix = \"/api/raw\"\nupstream = \"https://localhost:{}\"\n\
             audience = \"https://api.securitycenter.microsoft.com\"\n",
            listener.local_addr().unwrap().port()
        );
        let proxy = Proxy::start(&upstreams, &format!("{}\n{route}", upstreams.config()));
        Self {
            proxy,
            listener,
            tls,
            _upstreams: upstreams,
        }
    }

    /// The proxy's next connection.
    async fn accept(&self) -> Peer<TlsStream<TcpStream>> {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        let (stream, _) = accepted.expect("a connection").unwrap();
        let mut peer = Peer::new(self.tls.accept(stream).await.unwrap());
        peer.preface().await.unwrap();
        peer.send(settings(&[(3, 10_000)])).await;
        peer
    }

    fn post(&self, body: String) -> Request<Full<Bytes>> {
        let request = self.proxy.request(Method::POST, "/api/raw/x");
        request.body(Full::from(body)).unwrap()
    }

    /// Is no other connection waiting? One of our own would come behind it.
    async fn is_idle(&self) -> bool {
        let address = self.listener.local_addr().unwrap();
        let own = TcpStream::connect(address).await.unwrap();
        let (_, first) = self.listener.accept().await.unwrap();
        first == own.local_addr().unwrap()
    }
}

/// The stream of the next request.
async fn asked(upstream: &mut Peer<TlsStream<TcpStream>>) -> u32 {
    upstream.next_of(HEADERS).await.expect("a request").stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_reaches_its_own_client() {
    const COUNT: usize = 80;
    let played = Upstream::start().await;
    let client = Http2::connect(&played.proxy).await;
    let pending: Vec<_> = (0..COUNT)
        .map(|index| client.send(played.post(format!("body {index}"))))
        .collect();
    let mut upstream = played.accept().await;
    let mut bodies = BTreeMap::<u32, Vec<u8>>::new();
    let mut whole = 0;
    while whole < COUNT {
        let frame = upstream.next().await.unwrap();
        upstream.acknowledge(&frame).await;
        if frame.kind == DATA {
            bodies
                .entry(frame.stream)
                .or_default()
                .extend(&frame.payload);
        }
        if matches!(frame.kind, DATA | HEADERS) && frame.has(END_STREAM) {
            whole += 1;
        }
    }
    // The last asked is answered first, and a piece at a time.
    for stream in bodies.keys().rev() {
        upstream.send(head(*stream, &[OK])).await;
    }
    for at in 0..10 {
        for (stream, body) in &bodies {
            if let Some(piece) = body.get(at..=at) {
                upstream.send(frame(DATA, 0, *stream, piece)).await;
            }
        }
    }
    for stream in bodies.keys().rev() {
        upstream.send(last(*stream, "")).await;
    }
    for (index, answer) in pending.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap().text(), format!("body {index}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_to_a_large_upload_arrives() {
    let played = Upstream::start().await;
    let url = format!("{}/api/raw/x", played.proxy.url);
    let request = Request::post(url).body(Flood::new(64 << 20, true)).unwrap();
    let asking = tokio::spawn(h2c().request(request));
    let mut upstream = played.accept().await;
    let stream = asked(&mut upstream).await;
    upstream.next_of(DATA).await.unwrap();
    // RFC 9113 §8.1: the rest of the request is not wanted.
    upstream
        .send([good(stream), reset(stream, NO_ERROR)].concat())
        .await;
    let answer = timeout(PATIENCE, asking).await.expect("no hang").unwrap();
    let body = answer.unwrap().into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_frames_for_clients_that_went_end_no_other_request() {
    /// More than are remembered, and more than `h2` would put up with.
    const GONE: usize = 2_200;
    let played = Upstream::start().await;
    let mut client = Peer::connect(&played.proxy).await;
    let ask = |stream| {
        let authority = (":authority", "localhost");
        let pseudo = [(":method", "GET"), (":scheme", "http"), authority];
        get(stream, &[&pseudo[..], &[(":path", "/api/raw/x")]].concat())
    };
    client.send(ask(1)).await;
    let mut upstream = played.accept().await;
    let neighbour = asked(&mut upstream).await;
    let (mut gone, mut next) = (Vec::new(), 3);
    while gone.len() < GONE {
        let streams: Vec<u32> = (0..50).map(|index| next + 2 * index).collect();
        next += 100;
        client
            .send(streams.iter().flat_map(|id| ask(*id)).collect::<Vec<_>>())
            .await;
        for _ in &streams {
            gone.push(asked(&mut upstream).await);
        }
        let resets = streams.iter().flat_map(|id| reset(*id, CANCEL));
        client.send(resets.collect::<Vec<_>>()).await;
        for _ in &streams {
            upstream.next_of(RST_STREAM).await.unwrap();
        }
    }
    for stream in gone {
        upstream.send(head(stream, &[OK])).await;
    }
    upstream.send(good(neighbour)).await;
    assert_eq!(
        outcome(&mut client, 1).await,
        crate::frame_clients::Outcome::Status(200)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_away_ends_what_was_not_taken_and_no_more() {
    let played = Upstream::start().await;
    let client = Http2::connect(&played.proxy).await;
    let taken = client.send(played.post("1".into()));
    let mut upstream = played.accept().await;
    let first = asked(&mut upstream).await;
    let late = client.send(played.post("2".into()));
    assert_eq!(asked(&mut upstream).await, first + 2);
    upstream.send(go_away(first, NO_ERROR)).await;
    let late = late.await.unwrap();
    assert!(late.is_own("connection_terminated"), "{late:?}");
    upstream.send(good(first)).await;
    assert_eq!(taken.await.unwrap().text(), "ok");
    // What comes next has a new connection.
    let next = client.send(played.post("3".into()));
    let mut upstream = played.accept().await;
    let stream = asked(&mut upstream).await;
    // It may have been taken, so it is not sent again.
    upstream.send(go_away(stream, NO_ERROR)).await;
    drop(upstream);
    let next = next.await.unwrap();
    assert_eq!(next.status, StatusCode::BAD_GATEWAY, "{next:?}");
    assert!(played.is_idle().await, "it was sent again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_upstream_hold_requests_back() {
    let played = Upstream::start().await;
    let client = Http2::connect(&played.proxy).await;
    let warm = client.send(played.post("1".into()));
    let mut upstream = played.accept().await;
    let stream = asked(&mut upstream).await;
    // No more streams, no window.
    upstream.send(settings(&[(3, 0), (4, 0)])).await;
    assert!(upstream.has_read_all().await);
    upstream.send(good(stream)).await;
    assert_eq!(warm.await.unwrap().text(), "ok");
    let held = client.send(played.post("2".into()));
    assert!(upstream.has_read_all().await);
    upstream.send(settings(&[(3, 10)])).await;
    let stream = asked(&mut upstream).await;
    assert!(upstream.has_read_all().await);
    upstream.send(settings(&[(4, 100)])).await;
    let body = upstream.next_of(DATA).await.unwrap();
    assert_eq!((body.stream, &*body.payload), (stream, &b"2"[..]));
    upstream.send(good(stream)).await;
    assert_eq!(held.await.unwrap().text(), "ok");
}
