//! Tokens are renewed while they serve, so nobody waits for it, and an outage of Entra ID is not felt until they end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval},
};

use crate::{
    load::{self, Http2},
    outages::dead_connection,
    support::{Answer, Proxy, Upstreams},
};

/// A load of about a thousand requests each second, until it is stopped.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    task: JoinHandle<Vec<Answer>>,
}

impl Load {
    async fn start(proxy: &Proxy) -> Self {
        let connections = Http2::connect_many(proxy, 4).await;
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let task = tokio::spawn(press(connections, Arc::clone(&stop), Arc::clone(&done)));
        Self { stop, done, task }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Comes back when so many more have been answered.
    async fn more(&self, count: u64) {
        let goal = self.done() + count;
        while self.done() < goal {
            assert!(!self.task.is_finished(), "the load broke down");
            tokio::task::yield_now().await;
        }
    }

    /// The answers that were errors.
    async fn stop(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn press(
    connections: Vec<Http2>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
) -> Vec<Answer> {
    let mut ticks = interval(Duration::from_millis(4));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let (mut pending, mut errors) = (JoinSet::new(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        for connection in &connections {
            let answer = connection.get(load::SMALL);
            let done = Arc::clone(&done);
            pending.spawn(async move {
                let answer = answer.await.expect("an answer");
                done.fetch_add(1, Ordering::Relaxed);
                answer
            });
        }
        while let Some(answer) = pending.try_join_next() {
            errors.extend(failed(answer.unwrap()));
        }
    }
    while let Some(answer) = pending.join_next().await {
        errors.extend(failed(answer.unwrap()));
    }
    errors
}

fn failed(answer: Answer) -> Option<Answer> {
    (answer.status != StatusCode::OK).then_some(answer)
}

async fn with_lifetime(seconds: u64) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    upstreams.settings(json!({"token_lifetime": seconds})).await;
    let proxy = Proxy::start_with(&upstreams, &upstreams.config(), &[]);
    (upstreams, proxy)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_renewals_under_load_are_not_felt() {
    let (upstreams, proxy) = with_lifetime(5).await;
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    upstreams
        .faults(json!({"token": [{"hold": "renewal", "times": 5}]}))
        .await;
    let (load, began) = (Load::start(&proxy).await, Instant::now());
    for renewal in 1..=5 {
        upstreams.wait("held=renewal").await;
        // The new token is still to come, and requests are answered.
        load.more(300).await;
        let stats = upstreams.stats().await;
        assert_eq!(stats["held"]["renewal"], 1, "renewal {renewal}");
        upstreams.release("renewal").await;
    }
    load.more(300).await;
    let (done, took) = (load.done(), began.elapsed());
    eprintln!("{done} requests in {took:?}, while five tokens were renewed");
    let errors = load.stop().await;
    assert!(errors.is_empty(), "{}: {:?}", errors.len(), errors.first());
    assert_eq!(upstreams.token_requests().await, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_not_felt_while_the_token_lives_and_passes_by_itself() {
    tokio::join!(
        outage(json!({"status": 503})),
        outage(json!({"reset": "before-headers"})),
        silence(),
        dead_connection(),
    );
}

async fn outage(mut script: Value) {
    const LIFE: Duration = Duration::from_secs(8);
    let (upstreams, proxy) = with_lifetime(LIFE.as_secs()).await;
    let began = Instant::now();
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    script["times"] = json!("always");
    upstreams.faults(json!({"token": [script]})).await;

    // Every answer is good, until the first that isn't: then the token has ended.
    let connection = Http2::connect(&proxy).await;
    let answer = loop {
        let mut answers = load::all(connection.get_many(load::SMALL, 10)).await;
        answers.retain(|answer| answer.status != StatusCode::OK);
        if let Some(answer) = answers.pop() {
            break answer;
        }
    };
    let lived = began.elapsed();
    eprintln!("served for {lived:?}");
    assert!(lived >= LIFE, "only {lived:?}: {}", answer.text());
    assert!(answer.is_own("destination_unavailable"), "{answer:?}");
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    for answer in load::all(connection.get_many(load::SMALL, 100)).await {
        assert!(answer.is_own("destination_unavailable"), "{answer:?}");
    }
    let asked = upstreams.token_requests().await;
    assert!(asked <= 4, "{asked} token requests in {LIFE:?}");

    upstreams
        .control(Method::POST, "/_sandbox/reset", json!({}))
        .await;
    let answer = proxy.get(load::SMALL).await;
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=11).contains(&wait), "{wait}");
    // A client that waits as it is told is served.
    tokio::time::sleep(Duration::from_secs(wait)).await;
    let answer = proxy.get(load::SMALL).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(upstreams.token_requests().await, 1);
}

/// An Entra ID that takes the question and never answers costs half a minute, once for all who wait, and then two seconds at most.
async fn silence() {
    let (upstreams, proxy) = with_lifetime(3600).await;
    upstreams
        .faults(json!({"token": [{"hold": "silence", "times": "always"}]}))
        .await;
    let connection = Http2::connect(&proxy).await;
    for answer in load::all(connection.get_many(load::SMALL, 20)).await {
        assert!(answer.is_own("destination_unavailable"), "{answer:?}");
    }
    assert_eq!(upstreams.token_requests().await, 1);
    // The next question may take as long, but nobody waits for it.
    let began = Instant::now();
    let mut asked = 1;
    while asked < 2 || began.elapsed() < Duration::from_secs(3) {
        for answer in load::all(connection.get_many(load::SMALL, 20)).await {
            assert!(answer.is_own("destination_unavailable"), "{answer:?}");
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(15), "{took:?}");
        asked = upstreams.token_requests().await;
    }
    assert_eq!(asked, 2);
    upstreams.release("silence").await;
    let answer = proxy.get(load::SMALL).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_comes_when_entra_hints_it() {
    // The hint is half of the life; without it three quarters would pass.
    let (upstreams, proxy) = with_lifetime(12).await;
    upstreams
        .faults(json!({"settings": {"refresh_in": "always"}, "token": [{"hold": "renewal", "after": 1}]}))
        .await;
    let began = Instant::now();
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    upstreams.wait("held=renewal").await;
    let renewed = began.elapsed();
    eprintln!("renewed after {renewed:?} of 12 s, hint 6 s");
    assert!(renewed > Duration::from_secs(4), "{renewed:?}");
    assert!(renewed < Duration::from_secs(8), "{renewed:?}");
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    upstreams.release("renewal").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_nobody_uses_is_not_renewed() {
    let (upstreams, proxy) = with_lifetime(2).await;
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    // The first token was used, so it is renewed; the second was not.
    upstreams.wait("token_requests=2").await;
    // There is no event to wait for: the second one's whole life passes.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(upstreams.token_requests().await, 2);
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    assert_eq!(upstreams.token_requests().await, 3);
}
