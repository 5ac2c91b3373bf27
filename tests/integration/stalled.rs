//! Bodies that stop, on either side and in either direction: they end, what moves lives, and all others go on.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{io::AsyncWriteExt, net::TcpSocket, time::sleep};

use crate::{
    support::{Answer, PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, h2c, tls_keys},
};

/// A second for clients, and as much for upstream as the test says.
fn limits(response_timeout: &str) -> String {
    format!("response_timeout = \"{response_timeout}\"\n[limits]\nstall = \"1s\"\n")
}

async fn start(more: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let config = format!("{}{}{more}", upstreams.config(), limits("300s"));
    let proxy = Proxy::start(&upstreams, &config);
    (upstreams, proxy)
}

async fn is_well(proxy: &Proxy, case: &str) {
    let answer = proxy.get("/api/sandbox/echo").await;
    assert_eq!(answer.status, 200, "{case}: {}", answer.text());
}

const ENDLESS: &str = "/api/sandbox/download?bytes=100000000000&type=binary";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_stops_is_408_and_upstream_is_left() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&limits("300s")).await;
    for framing in [
        "Content-Length: 10\r\n\r\nabc",
        "Content-Length: 1000000\r\n\r\nabc",
        "Content-Length: 10\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nab",
    ] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{framing}"
            ))
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        // Cut off: the declared length, or the last chunk, never comes.
        let got = upstream.rest().await;
        assert!(!got.contains("\r\n0\r\n"), "{framing:?}: {got:?}");
        let answer = client.rest().await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{framing:?}: {answer}");
        assert!(answer.contains("limits.stall"), "{framing:?}: {answer}");
        is_well(&proxy, framing).await;
    }
    // A stream of HTTP/2: its connection goes on.
    let request = Request::post(format!("{}/api/raw", proxy.url));
    let asking = tokio::spawn(h2c::<Stuck>().request(request.body(Stuck(false)).unwrap()));
    let mut upstream = raw.accept().await;
    upstream.head().await;
    let got = upstream.rest().await;
    assert!(!got.contains("\r\n0\r\n"), "{got:?}");
    let answer = asking.await.unwrap().expect("an answer");
    assert_eq!(answer.status(), 408);
    is_well(&proxy, "HTTP/2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_crawls_lives() {
    let (_upstreams, proxy, raw) =
        RawUpstream::behind_proxy_with("response_timeout = \"1s\"\n[limits]\nstall = \"20s\"\n")
            .await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    assert_eq!(upstream.take(1).await, b"a");
    // Longer than upstream may take, but it isn't upstream that is waited for.
    sleep(Duration::from_millis(2500)).await;
    client.send("b").await;
    assert_eq!(upstream.take(1).await, b"b");
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_takes_no_upload_is_504() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&limits("2s")).await;
    let client = h2c::<Full<Bytes>>();
    let request = Request::post(format!("{}/api/raw", proxy.url));
    let body = Full::from(vec![b'x'; 64 * 1024 * 1024]);
    let asking = tokio::spawn(client.request(request.body(body).unwrap()));
    let upstream = raw.accept().await;
    let answer = asking.await.unwrap().expect("an answer");
    let answer = Answer::read(answer).await;
    assert_eq!(answer.status, 504);
    assert!(answer.is_own("http_response_timeout"), "{answer:?}");
    drop(upstream);
    is_well(&proxy, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_stops_is_cut_off_visibly() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&limits("1s")).await;
    for (version, framing) in [
        ("1.1", "Content-Length: 10\r\n\r\nabc"),
        ("1.1", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
        (
            "1.1",
            "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n",
        ),
        ("1.0", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
    ] {
        let case = format!("HTTP/{version}, {framing:?}");
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "GET /api/raw HTTP/{version}\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream.send(format!("HTTP/1.1 200 OK\r\n{framing}")).await;
        let head = client.head().await;
        assert!(head.contains(" 200 OK"), "{case}: {head}");
        let ended = client.end().await;
        if version == "1.0" {
            assert!(ended.is_err(), "{case}: an orderly end");
        } else {
            let rest = client.rest().await;
            assert!(
                !rest.contains("0\r\n\r\n") && rest.len() < 20,
                "{case}: {rest:?}"
            );
        }
        // Upstream is hung up on.
        upstream.rest().await;
        is_well(&proxy, &case).await;
    }
    let asking =
        tokio::spawn(h2c::<Full<Bytes>>().get(format!("{}/api/raw", proxy.url).parse().unwrap()));
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    let answer = asking.await.unwrap().unwrap();
    assert!(answer.into_body().collect().await.is_err(), "a whole body");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_is_hung_up_on() {
    let (upstreams, proxy) = start("requests = 2\n").await;
    for (count, version) in [(1, "1.1"), (2, "1.0")] {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!(
                "GET {ENDLESS} HTTP/{version}\r\nHost: localhost\r\n\r\n"
            ))
            .await;
        upstreams.wait(&format!("aborted={count}")).await;
        assert!(client.head().await.contains(" 200 "));
        // It ends, with an error or too early, whatever the client reads now.
        let _ = client.end().await;
        assert!(client.ahead() < 100_000_000, "HTTP/{version}");
    }
    is_well(&proxy, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_over_tls_is_hung_up_on() {
    let upstreams = Upstreams::start().await;
    let listen = format!("[listen]\n{}", tls_keys(upstreams.dir.path()));
    let config = format!("{}{}{listen}", upstreams.config(), limits("300s"));
    let proxy = Proxy::start(&upstreams, &config);
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .build::<_, Full<Bytes>>(crate::support::http1_connector(
            &upstreams.dir.path().join("listen.pem"),
        ));
    let url = proxy.url.replace("127.0.0.1", "localhost");
    let answer = client
        .get(format!("{url}{ENDLESS}").parse().unwrap())
        .await
        .unwrap();
    upstreams.wait("aborted=1").await;
    drop(answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_slowly_lives() {
    let (_upstreams, proxy) = start("").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = Wire::new(
        socket
            .connect(proxy.address().parse().unwrap())
            .await
            .unwrap(),
    );
    client
        .send("GET /api/sandbox/download?bytes=8000000&type=binary HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    client.head().await;
    for _ in 0..8 {
        assert_eq!(client.take(1_000_000).await.len(), 1_000_000);
        sleep(Duration::from_millis(300)).await;
    }
}

/// A body that stops after its first bytes.
struct Stuck(bool);

impl Body for Stuck {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"abc")))))
    }
}

fn get(proxy: &Proxy, target: &str) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(Method::GET)
        .uri(format!("{}{target}", proxy.url))
        .body(Empty::new())
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_not_read_is_reset_and_the_others_go_on() {
    let (upstreams, proxy) = start("requests = 3\n").await;
    let stream = TokioIo::new(proxy.connect().await);
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(65_535)
        .initial_connection_window_size((1 << 31) - 1)
        .handshake(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    // One without any window left after its first bytes, thrice.
    let mut unread = Vec::new();
    for _ in 0..3 {
        let answer = sender.send_request(get(&proxy, ENDLESS)).await.unwrap();
        assert_eq!(answer.status(), 200);
        unread.push(answer);
    }
    // They held all places; each is free again, upstream is left, and the connection serves on.
    let answer = sender.send_request(get(&proxy, "/api/sandbox/echo")).await;
    assert_eq!(answer.expect("the same connection").status(), 200);
    upstreams.wait("aborted=3").await;
    for answer in unread {
        let read = tokio::time::timeout(PATIENCE, answer.into_body().collect()).await;
        assert!(read.expect("no hang").is_err(), "a whole body");
    }
}

/// A GET by HTTP/2 with all the windows as large as they get (RFC 9113 §6.5, §6.9, §6.2).
fn greedy_request(target: &str) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE, and a WINDOW_UPDATE of the connection.
    bytes.extend(*b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff");
    bytes.extend(*b"\0\0\x04\x08\0\0\0\0\0\x7f\xff\0\0");
    // HPACK: GET and http of the static table, then two literals by indexed names.
    let mut fields = vec![0x82, 0x86];
    for (name, value) in [(0x04, target), (0x01, "localhost")] {
        fields.extend([name, u8::try_from(value.len()).unwrap()]);
        fields.extend(value.as_bytes());
    }
    bytes.extend([0, 0, u8::try_from(fields.len()).unwrap()]);
    bytes.extend(*b"\x01\x05\0\0\0\x01");
    bytes.extend(fields);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_of_http2_that_is_not_read_is_hung_up_on() {
    let (upstreams, proxy) = start("").await;
    let mut client = Wire::connect(&proxy).await;
    client.send(greedy_request(ENDLESS)).await;
    upstreams.wait("aborted=1").await;
    is_well(&proxy, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_upstream_is_not_taken_for_an_unread_stream() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&limits("60s")).await;
    let asking =
        tokio::spawn(h2c::<Full<Bytes>>().get(format!("{}/api/raw", proxy.url).parse().unwrap()));
    let mut upstream = raw.accept().await;
    upstream.head().await;
    sleep(Duration::from_millis(1500)).await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
        .await;
    let answer = asking.await.unwrap().unwrap();
    sleep(Duration::from_millis(1500)).await;
    upstream.send("cd").await;
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "abcd"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_an_early_answer_leaves_behind_ends() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy_with(&limits("1s")).await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\nabc")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body, "no");
    // Nobody reads it, and nobody closes anything.
    let flood = vec![b'x'; 100_000_000 - 3];
    let sending = tokio::time::timeout(PATIENCE, client.stream.write_all(&flood));
    let _ = sending.await.expect("an end");
    let _ = client.end().await;
    drop(upstream);
}
