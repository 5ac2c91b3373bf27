//! An answer that was cut short looks cut short to every client.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{
    support::{self, PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, field, h2c, tls_keys},
};

/// What ends an answer too early, and whether that is a plain close.
fn cut_answers() -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let numbers: Vec<u32> = (0..20_000).collect();
    let text = serde_json::to_string(&numbers).unwrap();
    gzip.write_all(text.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let half = &gzip[..gzip.len() / 2];
    let head =
        |fields: &str| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{fields}\r\n").into_bytes();
    let chunk =
        |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let json = "Content-Type: application/json\r\n";
    vec![
        (
            "a length",
            [head("Content-Length: 100000\r\n"), vec![b'x'; 50_000]].concat(),
        ),
        (
            "chunks",
            [
                head("Transfer-Encoding: chunked\r\n"),
                chunk(&[b'x'; 50_000]),
            ]
            .concat(),
        ),
        (
            "amid a chunk",
            [
                head("Transfer-Encoding: chunked\r\n"),
                b"fffff\r\nxxxxx".to_vec(),
            ]
            .concat(),
        ),
        (
            "JSON in chunks",
            [
                head(&format!("{json}Transfer-Encoding: chunked\r\n")),
                chunk(b"{\"value\": [1"),
            ]
            .concat(),
        ),
        (
            "gzip of a length",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                    gzip.len()
                )),
                half.to_vec(),
            ]
            .concat(),
        ),
        // Framed as whole, but the compressed data isn't.
        (
            "gzip cut inside",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nContent-Length: {}\r\n",
                    half.len()
                )),
                half.to_vec(),
            ]
            .concat(),
        ),
        (
            "gzip cut inside chunks",
            [
                head(&format!(
                    "{json}Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"
                )),
                chunk(half),
                b"0\r\n\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "gzip without its end, up to the close",
            [
                head(&format!("{json}Content-Encoding: gzip\r\n")),
                half.to_vec(),
            ]
            .concat(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_short_is_cut_short_for_every_client() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let client = h2c::<Full<Bytes>>();
    for (what, answer) in cut_answers() {
        let answering = async || {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send(&answer).await;
        };
        let asking = proxy
            .client
            .get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, ()) = tokio::join!(asking, answering());
        let body = timeout(PATIENCE, got.unwrap().into_body().collect())
            .await
            .expect("no hang");
        assert!(body.is_err(), "{what}, HTTP/1.1: {body:?}");

        let asking = client.get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, ()) = tokio::join!(asking, answering());
        // A stream's reset may overtake its head.
        if let Ok(got) = got {
            let body = timeout(PATIENCE, got.into_body().collect())
                .await
                .expect("no hang");
            assert!(body.is_err(), "{what}, HTTP/2: {body:?}");
        }

        // With neither length nor chunks, a client of HTTP/1.0 takes a close for the end: it must get a reset.
        let asking = async {
            let mut client = Wire::connect(&proxy).await;
            client
                .send("GET /api/raw HTTP/1.0\r\nHost: localhost\r\n\r\n")
                .await;
            let head = client.head().await;
            (head, client.end().await)
        };
        let ((head, end), ()) = tokio::join!(asking, answering());
        assert!(
            field(&head, "content-length").is_some() || end.is_err(),
            "{what}, HTTP/1.0: {head}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_of_http2_that_breaks_off_breaks_the_answer() {
    let (upstreams, proxy) = support::start().await;
    let client = h2c::<Full<Bytes>>();
    for path in [
        "/api/incidents",
        "/api/sandbox/download?bytes=1000000&type=binary",
        "/api/sandbox/download?bytes=1000000&type=json",
    ] {
        for fault in [
            json!({"reset": "mid-body", "times": 3}),
            json!({"truncate": 5000, "times": 3}),
        ] {
            upstreams.faults(json!({"api": [fault]})).await;
            for client in [&proxy.client, &client] {
                let answer = client
                    .get(format!("{}{path}", proxy.url).parse().unwrap())
                    .await;
                // When the machine is busy, the break may overtake the head: on the stand-in's side, or (in HTTP/2) on the proxy's.
                let Ok(answer) = answer else { continue };
                let status = answer.status();
                let body = answer.into_body().collect().await;
                assert!(
                    status == 502 || (status == 200 && body.is_err()),
                    "{path} {fault}: {status}"
                );
            }
            let mut old = Wire::connect(&proxy).await;
            old.send(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"))
                .await;
            let head = old.head().await;
            let end = old.end().await;
            assert!(
                field(&head, "content-length").is_some() || end.is_err(),
                "{path} {fault} {head}"
            );
        }
    }
    assert!(proxy.log().contains("end=\"cut\""), "{}", proxy.log());
}

/// Runs curl against a path, and returns its exit code.
async fn curl(proxy: &Proxy, args: &[&str], path: &str) -> Option<i32> {
    let mut command = Command::new("curl");
    command
        .args([
            "-s",
            "-o",
            "/dev/null",
            "--max-time",
            "30",
            "--noproxy",
            "*",
        ])
        .args(args);
    command.arg(format!("{}{path}", proxy.url));
    command.status().await.expect("curl is installed").code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_sees_that_an_answer_was_cut_short() {
    let (upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    assert_eq!(curl(&proxy, &[], "/api/incidents").await, Some(0));
    for (what, answer) in cut_answers() {
        for (args, codes) in [
            (&[][..], &[18][..]),
            (&["--http2-prior-knowledge"], &[92, 18]),
            (&["--http1.0"], &[56, 18]),
        ] {
            let answering = async {
                let mut upstream = raw.accept().await;
                upstream.head().await;
                upstream.send(&answer).await;
            };
            let (code, ()) = tokio::join!(curl(&proxy, args, "/api/raw"), answering);
            assert!(codes.contains(&code.unwrap()), "{what} {args:?}: {code:?}");
        }
    }
    upstreams
        .faults(json!({"api": [{"reset": "mid-body"}]}))
        .await;
    // 22 is curl's word for the 502 of a break that came before the head.
    let code = curl(&proxy, &["-f"], "/api/incidents").await;
    assert!([Some(18), Some(22)].contains(&code), "{code:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_ends_with_its_connection_is_whole_unless_it_was_reset() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    for reset in [false, true] {
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send("HTTP/1.0 200 OK\r\n\r\nall of it").await;
            upstream
        };
        let asking = proxy
            .client
            .get(format!("{}/api/raw", proxy.url).parse().unwrap());
        let (got, upstream) = tokio::join!(asking, answering);
        let mut body = got.unwrap().into_body();
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "all of it"
        );
        if reset {
            upstream.stream.set_zero_linger().unwrap();
        }
        drop(upstream);
        assert_eq!(body.collect().await.is_err(), reset);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tls_a_client_of_http1_0_sees_it_too() {
    let (upstreams, raw) = (Upstreams::start().await, RawUpstream::bind().await);
    let more = format!(
        "[listen]\n{}\n{}",
        tls_keys(upstreams.dir.path()),
        raw.route()
    );
    let proxy = Proxy::start(&upstreams, &format!("{}\n{more}", upstreams.config()));
    let args = ["-k", "--http1.0"];
    assert_eq!(curl(&proxy, &args, "/api/incidents").await, Some(0));
    for (what, answer) in cut_answers() {
        let answering = async {
            let mut upstream = raw.accept().await;
            upstream.head().await;
            upstream.send(&answer).await;
        };
        let (code, ()) = tokio::join!(curl(&proxy, &args, "/api/raw"), answering);
        assert!([Some(56), Some(18)].contains(&code), "{what}: {code:?}");
    }
}
