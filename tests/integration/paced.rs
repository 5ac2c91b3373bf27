//! Staying within the documented budgets, and telling clients where they stand.

use http::StatusCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    support::{Answer, PATIENCE, Proxy, Upstreams},
    wire::RawUpstream,
};

/// Stand-ins that count as documented, behind a proxy whose only route has these keys.
async fn start(keys: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    upstreams
        .settings(json!({"rate_limit": "documented"}))
        .await;
    let route = format!("[[route]]\nprefix = \"/\"\napi = \"defender\"\n{keys}\n");
    let proxy = Proxy::start(&upstreams, &format!("{}\n{route}", upstreams.config()));
    (upstreams, proxy)
}

/// The answers to so many requests at once.
async fn burst(proxy: &Proxy, target: &str, requests: usize) -> Vec<Answer> {
    let mut all = JoinSet::new();
    for _ in 0..requests {
        let uri = format!("{}{target}", proxy.url);
        let client = proxy.client.clone();
        all.spawn(async move {
            let response = tokio::time::timeout(PATIENCE, client.get(uri.parse().unwrap())).await;
            Answer::read(response.expect("no hang").expect("an answer")).await
        });
    }
    all.join_all().await
}

fn count(answers: &[Answer], is_one: impl Fn(&Answer) -> bool) -> usize {
    answers.iter().filter(|answer| is_one(answer)).count()
}

fn is_own(answer: &Answer) -> bool {
    answer.is_own("proxy_internal_response")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paced_route_never_meets_the_limit() {
    // 50 calls a minute: ten at once, then one in 1.55 s.
    let (upstreams, proxy) = start("pace = true\non_throttle = { wait = \"5s\" }").await;
    let answers = burst(&proxy, "/api/incidents?$top=1", 80).await;
    let passed = count(&answers, |answer| answer.status == 200);
    assert!((12..=20).contains(&passed), "{passed}");
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!(passed + refused.len(), 80);
    for answer in refused {
        assert!(is_own(answer), "{answer:?}");
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((5..=20).contains(&wait), "{wait}");
        assert!(
            answer
                .header("ratelimit-policy")
                .starts_with("\"minute\";q=50;w=60"),
            "{answer:?}"
        );
    }
    assert_eq!(upstreams.api_calls().await, passed as u64);
    // A budget of its own.
    assert_eq!(proxy.get("/api/alerts").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_pace_the_same_load_does() {
    let (upstreams, proxy) = start("").await;
    let answers = burst(&proxy, "/api/incidents?$top=1", 80).await;
    assert_eq!(count(&answers, |answer| answer.status == 200), 50);
    let upstreams_own = count(&answers, |answer| answer.status == 429 && !is_own(answer));
    assert!(upstreams_own >= 1);
    // Those that came after the first refusal were spared.
    assert_eq!(upstreams.api_calls().await, 50 + upstreams_own as u64);
    let other = proxy.get("/api/incidents?$top=1").await;
    assert!(is_own(&other), "{other:?}");
    assert!(
        other.header("ratelimit").starts_with("\"minute\";r=0;t="),
        "{other:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_where_all_of_them_stand() {
    let (_upstreams, proxy) = start("").await;
    for used in 1..=3_u32 {
        // Whether counted, known or refused: it is a call.
        let target = [
            "/api/alerts",
            "/api/v1.0/Alerts?$top=1",
            "/api/alerts/never",
        ][used as usize - 1];
        let answer = proxy.get(target).await;
        assert_eq!(
            answer.header("ratelimit-policy"),
            "\"minute\";q=100;w=60, \"hour\";q=1500;w=3600",
            "{target}"
        );
        let shares: Vec<_> = answer.header("ratelimit").split(", ").collect();
        let left = [
            format!("\"minute\";r={};t=", 100 - used),
            format!("\"hour\";r={};t=", 1500 - used),
        ];
        for (share, left) in shares.iter().zip(&left) {
            let seconds = share.strip_prefix(left.as_str());
            assert!(
                seconds.is_some_and(|text| (1..=3_660).contains(&text.parse::<u64>().unwrap())),
                "{target}: {share}"
            );
        }
        assert_eq!(shares.len(), 2);
    }
    let hunting = proxy
        .post(
            "/v1.0/security/runHuntingQuery",
            json!({"Query": "DeviceInfo"}).to_string(),
        )
        .await;
    assert_eq!(
        hunting.header("ratelimit-policy"),
        "\"minute\";q=45;w=60",
        "{hunting:?}"
    );
    for target in [
        "/api/vulnerabilities",
        "/v1.0/security/alerts_v2",
        "/nowhere",
    ] {
        let answer = proxy.get(target).await;
        assert_eq!(answer.header("ratelimit-policy"), "", "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_upstream_tells_of_itself_stays() {
    let (upstreams, raw) = (Upstreams::start().await, RawUpstream::bind().await);
    let route = raw.route().replace("/api/raw", "/api/machines");
    // The stand-in of this cloud has another name for its audience than the route, unless it is the same API.
    let proxy = Proxy::start(&upstreams, &format!("{}\n{route}", upstreams.config()));
    for (fields, shown) in [
        ("RateLimit: \"own\";r=5\r\n", ("", "\"own\";r=5")),
        ("RateLimit-Policy: \"own\";q=5\r\n", ("\"own\";q=5", "")),
    ] {
        let (answer, ()) = tokio::join!(proxy.get("/api/machines"), async {
            let mut wire = raw.accept().await;
            wire.head().await;
            let head =
                format!("HTTP/1.1 200 x\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n");
            wire.send(head).await;
        });
        assert_eq!(
            (
                answer.status,
                answer.header("ratelimit-policy"),
                answer.header("ratelimit")
            ),
            (StatusCode::OK, shown.0, shown.1)
        );
    }
}
