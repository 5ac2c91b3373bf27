//! More than one request on a connection, and connections that end while something is under way.

use std::time::{Duration, Instant};

use tokio::{io::AsyncWriteExt, time::timeout};

use crate::{
    smuggling::{Recorder, lives, refused},
    support::{PATIENCE, start},
    wire::{RawUpstream, Wire, field},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_a_row_are_answered_in_a_row() {
    let (recorder, proxy) = Recorder::behind_proxy().await;
    let request = |index: usize| match index % 3 {
        0 => format!("GET /api/raw/{index} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        1 => format!(
            "POST /api/raw/{index} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 7\r\n\r\nGET / H"
        ),
        _ => format!(
            "\r\nPUT /api/raw/{index} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n3;x\r\n0\r\n\r\n0\r\nX-T: 1\r\n\r\n"
        ),
    };
    let requests: String = (0..30).map(request).collect();
    for size in [requests.len(), 1, 13, 1000] {
        let mut client = Wire::connect(&proxy).await;
        for piece in requests.as_bytes().chunks(size) {
            client.send(piece).await;
        }
        for index in 0..30 {
            let (head, body) = client.message().await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{size}, {index}: {head}");
            assert_eq!(body, format!("/api/raw/{index}"), "{size}");
        }
        let seen = recorder.take();
        assert_eq!(seen.len(), 30, "{size}");
        for (index, request) in seen.iter().enumerate() {
            let body: &[u8] = [b"", b"GET / H".as_slice(), b"\r\n\r\n0\r\n"][index % 3];
            assert_eq!(request.body, body, "{size}, {index}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_one_in_the_middle_loses_no_answer_and_ends_the_row() {
    let (recorder, proxy) = Recorder::behind_proxy().await;
    let good = |name: &str| format!("GET /api/raw/{name} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let with_body = "POST /api/raw/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc";
    for bad in [
        "GET /api/raw/bad HTTP/1.1\nHost: localhost\n\n",
        "GET /api/raw/bad HTTP/1.1\r\nHost: localhost\r\nX : 1\r\n\r\n",
        "POST /api/raw/bad HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /api/raw/bad HTTP/1.1\r\n\r\n",
        "GET /api/raw/bad HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\r\n\r\n\r\n",
        "\0",
    ] {
        let row = good("a") + with_body + bad + &good("c");
        for size in [row.len(), 1, 50] {
            let mut client = Wire::connect(&proxy).await;
            for piece in row.as_bytes().chunks(size) {
                // The proxy may have closed before the last.
                if client.stream.write_all(piece).await.is_err() {
                    break;
                }
            }
            for name in ["a", "b"] {
                let (head, body) = client.message().await;
                assert!(head.starts_with("HTTP/1.1 200 "), "{bad:?}, {size}: {head}");
                assert_eq!(body, format!("/api/raw/{name}"), "{bad:?}, {size}");
            }
            let rest = client.rest().await;
            assert!(
                rest.starts_with("HTTP/1.1 400 ") || rest.starts_with("HTTP/1.1 505 "),
                "{bad:?}, {size}: {rest}"
            );
            assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{bad:?}: {rest}");
            assert_eq!(field(&rest, "connection"), Some("close"), "{bad:?}: {rest}");
            let seen = recorder.take();
            assert_eq!(seen.len(), 2, "{bad:?}, {size}: {seen:?}");
        }
    }
    lives(&(recorder, proxy)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_a_request_that_closes() {
    let both = Recorder::behind_proxy().await;
    for request in [
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\nConnection: x, Close\r\n\r\n",
        "GET /api/raw HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "POST /api/raw HTTP/1.0\r\nHost: localhost\r\nContent-Length: 1\r\n\r\na",
    ] {
        let next = "GET /api/raw/next HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let answer = both.1.raw(format!("{request}{next}")).await;
        assert_eq!(
            answer.matches(" 200 OK\r\n").count(),
            1,
            "{request}: {answer}"
        );
        assert_eq!(both.0.take().len(), 1, "{request}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_reaches_a_client_that_still_sends() {
    let both = Recorder::behind_proxy().await;
    let flood = "x".repeat(40_000_000);
    for head in [
        // Refused whole, with something behind it.
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
    ] {
        let mut client = Wire::connect(&both.1).await;
        client.send(head).await;
        // Nothing of it is refused by the kernel, as it would be by a socket that was closed.
        client.send(&flood).await;
        let rest = client.rest().await;
        assert!(rest.starts_with("HTTP/1.1 400 "), "{head}: {rest}");
        assert!(rest.ends_with("}\n"), "{head}: {rest}");
    }
    // A good request that is refused for another reason.
    let mut client = Wire::connect(&both.1).await;
    client
        .send(format!(
            "POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{flood}",
            flood.len()
        ))
        .await;
    let rest = client.rest().await;
    assert!(rest.starts_with("HTTP/1.1 404 "), "{rest}");
    assert!(both.0.take().is_empty());
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_answer_to_a_large_upload_arrives() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n\r\nabc")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let sending = async {
        let flood = vec![b'x'; 8_000_000 - 3];
        // It may be told to stop before all is sent.
        let _ = timeout(PATIENCE, client.stream.write_all(&flood)).await;
    };
    sending.await;
    let (head, body) = client.message().await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
    assert_eq!(body, "no");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_sent_all_gets_an_answer_that_is_quick() {
    let (recorder, proxy) = Recorder::behind_proxy().await;
    // The token is there before; it would take its time.
    assert_eq!(proxy.get("/api/raw/first").await.status, 200);
    recorder.take();
    for request in [
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /api/raw HTTP/1.0\r\nHost: localhost\r\n\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut client = Wire::connect(&proxy).await;
        client.send(request).await;
        client.stream.shutdown().await.unwrap();
        let answer = client.rest().await;
        let status = if request == "nonsense\r\n\r\n" {
            "400"
        } else {
            "200"
        };
        assert_eq!(answer.get(9..12), Some(status), "{request}: {answer:?}");
        assert!(
            answer.ends_with("/api/raw") || answer.ends_with("}\n"),
            "{answer}"
        );
    }
    assert_eq!(recorder.take().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_sent_several_gets_all_their_answers() {
    let (recorder, proxy) = Recorder::behind_proxy().await;
    assert_eq!(proxy.get("/api/raw/first").await.status, 200);
    recorder.take();
    let get = "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let expects = "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    for (row, asked) in [
        (get.repeat(20), 20),
        (expects.to_owned(), 1),
        (expects.repeat(3) + get, 4),
        // The last one never comes.
        (get.repeat(2) + "GET /api/raw HTTP/1.1\r\nHost: ", 2),
    ] {
        let mut client = Wire::connect(&proxy).await;
        client.send(&row).await;
        client.stream.shutdown().await.unwrap();
        let answer = client.rest().await;
        assert_eq!(
            answer.matches(" 200 OK\r\n").count(),
            asked,
            "{row}: {answer}"
        );
        assert_eq!(recorder.take().len(), asked, "{row}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_ends_in_its_request_sends_none() {
    let both = Recorder::behind_proxy().await;
    for part in [
        "",
        "G",
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n",
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nab",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y",
    ] {
        let mut client = Wire::connect(&both.1).await;
        client.send(part).await;
        client.stream.shutdown().await.unwrap();
        let answer = client.rest().await;
        assert!(!answer.contains(" 200 "), "{part:?}: {answer}");
        assert!(both.0.take().is_empty(), "{part:?}");
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hang_up_is_noticed_soon() {
    let (upstreams, proxy) = start().await;
    upstreams
        .faults(serde_json::json!({"api": [{"hold": "it"}]}))
        .await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    upstreams.wait("held=it").await;
    drop(client);
    timeout(Duration::from_secs(20), upstreams.wait("aborted=1"))
        .await
        .expect("upstream's request is given up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_expectations_keep_the_row_in_step() {
    let both = Recorder::behind_proxy().await;
    let mut client = Wire::connect(&both.1).await;
    client
        .send("HEAD /api/raw/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let head = client.head().await;
    assert_eq!(field(&head, "content-length"), Some("10"), "{head}");
    client
        .send("POST /api/raw/2 HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    client
        .send("abcGET /api/raw/3 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    for index in [2, 3] {
        assert_eq!(client.message().await.1, format!("/api/raw/{index}"));
    }
    let seen = both.0.take();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(
        seen.iter()
            .all(|request| field(&request.head, "expect").is_none())
    );
    let bad = "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: x\r\n\r\n";
    refused(&both, "an expectation of nonsense", bad.as_bytes(), &[400]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_has_sent_all_is_served_for_as_long_as_it_reads() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    client.stream.shutdown().await.unwrap();
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    // Several times what an answer has that doesn't move.
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        upstream.send("3\r\nabc\r\n").await;
        assert_eq!(client.take(8).await, b"3\r\nabc\r\n");
    }
    upstream.send("0\r\n\r\n").await;
    assert_eq!(client.rest().await, "0\r\n\r\n");
}
