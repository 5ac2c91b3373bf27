//! An API is out of reach, slow, or not what it says it is.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use http::StatusCode;
use tokio::task::JoinSet;

use crate::{
    load,
    places::{Certificates, Place, Way},
    support::{self, Answer, PATIENCE, Proxy, Upstreams},
};

/// How a place fails, and what a client is told.
type Fault = (Way, u16, &'static str);

const FAULTS: [Fault; 13] = [
    (Way::Refused, 502, "connection_refused"),
    (Way::BlackHole, 504, "connection_timeout"),
    (Way::Mute, 504, "connection_timeout"),
    (Way::Reset, 502, "connection_refused"),
    (Way::ResetInHandshake, 502, "connection_refused"),
    (Way::Closed, 502, "connection_refused"),
    (Way::NoTls, 502, "tls_certificate_error"),
    (Way::Expired, 502, "tls_certificate_error"),
    (Way::NotYet, 502, "tls_certificate_error"),
    (Way::WrongHost, 502, "tls_certificate_error"),
    (Way::WrongAuthority, 502, "tls_certificate_error"),
    (Way::OldTls, 502, "tls_certificate_error"),
    (Way::OldHello, 502, "tls_certificate_error"),
];

/// How long each lasts, under the load of so many clients.
const OUTAGE: Duration = Duration::from_secs(3);
const CLIENTS: usize = 4;

/// Known to the test's HTTP proxy only.
const HOST: &str = "api.defender.example";

/// A proxy with a route to each place: `/place/0`, `/place/1`, …
async fn with_places(count: usize) -> (Upstreams, Proxy, Vec<Place>) {
    let upstreams = Upstreams::start().await;
    let certificates = Certificates::new(&upstreams.dir.path().join("ca.pem"));
    let (mut config, mut places) = (upstreams.config(), Vec::new());
    config += "connect_timeout = \"2s\"\n";
    for number in 0..count {
        let place = Place::open(&certificates, Way::Good);
        write!(
            config,
            "\n[[route]]\nprefix = \"/place/{number}\"\nupstream = \"https://localhost:{}\"\n\
             audience = \"https://api.securitycenter.microsoft.com\"\n",
            place.address.port()
        )
        .unwrap();
        places.push(place);
    }
    let proxy = Proxy::start_with(&upstreams, &config, &[]);
    (upstreams, proxy, places)
}

/// What a client saw: answers that were good, and those that weren't.
#[derive(Default)]
struct Seen {
    good: usize,
    told: usize,
    slow: usize,
}

/// Asks over and over until a time. Every answer is the one wanted, or good.
async fn ask(url: String, until: Instant, wanted: (u16, &'static str)) -> Seen {
    let mut seen = Seen::default();
    while Instant::now() < until {
        let asked = Instant::now();
        let answer = support::get(&url).await;
        if answer.status == StatusCode::OK {
            assert_eq!(answer.text(), "good", "{url}");
            seen.good += 1;
        } else {
            assert_told(&answer, wanted, &url);
            seen.told += 1;
            seen.slow += usize::from(asked.elapsed() > Duration::from_millis(500));
        }
        // A client that asks in a tight loop tests this machine only.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    seen
}

fn assert_told(answer: &Answer, (status, error): (u16, &str), what: &str) {
    assert_eq!(answer.status, status, "{what}: {}", answer.text());
    assert!(answer.is_own(error), "{what}: {answer:?}");
    assert_eq!(answer.header("retry-after"), "1", "{what}");
    assert!(!answer.text().contains("Bearer"), "{what}");
}

async fn recovery(url: &str) -> Duration {
    let began = Instant::now();
    while support::get(url).await.status != StatusCode::OK {
        assert!(began.elapsed() < PATIENCE, "{url}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    began.elapsed()
}

/// One place fails under load, and comes back as it was. Tells how long that took after it was back.
async fn outage(url: String, place: &Place, fault: Fault) -> Duration {
    let (way, status, error) = fault;
    assert_eq!(support::get(&url).await.status, StatusCode::OK, "{way:?}");
    let (was, before) = (place.way(), place.connects());
    place.becomes(way).await;
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask(url.clone(), began + OUTAGE, (status, error)));
    }
    let (mut told, mut slow) = (0, 0);
    while let Some(seen) = clients.join_next().await {
        let seen = seen.unwrap();
        assert_eq!(seen.good, 0, "{way:?}");
        told += seen.told;
        slow += seen.slow;
    }
    let (connects, half_open) = (place.connects() - before, place.half_open());
    // Who came first tried for real; from then on, it is the probe that does.
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    let most = CLIENTS + 3 * seconds;
    assert!(connects <= most, "{way:?}: {connects} connects");
    assert!(half_open <= 8, "{way:?}: {half_open} half open");
    // Each of them waits for its own connection once.
    let most = CLIENTS + told / 4;
    assert!(slow <= most, "{way:?}: {slow} of {told} answers were slow");
    assert!(told > 3 * CLIENTS, "{way:?}: {told} answers only");
    let answered = place.requests();
    place.becomes(was).await;
    let took = recovery(&url).await;
    assert!(place.requests() <= answered + 1, "{way:?}: asked twice");
    eprintln!(
        "{way:?}: {told} answers, {slow} slow, {connects} connects, {half_open} half open, back after {took:?}"
    );
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outage_is_told_at_once_makes_no_storm_and_passes_by_itself() {
    let (upstreams, proxy, mut places) = with_places(FAULTS.len() + 1).await;
    let calm = places.pop().unwrap();
    let mut outages = JoinSet::new();
    for (number, place) in places.into_iter().enumerate() {
        let url = format!("{}/place/{number}", proxy.url);
        outages.spawn(async move { outage(url, &place, FAULTS[number]).await });
    }
    // All others are down; this one isn't.
    let url = format!("{}/place/{}", proxy.url, FAULTS.len());
    let until = Instant::now() + OUTAGE;
    let seen = ask(url, until, (0, "none")).await;
    assert_eq!(seen.told, 0);
    assert_eq!(calm.requests(), seen.good);
    while let Some(took) = outages.join_next().await {
        let took = took.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    assert_eq!(upstreams.token_requests().await, 1);
    check_log(&proxy.log());
}

/// The log tells when each outage began and ended, and not of every try.
fn check_log(log: &str) {
    let count = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    for text in ["no connection; trying", "connections succeed again"] {
        let lines = count(text);
        // On a busy machine one may come twice.
        let expected = FAULTS.len()..=2 * FAULTS.len();
        assert!(expected.contains(&lines), "{lines} lines: {text}");
    }
    let told = count("not forwarded");
    assert!(told <= CLIENTS * FAULTS.len(), "{told} lines");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_proxy_that_is_down_or_finds_no_name_is_an_outage_as_well() {
    let upstreams = Upstreams::start().await;
    let certificates = Certificates::new(&upstreams.dir.path().join("ca.pem"));
    let api = Place::open(&certificates, Way::Good);
    let corporate = Place::open(&certificates, Way::Tunnel(api.address));
    let config = format!(
        "{}proxy = \"http://{}\"\nconnect_timeout = \"2s\"\n\n[[route]]\nprefix = \"/\"\n\
         upstream = \"https://{HOST}\"\naudience = \"https://api.security.microsoft.com\"\n",
        upstreams.config(),
        corporate.address
    );
    let proxy = Proxy::start_with(&upstreams, &config, &[]);
    for fault in [
        // What a proxy says whose resolver knows nothing of the host.
        (Way::NoTunnel, 502, "connection_refused"),
        (Way::Refused, 502, "connection_refused"),
        (Way::Mute, 504, "connection_timeout"),
    ] {
        let took = outage(format!("{}/api", proxy.url), &corporate, fault).await;
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(upstreams.token_requests().await, 1);
}

/// `invalid` is nobody's (RFC 6761 §6.4).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_knows_is_told_at_once() {
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}\n[[route]]\nprefix = \"/\"\nupstream = \"https://api.invalid\"\n\
         audience = \"https://api.security.microsoft.com\"\n",
        upstreams.config()
    );
    let proxy = Proxy::start_with(&upstreams, &config, &[]);
    for _ in 0..100 {
        let answer = proxy.get("/api").await;
        assert_told(&answer, (502, "dns_error"), "no name");
    }
    let log = proxy.log();
    assert!(log.matches("not forwarded").count() <= 1, "{log}");
}

/// Tries are for who asks: when nobody does, they end, and who comes next tries for real.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_that_nobody_asks_for_is_left_alone() {
    let (_upstreams, proxy, places) = with_places(1).await;
    let place = &places[0];
    place.becomes(Way::Reset).await;
    for _ in 0..2 {
        assert_told(
            &proxy.get("/place/0").await,
            (502, "connection_refused"),
            "reset",
        );
    }
    let began = Instant::now();
    while !proxy.log().contains("nobody asks for it any more") {
        assert!(began.elapsed() < PATIENCE, "{}", proxy.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let tries = place.connects();
    assert!(tries <= 16, "{tries}");
    place.becomes(Way::Good).await;
    // Not a try more, until somebody asks; that one gets an answer of its own.
    assert_eq!(place.connects(), tries);
    assert_eq!(proxy.get("/place/0").await.status, StatusCode::OK);
}
