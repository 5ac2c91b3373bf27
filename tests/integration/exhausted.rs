//! What runs out: places for requests, memory, file descriptors.

use std::{fs, process::Command};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;

use crate::{
    load::{self, Http2},
    support::{Proxy, Upstreams},
    wire::{RawUpstream, Wire},
};

const ENDLESS: &str = "/api/sandbox/download?bytes=100000000000&type=binary";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_requests_than_allowed_wait_for_their_turn() {
    let upstreams = Upstreams::start().await;
    let config = format!("{}\n[limits]\nrequests = 2\n", upstreams.config());
    let proxy = Proxy::start(&upstreams, &config);
    upstreams
        .faults(json!({"api": [{"hold": "late", "times": 2}]}))
        .await;
    let client = Http2::connect(&proxy).await;
    let answers = client.get_many(load::SMALL, 20);
    client.all_begun().await;
    upstreams.wait("held=late&api_calls=2").await;
    assert_eq!(upstreams.api_calls().await, 2, "more than two at a time");
    upstreams.release("late").await;
    load::all_ok(answers).await;
    assert_eq!(upstreams.api_calls().await, 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_cost_what_is_said_and_give_it_back() {
    const READERS: usize = 100;
    const CONNECTIONS: usize = 20;
    const STREAMS: usize = 20;
    const REQUESTS: usize = 100;
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}\n[limits]\nrequests = {REQUESTS}\nstall = \"2s\"\n",
        upstreams.config()
    );
    let proxy = Proxy::start(&upstreams, &config);
    assert_eq!(proxy.get("/api/sandbox/echo").await.status, 200);
    proxy.reset_peak();
    let before = proxy.memory();

    let mut unread = Vec::new();
    for _ in 0..READERS {
        let mut client = Wire::connect(&proxy).await;
        client
            .send(format!("GET {ENDLESS} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
            .await;
        unread.push(client);
    }
    let mut senders = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = proxy.connect().await;
        let (mut sender, connection) =
            http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(connection);
        for _ in 0..STREAMS {
            let request = Request::get(format!("{}{ENDLESS}", proxy.url));
            let answer = sender.send_request(request.body(Empty::new()).unwrap());
            streams.push(tokio::spawn(answer));
        }
        senders.push(sender);
    }
    // In turn all have had a place, and have lost it.
    upstreams
        .wait(&format!("aborted={}", READERS + CONNECTIONS * STREAMS))
        .await;
    let grown = proxy.peak_memory().saturating_sub(before);
    eprintln!(
        "{} unread answers: {grown} KiB",
        READERS + CONNECTIONS * STREAMS
    );
    // A window of upstream for each place, and 200 KiB for each connection; twice that, as an allocator keeps some of what was freed.
    let bound = 2 * (REQUESTS * 512 + (READERS + CONNECTIONS) * 200);
    assert!(grown < bound as u64, "{grown} KiB of {bound}");
    assert_eq!(proxy.get("/api/sandbox/echo").await.status, 200);
    drop((unread, senders, streams));
    assert_eq!(proxy.get("/api/sandbox/echo").await.status, 200);
}

fn open_files(proxy: &Proxy) -> usize {
    fs::read_dir(format!("/proc/{}/fd", proxy.pid()))
        .unwrap()
        .count()
}

fn allow_files(proxy: &Proxy, count: usize) {
    let status = Command::new("prlimit")
        .args(["--pid", &proxy.pid().to_string()])
        .arg(format!("--nofile={count}:4096"))
        .status()
        .expect("prlimit");
    assert!(status.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(target_os = "linux")]
async fn without_file_descriptors_what_is_open_is_served_and_the_rest_waits() {
    const ASK: &str = "GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
    allow_files(&proxy, 1024);
    // Some for each worker, so that each has its connection to the stand-ins.
    let mut open = Vec::new();
    for _ in 0..4 * std::thread::available_parallelism().unwrap().get() {
        let mut client = Wire::connect(&proxy).await;
        client.send(ASK).await;
        assert!(client.message().await.0.starts_with("HTTP/1.1 200 "));
        open.push(client);
    }
    let mut kept = open.pop().unwrap();

    allow_files(&proxy, open_files(&proxy));
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut client = Wire::connect(&proxy).await;
        client.send(ASK).await;
        waiting.push(client);
    }
    // More than one try of the proxy to accept.
    for _ in 0..50 {
        kept.send(ASK).await;
        assert!(kept.message().await.0.starts_with("HTTP/1.1 200 "));
    }
    // A connection to another upstream can't be had.
    kept.send("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    let (head, body) = kept.message().await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    assert!(body.contains("ulimit -n"), "{body}");
    assert!(raw.is_idle().await);

    allow_files(&proxy, 1024);
    for client in &mut waiting {
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
    let warned = proxy.log().matches("WARN can't accept connections").count();
    assert_eq!(warned, 1, "once, not at every try");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(target_os = "linux")]
async fn the_limits_fit_the_files_that_may_be_open() {
    let upstreams = Upstreams::start().await;
    let (serve, log) = crate::support::serve_command(&upstreams, &upstreams.config());
    let mut command = Command::new("prlimit");
    command.arg("--nofile=104:104").arg(serve.get_program());
    command.args(serve.get_args());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let proxy = Proxy::spawn(command, log);
    let mut clients = Vec::new();
    for _ in 0..60 {
        let mut client = Wire::connect(&proxy).await;
        client
            .send("GET /api/sandbox/echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await;
        clients.push(client);
    }
    for client in &mut clients {
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    }
    let log = proxy.log();
    assert!(log.contains("they are lowered"), "{log}");
    assert!(!log.contains("can't accept"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_in_limits_is_reported() {
    let upstreams = Upstreams::start().await;
    for (key, fault) in [
        ("connections = 0", "a whole number from 1 to"),
        ("requests = -1", "a whole number from 1 to"),
        ("requests = 1.5", "a whole number from 1 to"),
        (
            "requests = 9999999999999999999999",
            "a whole number from 1 to",
        ),
        ("connections = \"many\"", "a whole number from 1 to"),
        ("grace = 25", "a time with its unit"),
        ("stall = \"0s\"", "from \"1ms\" to \"24h\""),
        ("idel = \"75s\"", "did you mean `idle`?"),
    ] {
        let file = upstreams.write_config(&format!("{}\n[limits]\n{key}\n", upstreams.config()));
        let checked = crate::programs::run_with(&["check", "--offline", "--config", &file]).await;
        assert_ne!(checked.code, Some(0), "{key}");
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(said.contains(fault), "{key}: {said}");
    }
}
