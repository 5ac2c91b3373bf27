//! Clients of HTTP/2 that do too much of what is allowed: it costs the proxy little, and nobody else anything.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::json;

use crate::{
    frame_clients::{
        Attacked,
        Outcome::{self, Connection, Status, Stream},
        get, good, outcome, post,
    },
    frames::*,
    wire::{RawUpstream, Wire, field, h2c},
};

const MIB: u64 = 1024;
/// How much more memory a flood may take, in KiB: what one connection may hold, and some.
const GROWTH: u64 = 40 * MIB;

/// A request that would be counted if it reached upstream.
fn flood(stream: u32) -> Vec<u8> {
    request(stream, "/api/sandbox/echo?flood")
}

fn request(stream: u32, path: &str) -> Vec<u8> {
    let [method, scheme, authority] = GET;
    get(stream, &[method, scheme, authority, (":path", path)])
}

const GET: [(&str, &str); 3] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":authority", "localhost"),
];

/// The streams that a client opens, in their order.
fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| index * 2 + 1)
}

impl Attacked {
    /// Sends all of it, reading meanwhile, and returns what came of a stream. Others are served at once, and memory stays.
    async fn flooded(&mut self, what: &str, stream: u32, bytes: &[u8]) -> Outcome {
        self.proxy.reset_peak();
        let (before, start) = (self.proxy.memory(), Instant::now());
        let mut peer = Peer::connect(&self.proxy).await;
        peer.pour(bytes).await;
        self.serves(what).await;
        let found = outcome(&mut peer, stream).await;
        let growth = self.proxy.peak_memory().saturating_sub(before);
        eprintln!(
            "{what}: {found:?}, {growth} KiB more, {:?}",
            start.elapsed()
        );
        assert!(growth < GROWTH, "{what}: {growth} KiB");
        found
    }

    /// How many of the flood reached upstream.
    async fn reached(&self) -> usize {
        let seen = self.upstreams.api_requests().await;
        let floods = seen
            .iter()
            .filter(|one| one["target"].as_str().unwrap().contains("flood"));
        floods.count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_taken_back_at_once_are_no_storm() {
    let mut attacked = Attacked::start().await;
    let pairs: Vec<u8> = streams(20_000)
        .flat_map(|stream| [flood(stream), reset(stream, CANCEL)].concat())
        .collect();
    let found = attacked.flooded("rapid reset", 0, &pairs).await;
    assert_eq!(found, Connection(ENHANCE_YOUR_CALM));
    let reached = attacked.reached().await;
    eprintln!("{reached} of 20,000 reached upstream");
    assert!(reached < 200, "{reached}");

    let bytes: Vec<u8> = streams(20_000)
        .flat_map(|stream| [flood(stream), window_update(stream, 0)].concat())
        .collect();
    let found = attacked.flooded("window updates of 0", 0, &bytes).await;
    assert_eq!(found, Connection(PROTOCOL_ERROR));
    // Errors that make the proxy take requests back, one by one.
    let overflows: Vec<u8> = streams(500)
        .flat_map(|stream| [post(stream, &[]), window_update(stream, (1 << 31) - 1)].concat())
        .collect();
    let found = attacked
        .flooded("windows that overflow", 0, &overflows)
        .await;
    assert_eq!(found, Connection(ENHANCE_YOUR_CALM));
    let malformed: Vec<u8> = streams(500)
        .flat_map(|stream| get(stream, &[(":method", "GET")]))
        .collect();
    let found = attacked.flooded("malformed requests", 0, &malformed).await;
    assert_eq!(found, Connection(ENHANCE_YOUR_CALM));
    attacked.end("requests taken back").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_cost_little() {
    let mut attacked = Attacked::start().await;
    let ok = [Status(200)];
    let calm = [Connection(ENHANCE_YOUR_CALM)];
    let open = post(1, &[(":path", "/api/sandbox/upload")]);
    for (what, bytes, expected) in [
        ("PING", frame(PING, 0, 0, [1; 8]).repeat(100_000), &ok[..]),
        (
            "PING acknowledgements",
            frame(PING, ACK, 0, [1; 8]).repeat(100_000),
            &ok,
        ),
        (
            "SETTINGS",
            settings(&[(4, 70_000), (3, 1)]).repeat(100_000),
            &ok,
        ),
        ("empty SETTINGS", settings(&[]).repeat(100_000), &ok),
        (
            "PRIORITY",
            frame(PRIORITY, 0, 1, [0, 0, 0, 3, 1]).repeat(100_000),
            &ok,
        ),
        ("window updates", window_update(0, 1).repeat(100_000), &ok),
        (
            "unknown frames",
            frame(0xbb, 0, 0, [0; 100]).repeat(50_000),
            &ok,
        ),
        (
            "resets of streams that ended",
            [good(3), reset(3, CANCEL).repeat(100_000)].concat(),
            &ok,
        ),
        ("GOAWAY", go_away(0, NO_ERROR).repeat(1_000), &ok),
        (
            "empty DATA",
            [open.clone(), frame(DATA, 0, 1, "").repeat(100_000)].concat(),
            &calm,
        ),
        (
            "padded empty DATA",
            [open.clone(), frame(DATA, PADDED, 1, [0]).repeat(60_000)].concat(),
            &calm,
        ),
        (
            "empty CONTINUATIONs",
            [
                frame(HEADERS, END_STREAM, 1, ""),
                frame(CONTINUATION, 0, 1, "").repeat(100_000),
            ]
            .concat(),
            &calm,
        ),
        (
            "full CONTINUATIONs",
            [
                frame(HEADERS, END_STREAM, 1, ""),
                frame(CONTINUATION, 0, 1, block(&[("x-a", "x".repeat(16_000))])).repeat(5_000),
            ]
            .concat(),
            &calm,
        ),
    ] {
        let stream = if expected == ok { 5 } else { 0 };
        let bytes = if expected == ok {
            [bytes, good(5)].concat()
        } else {
            bytes
        };
        let found = attacked.flooded(what, stream, &bytes).await;
        assert!(expected.contains(&found), "{what}: {found:?}");
    }
    let lines = attacked.proxy.log().lines().count();
    assert!(lines < 500, "{lines} lines in the log");
    attacked.end("floods of frames").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_of_any_size_cost_little() {
    let mut attacked = Attacked::start().await;
    let [method, scheme, authority] = GET;
    let start = block(&[method, scheme, authority, (":path", "/nowhere?attack")]);
    let part = "x".repeat(15_000);
    let with = |fields: &[u8]| {
        let mut bytes = frame(HEADERS, END_STREAM, 1, &start);
        let mut parts = fields.chunks(16_000).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            bytes.extend(frame(CONTINUATION, flags, 1, part));
        }
        bytes
    };
    // A field of 4,000 bytes into the table, and then by its index.
    let mut bomb = [0x40, 1, b'x', 0x7f, 0xa1, 0x1e].to_vec();
    bomb.extend([b'x'; 4_000]);
    let indexed = |count: usize| [&*bomb, &*vec![0xbe; count]].concat();
    let too_large = [
        Status(431),
        Connection(ENHANCE_YOUR_CALM),
        Connection(COMPRESSION_ERROR),
    ];
    for (what, bytes) in [
        ("70 KB of fields", with(&block(&[("x-a", &part); 5]))),
        ("200 KB of fields", with(&block(&[("x-a", &part); 13]))),
        ("2 MB of fields", with(&block(&[("x-a", &part); 130]))),
        (
            "2,500 small fields",
            with(&block(&vec![("x-a", "1"); 2_500])),
        ),
        ("30,000 fields", with(&block(&vec![("x-a", "1"); 30_000]))),
        ("a bomb of 80 KB", with(&indexed(20))),
        ("a bomb of 60 MB", with(&indexed(15_000))),
        ("a bomb of 240 MB", with(&indexed(60_000))),
    ] {
        let found = attacked.flooded(what, 1, &bytes).await;
        assert!(too_large.contains(&found), "{what}: {found:?}");
    }
    let allowed = with(&block(&[("x-a", &part); 4]));
    let found = attacked.flooded("60 KB of fields", 1, &allowed).await;
    assert_eq!(found, Status(404));
    attacked.end("heads of any size").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_streams_than_allowed_are_refused_and_the_others_served() {
    let attacked = Attacked::start().await;
    // All wait for one token.
    let held = json!({"token": [{"hold": "token"}]});
    attacked.upstreams.faults(held).await;
    let mut peer = Peer::connect(&attacked.proxy).await;
    let ask = |stream| request(stream, "/v1.0/security/incidents");
    let bytes: Vec<u8> = streams(101).flat_map(ask).collect();
    peer.send(&bytes).await;
    assert_eq!(outcome(&mut peer, 201).await, Stream(REFUSED_STREAM));
    attacked.upstreams.wait("held=token").await;
    attacked.upstreams.release("token").await;
    let mut served = 0;
    while served < 100 {
        let answer = peer.next_of(HEADERS).await.expect("an answer");
        assert_eq!(answer.status(), Some(200));
        served += 1;
    }
    attacked.serves("too many streams").await;
    attacked.end("streams").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_in_crumbs_that_nobody_reads_take_no_memory() {
    let mut attacked = Attacked::start().await;
    attacked.serves("nothing").await;
    // Nobody reads a body before there is a token.
    attacked
        .upstreams
        .faults(json!({"token": [{"hold": "token"}]}))
        .await;
    let crumbs: Vec<u8> = streams(20)
        .flat_map(|stream| {
            [
                post(stream, &[(":path", "/v1.0/security/flood")]),
                frame(DATA, 0, stream, "x").repeat(50_000),
            ]
            .concat()
        })
        .collect();
    let found = attacked.flooded("crumbs", 0, &crumbs).await;
    assert_eq!(found, Connection(ENHANCE_YOUR_CALM));
    attacked.upstreams.release("token").await;
    attacked.end("crumbs").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_cut_off_is_cut_off_upstream() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let length = |length| vec![(":path", "/api/raw"), ("content-length", length)];
    let open = vec![(":path", "/api/raw")];
    for (what, fields, end) in [
        ("a reset without an error", open.clone(), reset(1, NO_ERROR)),
        ("a reset", open.clone(), reset(1, CANCEL)),
        ("a reset, with a length", length("100"), reset(1, NO_ERROR)),
        (
            "an end too early",
            length("100"),
            frame(DATA, END_STREAM, 1, ""),
        ),
        (
            "an end too late",
            length("12"),
            frame(DATA, END_STREAM, 1, "abc"),
        ),
        (
            "trailers too early",
            length("100"),
            frame(HEADERS, WHOLE, 1, block(&[("x-a", "1")])),
        ),
        (
            "a malformed trailer",
            open.clone(),
            frame(HEADERS, WHOLE, 1, block(&[("connection", "x")])),
        ),
        (
            "a window beyond all bounds",
            open.clone(),
            window_update(1, (1 << 31) - 1),
        ),
        (
            "a frame against the rules",
            open.clone(),
            frame(DATA, 0, 0, "x"),
        ),
    ] {
        let mut peer = Peer::connect(&proxy).await;
        peer.send([post(1, &fields), frame(DATA, 0, 1, "0123456789")].concat())
            .await;
        let mut upstream = raw.accept().await;
        let head = upstream.head().await;
        let sent = if field(&head, "content-length").is_some() {
            "0123456789"
        } else {
            "a\r\n0123456789\r\n"
        };
        assert!(
            upstream
                .take(sent.len())
                .await
                .eq_ignore_ascii_case(sent.as_bytes()),
            "{what}"
        );
        peer.send(end).await;
        // Neither the last chunk nor anything else follows.
        assert_eq!(upstream.rest().await, "", "{what}");
    }
    let uri = format!("{}/nowhere", proxy.url).parse().unwrap();
    assert_eq!(h2c::<Full<Bytes>>().get(uri).await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_of_a_client_go_nowhere() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut peer = Peer::connect(&proxy).await;
    let trailers = block(&[
        ("authorization", "Bearer x"),
        ("content-length", "3"),
        ("x-a", "1"),
        ("host", "x"),
    ]);
    peer.send(
        [
            post(1, &[(":path", "/api/raw")]),
            frame(DATA, 0, 1, "abc"),
            frame(HEADERS, WHOLE, 1, trailers),
        ]
        .concat(),
    )
    .await;
    let mut upstream = raw.accept().await;
    let head = upstream.head().await;
    assert_eq!(
        head.to_ascii_lowercase().matches("authorization").count(),
        1,
        "{head}"
    );
    assert_eq!(upstream.chunked().await, "3\r\nabc\r\n0\r\n\r\n");
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(outcome(&mut peer, 1).await, Status(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beginnings_that_are_none_come_to_nothing() {
    let attacked = Attacked::start().await;
    for (what, bytes, answer) in [
        (
            "a garbled preface",
            "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
            "HTTP/1.1 505 ",
        ),
        (
            "another preface",
            "PRI * HTTP/2.1\r\n\r\nSM\r\n\r\n",
            "HTTP/1.1 505 ",
        ),
        (
            "an upgrade",
            "GET /api/sandbox/echo?good HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            "HTTP/1.1 200",
        ),
    ] {
        let mut wire = Wire::connect(&attacked.proxy).await;
        wire.send(bytes).await;
        let head = wire.rest().await;
        assert!(head.starts_with(answer), "{what}: {head}");
        assert!(!head.contains(" 101 "), "{what}: {head}");
        attacked.serves(what).await;
    }
    // No SETTINGS first (RFC 9113 §3.4).
    let mut peer = Peer::new(attacked.proxy.connect().await);
    peer.send([PREFACE, &flood(1)].concat()).await;
    let _ = outcome(&mut peer, 1).await;
    attacked.end("beginnings").await;
}
