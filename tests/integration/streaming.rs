//! Bodies of any size take no memory, and whoever stalls stalls the other side.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use crate::{
    support::{self, Proxy},
    wire::{Flood, RawUpstream, Wire, field, h2c},
};

const MIB: u64 = 1024 * 1024;
/// How much more memory a body may take than none, in KiB. It is for the buffers of two connections.
const GROWTH: u64 = 16 * 1024;

/// Runs a transfer, and returns by how many KiB the proxy's memory grew beyond what it was before.
async fn growth<T>(proxy: &Proxy, what: &str, transfer: impl Future<Output = T>) -> T {
    proxy.reset_peak();
    let (before, start) = (proxy.memory(), Instant::now());
    let outcome = transfer.await;
    let growth = proxy.peak_memory().saturating_sub(before);
    eprintln!(
        "{what}: {growth} KiB more than {before}, {:?}",
        start.elapsed()
    );
    assert!(growth <= GROWTH, "{what}: {growth} KiB");
    outcome
}

/// Downloads to nowhere, and returns how many bytes there were.
async fn download(client: &Client<HttpConnector, Full<Bytes>>, uri: &str) -> u64 {
    let answer = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let (mut body, mut bytes) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame
            .unwrap()
            .data_ref()
            .map_or(0, |data| data.len() as u64);
    }
    bytes
}

async fn upload(client: &Client<HttpConnector, Flood>, proxy: &Proxy, body: Flood) -> u64 {
    let request = Request::post(format!("{}/api/sandbox/upload", proxy.url));
    let answer = client.request(request.body(body).unwrap()).await.unwrap();
    let answer = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice::<Value>(&answer).unwrap()["bytes"]
        .as_u64()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_down_takes_no_memory() {
    let (_upstreams, proxy) = support::start().await;
    let uri = |bytes: u64| {
        format!(
            "{}/api/sandbox/download?bytes={bytes}&type=binary",
            proxy.url
        )
    };
    download(&proxy.client, &uri(MIB)).await;
    let bytes = growth(
        &proxy,
        "1 GiB down",
        download(&proxy.client, &uri(1024 * MIB)),
    )
    .await;
    assert_eq!(bytes, 1024 * MIB);
    let client = h2c();
    let bytes = growth(
        &proxy,
        "256 MiB down, HTTP/2",
        download(&client, &uri(256 * MIB)),
    )
    .await;
    assert_eq!(bytes, 256 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gigabyte_up_takes_no_memory() {
    let (_upstreams, proxy) = support::start().await;
    let client = Client::builder(TokioExecutor::new()).build_http();
    upload(&client, &proxy, Flood::new(MIB, true)).await;
    let body = Flood::new(1024 * MIB, true);
    let bytes = growth(&proxy, "1 GiB up", upload(&client, &proxy, body)).await;
    assert_eq!(bytes, 1024 * MIB);
    let body = Flood::new(256 * MIB, false);
    let bytes = growth(
        &proxy,
        "256 MiB up in chunks, HTTP/2",
        upload(&h2c(), &proxy, body),
    )
    .await;
    assert_eq!(bytes, 256 * MIB);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_that_is_decoded_and_rewritten_takes_no_memory() {
    let (_upstreams, proxy) = support::start().await;
    let uri = |bytes: u64| format!("{}/api/sandbox/download?bytes={bytes}&type=json", proxy.url);
    download(&proxy.client, &uri(MIB)).await;
    let large = uri(256 * MIB);
    let transfer = download(&proxy.client, &large);
    assert_eq!(growth(&proxy, "256 MiB of JSON", transfer).await, 256 * MIB);
}

/// Writes until nothing more is taken for a while, or all is.
async fn write_until_stalled(stream: &mut (impl AsyncWriteExt + Unpin), bytes: u64) -> u64 {
    let (block, mut written) = (vec![b'x'; 64 * 1024], 0);
    while written < bytes {
        let part = &block[..block.len().min(usize::try_from(bytes - written).unwrap())];
        match timeout(Duration::from_secs(1), stream.write(part)).await {
            Ok(taken) => written += taken.unwrap() as u64,
            Err(_) => break,
        }
    }
    written
}

/// Reads to nowhere.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), bytes: u64) {
    let mut stream = stream.take(bytes);
    let read = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    assert_eq!(read.unwrap(), bytes);
}

const STALLED: u64 = 512 * MIB;
/// What the kernel may hold on the way, and some.
const HELD: u64 = 64 * MIB;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_stops_upstream() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let mut upstream = raw.accept().await;
    upstream.head().await;
    upstream
        .send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {STALLED}\r\n\r\n"
        ))
        .await;
    let stalled = write_until_stalled(&mut upstream.stream, STALLED);
    let written = growth(&proxy, "a stalled download", stalled).await;
    eprintln!("taken: {} MiB", written / MIB);
    assert!(written < HELD, "{written}");

    // Nothing is lost when it goes on.
    let rest = STALLED - written;
    let writing =
        tokio::spawn(async move { write_until_stalled(&mut upstream.stream, rest).await });
    let head = client.head().await;
    assert_eq!(field(&head, "content-length"), Some(&*STALLED.to_string()));
    let ahead = client.ahead() as u64;
    read(&mut client.stream, STALLED - ahead).await;
    assert_eq!(writing.await.unwrap(), rest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_stops_reading_stops_the_client() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let mut client = Wire::connect(&proxy).await;
    client
        .send(format!(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: {STALLED}\r\n\r\n"
        ))
        .await;
    let mut upstream = raw.accept().await;
    let stalled = write_until_stalled(&mut client.stream, STALLED);
    let written = growth(&proxy, "a stalled upload", stalled).await;
    eprintln!("taken: {} MiB", written / MIB);
    assert!(written < HELD, "{written}");

    let rest = STALLED - written;
    let writing = tokio::spawn(async move {
        assert_eq!(write_until_stalled(&mut client.stream, rest).await, rest);
        client
    });
    let head = upstream.head().await;
    assert_eq!(field(&head, "content-length"), Some(&*STALLED.to_string()));
    let ahead = upstream.ahead() as u64;
    read(&mut upstream.stream, STALLED - ahead).await;
    let mut client = writing.await.unwrap();
    upstream
        .send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        .await;
    assert_eq!(client.message().await.1, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_http2_that_stop_reading_take_no_memory_either() {
    let (_upstreams, proxy) = support::start().await;
    let client = h2c::<Full<Bytes>>();
    let uri = format!(
        "{}/api/sandbox/download?bytes={STALLED}&type=binary",
        proxy.url
    );
    download(&client, &uri.replace(&STALLED.to_string(), "1000000")).await;
    let stalled = async {
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.push(client.get(uri.parse().unwrap()).await.unwrap());
        }
        // Whatever runs up, runs up meanwhile.
        let beside = format!(
            "{}/api/sandbox/download?bytes={}&type=binary",
            proxy.url,
            64 * MIB
        );
        assert_eq!(download(&proxy.client, &beside).await, 64 * MIB);
        answers
    };
    growth(&proxy, "4 stalled downloads, HTTP/2", stalled).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_stop_reading_hold_nobody_else_up() {
    let (_upstreams, proxy) = support::start().await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!("GET /api/sandbox/download?bytes={STALLED}&type=binary HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        client.head().await;
        stalled.push(client);
    }
    // In turn for each worker, whose connection to upstream the stalled ones share.
    for _ in 0..16 {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!("GET /api/sandbox/download?bytes={}&type=binary HTTP/1.1\r\nHost: localhost\r\n\r\n", 8 * MIB))
            .await;
        client.head().await;
        client.take(usize::try_from(8 * MIB).unwrap()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_upstream_does_not_take_holds_no_other_up() {
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    let client = h2c();
    let mut held = Vec::new();
    for _ in 0..4 {
        let request =
            Request::post(format!("{}/api/raw", proxy.url)).body(Flood::new(STALLED, false));
        let asking = tokio::spawn(client.request(request.unwrap()));
        let mut upstream = raw.accept().await;
        upstream.head().await;
        upstream.take(1000).await;
        held.push((asking, upstream));
    }
    // All on the one connection of this client.
    for _ in 0..8 {
        let sent = upload(&client, &proxy, Flood::new(8 * MIB, false));
        assert_eq!(
            timeout(support::PATIENCE, sent).await.expect("no hang"),
            8 * MIB
        );
    }
}
