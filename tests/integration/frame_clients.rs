//! Clients of HTTP/2 that do what no client should, frame by frame: what each comes to, and that nobody else notices.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};

use crate::{
    frames::*,
    load::Http2,
    support::{self, Answer, Proxy, Upstreams},
};

/// What a client learns of its request first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Outcome {
    Status(u16),
    Stream(u32),
    Connection(u32),
    Closed,
    /// Nothing for a long time.
    Silent,
}

use Outcome::{Closed, Connection, Status, Stream};

/// A malformed request is refused, or its stream or connection ends (RFC 9113 §8.1.1, §5.4.2).
const MALFORMED: &[Outcome] = &[
    Status(400),
    Stream(PROTOCOL_ERROR),
    Connection(PROTOCOL_ERROR),
];
const SERVED: &[Outcome] = &[Status(200)];

/// Everything here comes at once; the machine may be busy.
const LONG: Duration = Duration::from_secs(10);

/// A proxy under attack, and a neighbour whose request is under way meanwhile.
pub(crate) struct Attacked {
    pub(crate) upstreams: Upstreams,
    pub(crate) proxy: Proxy,
    neighbour: JoinHandle<Answer>,
    cases: usize,
    wrong: Vec<String>,
}

impl Attacked {
    pub(crate) async fn start() -> Self {
        let (upstreams, proxy) = support::start().await;
        let held = json!({"api": [{"hold": "neighbour", "path": "/api/incidents"}]});
        upstreams.faults(held).await;
        let neighbour = Http2::connect(&proxy).await.get("/api/incidents");
        upstreams.wait("held=neighbour").await;
        Self {
            upstreams,
            proxy,
            neighbour,
            cases: 0,
            wrong: Vec::new(),
        }
    }

    /// Sends the bytes of a case on a connection of its own, and notes what comes of a stream, and whether a good request is served
    /// afterwards.
    pub(crate) async fn case(
        &mut self,
        what: &str,
        stream: u32,
        bytes: &[u8],
        expected: &[Outcome],
    ) {
        self.cases += 1;
        let mut peer = Peer::connect(&self.proxy).await;
        // The proxy may end the connection before it has read all.
        let _ = peer.try_send(bytes).await;
        let found = loop {
            let found = timeout(LONG, outcome(&mut peer, stream)).await;
            // The answer to what was sent before may be quicker.
            if found != Ok(Status(404)) || expected.contains(&Status(404)) {
                break found.unwrap_or(Outcome::Silent);
            }
        };
        if !expected.contains(&found) {
            self.wrong.push(format!("{what}: {found:?}"));
        }
        self.serves(what).await;
    }

    pub(crate) async fn serves(&self, what: &str) {
        let answer = self.proxy.get("/api/sandbox/echo?good").await;
        assert_eq!(answer.status, 200, "after {what}: {}", answer.text());
    }

    /// Asserts that no attack has reached upstream and that the neighbour gets its answer.
    pub(crate) async fn end(self, what: &str) {
        assert!(self.wrong.is_empty(), "{what}: {:#?}", self.wrong);
        self.upstreams.release("neighbour").await;
        let answer = self.neighbour.await.unwrap();
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        let seen = self.upstreams.api_requests().await;
        let is_attack = |one: &&Value| one["target"].as_str().unwrap().contains("attack");
        let reached: Vec<_> = seen.iter().filter(is_attack).collect();
        assert!(reached.is_empty(), "{what}: {reached:?}");
        eprintln!("{what}: {} cases, none reached upstream", self.cases);
    }
}

/// The first that is learned of a stream.
pub(crate) async fn outcome(peer: &mut Peer, stream: u32) -> Outcome {
    loop {
        let Some(frame) = peer.next().await else {
            return Closed;
        };
        peer.acknowledge(&frame).await;
        match frame.kind {
            HEADERS if frame.stream == stream => return Status(frame.status().unwrap_or(0)),
            RST_STREAM if frame.stream == stream => return Stream(frame.code()),
            GOAWAY => return Connection(frame.code()),
            _ => {}
        }
    }
}

pub(crate) type Fields<'a> = Vec<(&'a [u8], &'a [u8])>;

const TARGET: &str = "/api/sandbox/echo?attack";

/// The fields of a request that would be served, with these in place of those of the same name.
pub(crate) fn fields<'a>(others: &[(&'a str, &'a str)]) -> Fields<'a> {
    let pseudo = [
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", TARGET),
    ];
    let replaced = |name: &str| others.iter().find(|(other, _)| *other == name);
    let first = pseudo
        .iter()
        .map(|field| replaced(field.0).unwrap_or(field));
    let is_new = |(name, _): &&(&str, &str)| !pseudo.iter().any(|(pseudo, _)| pseudo == name);
    first
        .chain(others.iter().filter(is_new))
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect()
}

/// A request as the fields are.
pub(crate) fn get<N: AsRef<[u8]>, V: AsRef<[u8]>>(stream: u32, fields: &[(N, V)]) -> Vec<u8> {
    frame(HEADERS, WHOLE, stream, block(fields))
}

/// The head of a request whose body follows.
pub(crate) fn post(stream: u32, others: &[(&str, &str)]) -> Vec<u8> {
    let mut fields = fields(others);
    fields[0].1 = b"POST";
    frame(HEADERS, END_HEADERS, stream, block(&fields))
}

/// A request that is served.
pub(crate) fn good(stream: u32) -> Vec<u8> {
    get(stream, &fields(&[(":path", "/api/sandbox/echo?good")]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_fields_reach_nobody() {
    let mut attacked = Attacked::start().await;
    for field in [
        ("connection", "close"),
        ("connection", "x-a"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "h2c"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, deflate"),
        ("te", ""),
        ("X-Upper", "1"),
        ("x-Mixed", "1"),
        ("Host", "localhost"),
        ("", "nameless"),
        ("x a", "1"),
        (" x-a", "1"),
        ("x-a ", "1"),
        ("x-a:", "1"),
        ("x:a", "1"),
        ("x\0a", "1"),
        ("x\ra", "1"),
        ("x\na", "1"),
        ("x-a\r\nauthorization", "1"),
        ("x(a)", "1"),
        ("x\"a", "1"),
        ("x\u{7f}", "1"),
        ("x-é", "1"),
        ("x-a", "1\r\nx-b: 2"),
        ("x-a", "1\n"),
        ("x-a", "1\r"),
        ("x-a", "1\0"),
        ("x-a", "1\u{7f}"),
        ("x-a", "\u{1}"),
        (":unknown", "1"),
        (":status", "200"),
        (":protocol", "websocket"),
        (":authority ", "localhost"),
        (":", ""),
        ("content-length", "1"),
        ("content-length", "-1"),
        ("content-length", "+0"),
        ("content-length", "0x0"),
        ("content-length", "0, 0"),
        ("content-length", ""),
        ("x-a", " 1"),
        ("x-a", "1 "),
        ("x-a", "\t"),
        ("content-length", "99999999999999999999999"),
    ] {
        let request = get(1, &fields(&[field]));
        attacked
            .case(&format!("{field:?}"), 1, &request, MALFORMED)
            .await;
    }
    attacked.end("malformed fields").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pseudo_fields_that_lie_reach_nobody() {
    let mut attacked = Attacked::start().await;
    for (field, expected) in [
        ((":path", ""), MALFORMED),
        ((":path", "api/attack"), MALFORMED),
        ((":path", "*"), MALFORMED),
        ((":path", "?attack"), MALFORMED),
        ((":path", "http://localhost/attack"), MALFORMED),
        ((":path", "//localhost/attack"), MALFORMED),
        ((":path", "/api/../attack"), MALFORMED),
        ((":path", "/api/%2e%2e/attack"), MALFORMED),
        ((":path", "/api/\\attack"), MALFORMED),
        ((":path", "/api/attack 1"), MALFORMED),
        ((":path", "/api/attack\tx"), MALFORMED),
        (
            (":path", "/api/attack HTTP/1.1\r\nHost: localhost"),
            MALFORMED,
        ),
        ((":path", "/api/attack\0"), MALFORMED),
        ((":path", "/api/attack\u{7f}"), MALFORMED),
        ((":method", ""), MALFORMED),
        ((":method", "GET /attack"), MALFORMED),
        ((":method", "G\r\nET"), MALFORMED),
        ((":method", "G:T"), MALFORMED),
        ((":method", "TRACE"), &[Status(501)]),
        ((":scheme", ""), MALFORMED),
        ((":scheme", "ftp"), MALFORMED),
        ((":scheme", "javascript"), MALFORMED),
        ((":scheme", "ht tp"), MALFORMED),
        ((":scheme", "http:"), MALFORMED),
        ((":authority", ""), MALFORMED),
        ((":authority", "user@localhost"), MALFORMED),
        ((":authority", "user:password@localhost"), MALFORMED),
        ((":authority", "localhost@contoso.example"), MALFORMED),
        ((":authority", "localhost:"), MALFORMED),
        ((":authority", "localhost:99999"), MALFORMED),
        ((":authority", "localhost:1x"), MALFORMED),
        ((":authority", "local host"), MALFORMED),
        ((":authority", "localhost/attack"), MALFORMED),
        ((":authority", "localhost\r\nx: 1"), MALFORMED),
        ((":authority", "0.0.0.0"), MALFORMED),
        ((":authority", "contoso.example"), &[Status(421)]),
        ((":authority", "localhost.contoso.example"), &[Status(421)]),
        (("host", "contoso.example"), MALFORMED),
        (("host", "localhost:1"), MALFORMED),
        (("host", "user@localhost"), MALFORMED),
        (("host", ""), MALFORMED),
    ] {
        let request = get(1, &fields(&[field]));
        attacked
            .case(&format!("{field:?}"), 1, &request, expected)
            .await;
    }
    for name in [":method", ":scheme", ":authority", ":path"] {
        let mut fields = fields(&[]);
        let at = fields
            .iter()
            .position(|(found, _)| *found == name.as_bytes())
            .unwrap();
        let field = fields.remove(at);
        let missing = get(1, &fields);
        attacked
            .case(&format!("no {name}"), 1, &missing, MALFORMED)
            .await;
        let late = [&*fields, &[(b"x-a".as_slice(), b"1".as_slice()), field]].concat();
        attacked
            .case(&format!("a late {name}"), 1, &get(1, &late), MALFORMED)
            .await;
        let twice = [&*fields, &[field, field]].concat();
        attacked
            .case(&format!("{name} twice"), 1, &get(1, &twice), MALFORMED)
            .await;
    }
    let hosts = fields(&[("host", "localhost")]);
    let hosts = [&*hosts, &[(b"host".as_slice(), b"localhost".as_slice())]].concat();
    let two_hosts = get(1, &hosts);
    attacked.case("two hosts", 1, &two_hosts, MALFORMED).await;
    attacked.end("pseudo-fields").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tunnels_are_refused_in_every_form() {
    let mut attacked = Attacked::start().await;
    let authority = (":authority", "localhost:443");
    for (what, fields, expected) in [
        (
            "CONNECT",
            vec![(":method", "CONNECT"), authority],
            &[Status(501)][..],
        ),
        (
            "CONNECT elsewhere",
            vec![
                (":method", "CONNECT"),
                (":authority", "contoso.example:443"),
            ],
            &[Status(501)],
        ),
        (
            "CONNECT with a path",
            vec![(":method", "CONNECT"), authority, (":path", "/attack")],
            MALFORMED,
        ),
        (
            "CONNECT with a scheme",
            vec![(":method", "CONNECT"), authority, (":scheme", "http")],
            MALFORMED,
        ),
        (
            "CONNECT to nowhere",
            vec![(":method", "CONNECT")],
            &[Status(501), Stream(PROTOCOL_ERROR)],
        ),
        (
            "extended CONNECT",
            vec![
                (":method", "CONNECT"),
                (":protocol", "websocket"),
                (":scheme", "http"),
                authority,
                (":path", "/attack"),
            ],
            MALFORMED,
        ),
        // hyper ends the connection.
        (
            "CONNECT with a length",
            vec![(":method", "CONNECT"), authority, ("content-length", "3")],
            &[Stream(INTERNAL_ERROR), Connection(NO_ERROR), Closed],
        ),
    ] {
        let head = frame(HEADERS, END_HEADERS, 1, block(&fields));
        attacked.case(what, 1, &head, expected).await;
    }
    attacked.end("tunnels").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_odd_but_right_is_served() {
    let mut attacked = Attacked::start().await;
    let path = (":path", "/api/sandbox/echo?good");
    let padded = [&[3][..], &block(&fields(&[path])), &[0; 3]].concat();
    let dependent = [&[0, 0, 0, 9, 255][..], &block(&fields(&[path]))].concat();
    let halves = block(&fields(&[path]));
    let (first, second) = halves.split_at(17);
    let mut no_authority = fields(&[path, ("host", "localhost")]);
    no_authority.remove(2);
    for (what, bytes) in [
        ("te: trailers", get(1, &fields(&[path, ("te", "trailers")]))),
        (
            "host beside authority",
            get(1, &fields(&[path, ("host", "LocalHost")])),
        ),
        ("host without authority", get(1, &no_authority)),
        (
            "https as scheme",
            get(1, &fields(&[path, (":scheme", "https")])),
        ),
        (
            "content-length 0",
            get(1, &fields(&[path, ("content-length", "0")])),
        ),
        (
            "an unknown frame",
            [
                frame(0xbb, 0xff, 0, "x"),
                frame(0xcc, 1, 1, [0; 99]),
                good(1),
            ]
            .concat(),
        ),
        (
            "unknown settings",
            [settings(&[(0xff, 7), (0, 1)]), good(1)].concat(),
        ),
        (
            "unknown flags",
            frame(
                HEADERS,
                WHOLE | 0xd2 & !PADDED & !PRIORITIZED,
                1,
                block(&fields(&[path])),
            ),
        ),
        ("a padded head", frame(HEADERS, WHOLE | PADDED, 1, &padded)),
        (
            "a head with a priority",
            frame(HEADERS, WHOLE | PRIORITIZED, 1, &dependent),
        ),
        (
            "a head in two",
            [
                frame(HEADERS, END_STREAM, 1, first),
                frame(CONTINUATION, END_HEADERS, 1, second),
            ]
            .concat(),
        ),
        (
            "an empty first part",
            [
                frame(HEADERS, END_STREAM, 1, ""),
                frame(CONTINUATION, END_HEADERS, 1, &halves),
            ]
            .concat(),
        ),
        (
            "a priority before",
            [frame(PRIORITY, 0, 1, [0, 0, 0, 7, 3]), good(1)].concat(),
        ),
        ("the reserved bit", get(1 | 1 << 31, &fields(&[path]))),
        ("a high stream", good(1_000_001)),
        (
            "a reset of a stream that has ended",
            [good(1), reset(1, CANCEL), good(3)].concat(),
        ),
        (
            "an answer to no ping",
            [frame(PING, ACK, 0, [7; 8]), good(1)].concat(),
        ),
        (
            "a window update of a stream that has ended",
            [good(1), window_update(1, 1), good(3)].concat(),
        ),
    ] {
        let stream = match what {
            "a high stream" => 1_000_001,
            _ if bytes.ends_with(&good(3)) => 3,
            _ => 1,
        };
        attacked.case(what, stream, &bytes, SERVED).await;
    }
    attacked.end("odd but right").await;
}
