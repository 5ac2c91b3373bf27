//! What upstream says unasked on a connection that waits in the pool is given to nobody.

use http::Method;
use http_body_util::Full;

use crate::{
    liar::{End, Liar, Lie},
    support::{Answer, Proxy},
    wire::{Wire, field},
};

const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";

/// What may be said unasked.
fn disturbances() -> Vec<(&'static str, Lie)> {
    let timeout = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut all = vec![
        ("an end", Lie::new("", End::Close)),
        ("an end that TLS doesn't say", Lie::new("", End::Drop)),
        ("a reset", Lie::new("", End::Reset)),
        ("a 408 and an end", Lie::new(timeout, End::Close)),
        ("an answer and an end", Lie::new(EVIL, End::Close)),
        ("an answer and a reset", Lie::new(EVIL, End::Reset)),
    ];
    all.extend(
        [
            ("an answer", EVIL),
            ("half an answer", &EVIL[..30]),
            ("a status line", "HTTP/1.1 200 OK\r\n"),
            ("one letter of it", "H"),
            ("a 408", timeout),
            ("a 100", "HTTP/1.1 100 Continue\r\n\r\n"),
            ("an empty line", "\r\n"),
            ("rubbish", "rubbish"),
            ("a NUL", "\0"),
            ("an alert of TLS", "\u{15}\u{3}\u{3}\0\u{2}\u{1}\0"),
            ("settings of HTTP/2", "\0\0\0\u{4}\0\0\0\0\0"),
        ]
        .map(|(name, bytes)| (name, Lie::new(bytes, End::Stay))),
    );
    all
}

async fn ask(proxy: &Proxy, method: Method, path: &str) -> Answer {
    let request = proxy.request(method, path);
    proxy
        .exchange(request.body(Full::from("{}")).unwrap())
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_between_two_requests_is_given_to_neither() {
    for (liar, proxy) in [
        Liar::behind_proxy("").await,
        Liar::behind_proxy_over_tls().await,
    ] {
        let mut asked = 0;
        for (name, lie) in disturbances() {
            for method in [Method::GET, Method::POST, Method::DELETE] {
                liar.seen();
                let mut paths = Vec::new();
                for _ in 0..2 {
                    let path = format!("/api/raw/tag/{asked}");
                    let got = ask(&proxy, method.clone(), &path).await;
                    assert_eq!(got.status, 200, "{name}, {method}: {}", got.text());
                    assert_eq!(got.text(), path, "{name}, {method}");
                    asked += 1;
                    paths.push(path);
                    liar.disturb(&lie).await;
                }
                let seen = liar.seen();
                let targets: Vec<_> = seen.iter().map(|seen| seen.target.clone()).collect();
                assert_eq!(targets, paths, "{name}, {method}: each asked once");
                assert!(seen.iter().all(|seen| seen.method == method.as_str()));
                assert_ne!(seen[0].connection, seen[1].connection, "{name}, {method}");
            }
        }
        eprintln!("{asked} answers, each to its own request");
    }
}

/// The bytes are there before the request's last one is, so they can't be its answer; but nobody may have looked at them yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_while_a_request_is_read_is_not_its_answer() {
    let (liar, proxy) = Liar::behind_proxy("").await;
    let lies = [
        Lie::new(EVIL, End::Stay),
        Lie::new(EVIL, End::Close),
        Lie::new("", End::Close),
        Lie::new("", End::Reset),
        Lie::new("\r\n", End::Stay),
    ];
    let mut client = Wire::connect(&proxy).await;
    client.stream.set_nodelay(true).unwrap();
    let mut lost = 0;
    for round in 0..ROUNDS {
        let ends = (1..4).contains(&(round % lies.len()));
        let path = format!("/api/raw/tag/{round}");
        let (method, body) = [("GET", ""), ("POST", "{}")][round % 2];
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let head = text.len() - body.len();
        // Up to the last byte of the head: with it, the request may be on its way.
        let split = (round * 7) % head;
        client.send(&text[..split]).await;
        if round % 3 > 0 {
            tokio::task::yield_now().await;
        }
        liar.disturb(&lies[round % lies.len()]).await;
        client.send(&text[split..]).await;
        let (head, body) = client.message().await;
        // An end or a reset may also come just after the connection was found good; then it is said, and not sent again.
        if ends && head.starts_with("HTTP/1.1 502 ") {
            assert!(
                head.contains("connection_terminated"),
                "round {round}: {head}"
            );
            lost += 1;
            continue;
        }
        assert_eq!(body, path, "round {round}: {head}");
        assert_eq!(field(&head, "proxy-status"), None, "round {round}");
    }
    assert!(lost < ROUNDS / 100, "{lost} met an end");
    let seen = liar.seen().len();
    assert!(
        seen <= ROUNDS && seen >= ROUNDS - lost,
        "{seen}: each was sent once"
    );
}

const ROUNDS: usize = 3_000;
