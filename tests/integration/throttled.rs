//! What a `429` of upstream does to the requests after it: passed on, answered for it, or waited out.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    support::{Answer, PATIENCE, Proxy, Upstreams},
    wire::{RawUpstream, Wire, field, h2c},
};

/// A proxy whose only route has these keys.
async fn start(keys: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let route = format!("[[route]]\nprefix = \"/\"\napi = \"defender\"\n{keys}\n");
    let proxy = Proxy::start(&upstreams, &format!("{}\n{route}", upstreams.config()));
    (upstreams, proxy)
}

fn is_upstreams(answer: &Answer) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS && !answer.headers.contains_key("proxy-status")
}

fn is_own(answer: &Answer) -> bool {
    answer.status == StatusCode::TOO_MANY_REQUESTS && answer.is_own("proxy_internal_response")
}

fn seconds(answer: &Answer) -> u64 {
    answer.header("retry-after").parse().expect("seconds")
}

/// How many requests for targets that begin so have reached the stand-ins.
async fn reached(upstreams: &Upstreams, target: &str) -> usize {
    let seen = upstreams.api_requests().await;
    let is_one = |request: &&serde_json::Value| {
        request["target"]
            .as_str()
            .is_some_and(|own| own.starts_with(target))
    };
    seen.iter().filter(is_one).count()
}

/// Waits until the proxy has read the `429`.
async fn gate_closed(proxy: &Proxy) {
    let closed = async {
        while !proxy.log().contains("the gate is closed") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("a closed gate");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstreams_word_closes_the_gate_for_calls_of_its_kind() {
    for (name, retry_after, closes) in [
        ("seconds", json!(70), true),
        ("a date", json!("date+70"), true),
        ("nothing", json!(null), false),
        ("zero", json!(0), false),
        ("too many seconds", json!(90_000), true),
    ] {
        let (upstreams, proxy) = start("").await;
        let mut fault = json!({"status": 429, "path": "/api/alerts"});
        if !retry_after.is_null() {
            fault["retry_after"] = retry_after;
        }
        upstreams.faults(json!({"api": [fault]})).await;
        assert!(is_upstreams(&proxy.get("/api/alerts").await), "{name}");
        let next = proxy.get("/api/v1.0/ALERTS?$top=1").await;
        if closes {
            assert!(is_own(&next), "{name}: {next:?}");
            let most = if name.starts_with("too") { 3_600 } else { 70 };
            assert!(
                (most - 60..=most).contains(&seconds(&next)),
                "{name}: {next:?}"
            );
            assert!(
                next.text().contains("Defender has throttled"),
                "{name}: {}",
                next.text()
            );
            assert_eq!(upstreams.api_calls().await, 1, "{name}");
        } else {
            assert_eq!(next.status, 200, "{name}");
        }
        for other in [
            "/api/machines",
            "/api/incidents",
            "/v1.0/security/alerts_v2",
        ] {
            assert_eq!(proxy.get(other).await.status, 200, "{name}: {other}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_no_throttling() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"30s\" }").await;
    let fault = json!({"status": 503, "retry_after": 30, "path": "/api/alerts"});
    upstreams.faults(json!({"api": [fault]})).await;
    let answer = proxy.get("/api/alerts").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (503, "30")
    );
    assert_eq!(proxy.get("/api/alerts").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_throttled_request_is_waited_out_and_sent_again() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"20s\" }").await;
    let fault = json!({"status": 429, "retry_after": 1, "times": 2, "path": "/api/sandbox/echo"});
    upstreams.faults(json!({"api": [fault]})).await;
    let started = Instant::now();
    let answer = proxy.post("/api/sandbox/echo/1", vec![b'x'; 60_000]).await;
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["bodyBytes"], 60_000);
    assert_eq!(reached(&upstreams, "/api/sandbox/echo/1").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_wait_gets_upstreams_answer_as_it_came() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"2s\" }").await;
    let throttle = |retry_after: u64| json!({"api": [{"status": 429, "retry_after": retry_after, "path": "/api/sandbox"}]});
    // Too large to be kept.
    upstreams.faults(throttle(1)).await;
    let answer = proxy
        .post("/api/sandbox/echo/large", vec![b'x'; 100_000])
        .await;
    assert!(is_upstreams(&answer), "{answer:?}");
    assert_eq!(reached(&upstreams, "/api/sandbox/echo/large").await, 1);
    // One that comes now waits for the other's second, and is refused itself until its two seconds are over.
    let always = json!({"api": [{"status": 429, "retry_after": 1, "times": "always", "path": "/api/sandbox"}]});
    upstreams.faults(always).await;
    let answer = proxy.get("/api/sandbox/echo/patient").await;
    assert!(is_upstreams(&answer), "{answer:?}");
    assert!(
        answer.text().contains("TooManyRequests"),
        "{}",
        answer.text()
    );
    assert!((1..=2).contains(&reached(&upstreams, "/api/sandbox/echo/patient").await));
    assert_eq!(proxy.get("/api/machines").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_beyond_the_limit_is_refused_at_once() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"5s\" }").await;
    upstreams
        .faults(json!({"api": [{"status": 429, "retry_after": 60, "path": "/api/alerts"}]}))
        .await;
    let answer = proxy.get("/api/alerts").await;
    assert!(is_upstreams(&answer), "{answer:?}");
    let answer = proxy.get("/api/alerts/7").await;
    assert!(
        is_own(&answer) && (50..=60).contains(&seconds(&answer)),
        "{answer:?}"
    );
    assert_eq!(reached(&upstreams, "/api/alerts").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_no_time() {
    for value in ["soon", "-1", "1.5", "99999999999999999999", "\u{e9}"] {
        let (_upstreams, proxy, raw) = RawUpstream::behind_proxy().await;
        let throttled = format!(
            "HTTP/1.1 429 x\r\nRetry-After: {value}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        for _ in 0..2 {
            let (answer, ()) = tokio::join!(proxy.get("/api/raw"), async {
                let mut wire = raw.accept().await;
                wire.head().await;
                wire.send(&throttled).await;
            });
            assert!(is_upstreams(&answer), "{value}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_the_queue_and_is_never_sent() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"30s\" }").await;
    upstreams
        .faults(json!({"api": [{"status": 429, "retry_after": 3, "path": "/api/sandbox"}]}))
        .await;
    let mut first = Wire::connect(&proxy).await;
    first
        .send("GET /api/sandbox/echo/first HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    gate_closed(&proxy).await;
    let mut gone = Vec::new();
    for _ in 0..3 {
        let mut wire = Wire::connect(&proxy).await;
        wire.send("GET /api/sandbox/echo/gone HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await;
        gone.push(wire);
    }
    let client = h2c::<Full<Bytes>>();
    let abandoned = client.get(
        format!("{}/api/sandbox/echo/gone", proxy.url)
            .parse()
            .unwrap(),
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(300), abandoned)
            .await
            .is_err()
    );
    let mut last = Wire::connect(&proxy).await;
    last.send("GET /api/sandbox/echo/last HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    drop(gone);
    for wire in [&mut first, &mut last] {
        let head = wire.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    }
    assert_eq!(reached(&upstreams, "/api/sandbox/echo/gone").await, 0);
    assert_eq!(reached(&upstreams, "/api/sandbox/echo").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gate_opens_to_few_and_nobody_is_lost() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"30s\" }").await;
    let faults = json!({"api": [
        {"status": 429, "retry_after": 1, "path": "/api/sandbox"},
        {"hold": "trial", "times": 2, "path": "/api/sandbox"},
    ]});
    upstreams.faults(faults).await;
    let mut all = JoinSet::new();
    for number in 0..60 {
        let uri = format!("{}/api/sandbox/echo/{number}", proxy.url);
        let client = proxy.client.clone();
        if number == 1 {
            gate_closed(&proxy).await;
        }
        all.spawn(async move {
            let response = tokio::time::timeout(PATIENCE, client.get(uri.parse().unwrap())).await;
            Answer::read(response.expect("no hang").expect("an answer")).await
        });
    }
    upstreams.wait("held=trial&api_calls=3").await;
    // The others had all the time to follow.
    assert_eq!(proxy.get("/api/machines").await.status, 200);
    assert_eq!(reached(&upstreams, "/api/sandbox").await, 3);
    upstreams.release("trial").await;
    while let Some(answer) = all.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(
        reached(&upstreams, "/api/sandbox").await,
        61,
        "one of them twice"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_is_answered_when_the_proxy_stops() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"1m\" }").await;
    upstreams
        .faults(json!({"api": [{"status": 429, "retry_after": 50, "path": "/api/sandbox"}]}))
        .await;
    let (mut refused, mut waiting) = (Wire::connect(&proxy).await, Wire::connect(&proxy).await);
    refused
        .send("GET /api/sandbox/echo/1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    gate_closed(&proxy).await;
    waiting
        .send("GET /api/sandbox/echo/2 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    // One that came later has been read.
    assert_eq!(proxy.get("/api/machines").await.status, 200);
    proxy.signal("TERM");
    let head = waiting.head().await;
    assert!(
        head.starts_with("HTTP/1.1 429 ") && field(&head, "proxy-status").is_some(),
        "{head}"
    );
    let head = refused.head().await;
    assert!(
        head.starts_with("HTTP/1.1 429 ") && field(&head, "proxy-status").is_none(),
        "{head}"
    );
    drop((refused, waiting));
    let code = tokio::time::timeout(Duration::from_secs(10), proxy.exit_code()).await;
    assert_eq!(code.expect("an exit"), Some(0));
    assert_eq!(reached(&upstreams, "/api/sandbox").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identities_of_one_application_share_what_upstream_allows() {
    let upstreams = Upstreams::start().await;
    let config = upstreams.config();
    let (start, rest) = config.split_once("[identity.sandbox]").unwrap();
    let (identity, rest) = rest.split_once("[upstream]").unwrap();
    let route = |prefix: &str, name: &str| {
        format!("[[route]]\nprefix = \"{prefix}\"\napi = \"defender\"\nidentity = \"{name}\"\n")
    };
    let config = format!(
        "{start}[identity.one]{identity}[identity.two]{identity}[upstream]{rest}\n{}{}",
        route("/", "one"),
        route("/api/sandbox/echo/two", "two"),
    );
    let proxy = Proxy::start(&upstreams, &config);
    upstreams
        .faults(json!({"api": [{"status": 429, "retry_after": 60, "path": "/api/sandbox"}]}))
        .await;
    assert!(is_upstreams(&proxy.get("/api/sandbox/echo/one").await));
    for target in ["/api/sandbox/echo/one", "/api/sandbox/echo/two"] {
        assert!(is_own(&proxy.get(target).await), "{target}");
    }
    let request = proxy
        .request(Method::GET, "/api/machines")
        .body(Full::default())
        .unwrap();
    assert_eq!(proxy.exchange(request).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_rate_limit_takes_no_place_from_others() {
    let (upstreams, proxy) = start("on_throttle = { wait = \"1m\" }\n[limits]\nrequests = 1").await;
    let fault = json!({"status": 429, "retry_after": 50, "path": "/api/machines"});
    upstreams.faults(json!({"api": [fault]})).await;
    let target = format!("{}/api/machines", proxy.url).parse().unwrap();
    let throttled = tokio::spawn(proxy.client.get(target));
    gate_closed(&proxy).await;
    // Of another kind. Nobody waits for a place longer than half a minute.
    assert_eq!(proxy.get("/api/incidents").await.status, 200);
    assert!(!throttled.is_finished());
}
