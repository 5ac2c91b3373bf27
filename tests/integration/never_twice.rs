//! A request that may have been executed is sent once, wherever upstream breaks off.

use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    strict::{Reply, replies},
    support::{self, Answer, PATIENCE, Proxy},
    wire::{Flood, RawUpstream, Wire, field, h2c},
};

/// How far upstream gets before it breaks off.
#[derive(Clone, Copy, Debug)]
enum Point {
    /// It has read so many bytes.
    Read(usize),
    /// It has read the head.
    Head,
    /// It has read the head and so many bytes of the body.
    Body(usize),
    /// It has read everything, and has said this.
    Said(&'static str),
}

const POINTS: [Point; 12] = [
    Point::Read(0),
    Point::Read(1),
    Point::Read(40),
    Point::Head,
    Point::Body(1),
    Point::Said(""),
    Point::Said("H"),
    Point::Said("HTTP/1.1 100 Continue\r\n\r\n"),
    Point::Said("HTTP/1.1 200 OK\r\nContent-Le"),
    Point::Said("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    Point::Said("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"),
    Point::Said("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
];

/// One request, and what becomes of it.
#[derive(Clone, Copy, Debug)]
struct Try {
    method: &'static str,
    body: usize,
    point: Point,
    reset: bool,
    /// On a connection that has served before, where a client is most tempted to try again.
    pooled: bool,
}

impl Try {
    async fn run(self, proxy: &Proxy, raw: &RawUpstream) {
        let mut client = Wire::connect(proxy).await;
        let mut upstream = None;
        if self.pooled {
            client
                .send("GET /api/raw/warm HTTP/1.1\r\nHost: localhost\r\n\r\n")
                .await;
            let mut connection = raw.accept().await;
            connection.head().await;
            connection
                .send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await;
            client.head().await;
            upstream = Some(connection);
        }
        let reply = tokio::spawn(ask(client, self.method, self.body));
        // A connection that has served is used again, unless the runtime has put another in its place.
        let mut upstream = match upstream {
            Some(connection) => connection,
            None => raw.accept().await,
        };
        self.break_off(&mut upstream).await;
        if self.reset {
            upstream.stream.set_zero_linger().unwrap();
        }
        drop(upstream);
        let reply = timeout(PATIENCE, reply).await;
        let reply = reply
            .unwrap_or_else(|_| panic!("a hang: {self:?}"))
            .unwrap();
        // `None`: a beginning that no client takes for the whole.
        if let Some(reply) = reply {
            assert_eq!(reply.status, 502, "{self:?}: {reply:?}");
            let own = reply.field("proxy-status");
            assert!(own.is_some_and(|own| own.starts_with("defender-proxy; error=")));
        }
        assert!(raw.is_idle().await, "{self:?}: it was sent again");
    }

    async fn break_off(self, upstream: &mut Wire) {
        match self.point {
            Point::Read(bytes) => {
                upstream.take(bytes).await;
            }
            Point::Head => {
                upstream.head().await;
            }
            Point::Body(bytes) => {
                upstream.head().await;
                upstream.take(bytes.min(self.body)).await;
            }
            Point::Said(text) => {
                upstream.head().await;
                upstream.take(self.body).await;
                upstream.send(text).await;
            }
        }
    }
}

/// Sends a request and returns its answer, if that is a whole one.
async fn ask(client: Wire, method: &str, length: usize) -> Option<Reply> {
    let head = format!(
        "{method} /api/raw/once HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    let body = "x".repeat(length);
    let (mut reading, mut writing) = client.stream.into_split();
    let sending = async {
        // The answer may come, and the connection end, before all is sent.
        let _ = writing.write_all((head + &body).as_bytes()).await;
    };
    let mut bytes = Vec::new();
    let (ended, ()) = tokio::join!(reading.read_to_end(&mut bytes), sending);
    replies(&bytes, &[method], ended.is_err()).pop_front()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_upstream_breaks_off_a_request_is_sent_once() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    // With the token there, no connection is opened ahead of its request.
    let first = tokio::spawn(ask(Wire::connect(&proxy).await, "GET", 0));
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(first.await.unwrap().unwrap().status, 200);
    let mut tried = 0;
    for (method, body) in [
        ("POST", 100),
        ("POST", 200_000),
        ("PATCH", 100),
        ("PUT", 200_000),
        ("DELETE", 0),
        ("DELETE", 100),
        ("GET", 0),
        ("GET", 100),
    ] {
        for point in POINTS {
            for (reset, pooled) in [(false, false), (false, true), (true, false), (true, true)] {
                if pooled && matches!(point, Point::Read(0)) {
                    // It may be seen before anything is sent; then the request goes over another connection, as it should.
                    continue;
                }
                let one = Try {
                    method,
                    body,
                    point,
                    reset,
                    pooled,
                };
                one.run(&proxy, &raw).await;
                tried += 1;
            }
        }
    }
    eprintln!("{tried} requests, none of them sent twice");
    assert_eq!(proxy.get("/api/incidents").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_401_it_is_sent_once_more_and_no_more() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let refused = "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    for (body, sent) in [(100, 2), (200_000, 1)] {
        let reply = tokio::spawn(ask(Wire::connect(&proxy).await, "POST", body));
        let mut tokens = Vec::new();
        for time in 0..sent {
            let mut upstream = raw.accept().await;
            let head = upstream.head().await;
            tokens.push(field(&head, "authorization").unwrap().to_owned());
            upstream.take(body).await;
            // The second one breaks off.
            if time == 0 {
                upstream.send(refused).await;
            }
        }
        let reply = reply.await.unwrap().expect("a whole answer");
        assert_eq!(reply.status, [401, 502][sent - 1], "{reply:?}");
        tokens.dedup();
        assert_eq!(tokens.len(), sent, "with another token each time");
        assert!(raw.is_idle().await, "{body} bytes were sent again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_executed_twice() {
    let (upstreams, proxy) = support::start().await;
    let machines = proxy.get("/api/machines?$top=1").await.json();
    let machine = machines["value"][0]["id"].as_str().unwrap();
    let isolate = json!({"Comment": "x", "IsolationType": "Full"});
    let respond = json!({"Comment": "x", "Commands": [{"type": "GetFile", "params": [{"key": "Path", "value": "C:\\x"}]}]});
    let alert = json!({"machineId": machine, "severity": "Low", "title": "x", "description": "x", "recommendedAction": "x",
        "eventTime": "2026-01-01T00:00:00Z", "reportId": "1", "category": "General"});
    for (path, body) in [
        (format!("/api/machines/{machine}/isolate"), isolate),
        (format!("/api/machines/{machine}/runliveresponse"), respond),
        ("/api/alerts/CreateAlertByReference".to_owned(), alert),
    ] {
        let executed = async || {
            let stats = upstreams.stats().await;
            let counts = stats["executions"].as_object().cloned().unwrap_or_default();
            counts
                .values()
                .filter_map(serde_json::Value::as_u64)
                .sum::<u64>()
        };
        let before = executed().await;
        for fault in ["before-headers", "mid-body"] {
            let before = executed().await;
            upstreams.faults(json!({"api": [{"reset": fault}]})).await;
            let request = proxy.request(Method::POST, &path);
            let answer = proxy
                .send(request.body(Full::from(body.to_string())).unwrap())
                .await;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            assert!(status == 502 || body.is_err(), "{path}, {fault}: {status}");
            assert!(executed().await - before <= 1, "{path}, {fault}: twice");
        }
        assert!(executed().await > before, "{path} was executed");
    }
}

/// How upstream goes on after its early answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum After {
    /// It reads what still comes.
    Reads,
    /// It closes in order, and reads what still comes until the proxy closes.
    Closes,
    /// It is gone; what still comes is answered with a reset.
    Goes,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_amid_an_upload_reaches_the_client() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let early =
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 9\r\n\r\ntoo large";
    let http2 = h2c::<Flood>();
    for after in [After::Reads, After::Closes, After::Goes] {
        for (declared, over_http2) in [(true, false), (false, false), (true, true), (false, true)] {
            let what = format!("{after:?}, declared: {declared}, HTTP/2: {over_http2}");
            let answering = async {
                let mut upstream = raw.accept().await;
                upstream.head().await;
                upstream.take(10_000).await;
                upstream.send(early).await;
                if after == After::Closes {
                    upstream.stream.shutdown().await.unwrap();
                }
                if after != After::Goes {
                    let _ = upstream.end().await;
                }
            };
            let asking = async {
                let request = Request::post(format!("{}/api/raw/upload", proxy.url));
                let request = request.body(Flood::new(UPLOAD, declared)).unwrap();
                if over_http2 {
                    return http2.request(request).await.map(Answer::read);
                }
                let http1 = Client::builder(TokioExecutor::new()).build_http();
                http1.request(request).await.map(Answer::read)
            };
            let (got, ()) = timeout(PATIENCE, async { tokio::join!(asking, answering) })
                .await
                .unwrap_or_else(|_| panic!("{what}: a hang"));
            let got = match got {
                Ok(got) => got.await,
                Err(error) => panic!("{what}: {error:?}"),
            };
            // When upstream is gone, its reset may overtake its answer.
            let lost = after == After::Goes && got.is_own("connection_terminated");
            assert!(
                lost || got.status == 413 && got.text() == "too large",
                "{what}: {got:?}"
            );
            assert!(raw.is_idle().await, "{what}: it was sent again");
        }
    }
}

/// More than all buffers on the way hold.
const UPLOAD: u64 = 50_000_000;
