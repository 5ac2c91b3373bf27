//! Entra ID is out of reach, or out of order, and comes back.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    load::{self, Http2},
    places::{Certificates, Place, Way},
    scripted::{self, Seen, response},
    support::{self, Answer, PATIENCE, Proxy, Upstreams},
};

/// Answers of an Entra ID that is ill; each customer of a partner meets another.
#[derive(Clone, Debug)]
enum Ill {
    /// These bytes, then an orderly end.
    Says(String),
    /// These bytes, then a reset.
    Breaks(String),
    /// This head, then chunks without end.
    Endless(String),
    /// These bytes one by one, within so long.
    Drips(String, Duration),
}

impl Ill {
    async fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        match self {
            Self::Says(bytes) => stream.write_all(bytes.as_bytes()).await?,
            Self::Breaks(bytes) => {
                stream.write_all(bytes.as_bytes()).await?;
                return stream.set_zero_linger();
            }
            Self::Endless(head) => {
                stream.write_all(head.as_bytes()).await?;
                loop {
                    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
                    stream.write_all(chunk.as_bytes()).await?;
                }
            }
            Self::Drips(bytes, within) => {
                let pause = *within / u32::try_from(bytes.len()).unwrap();
                for byte in bytes.as_bytes() {
                    stream.write_all(&[*byte]).await?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
        stream.shutdown().await
    }
}

/// Entra ID, and an API that says 200 to every token.
#[derive(Clone, Default)]
struct Hospital {
    patients: Arc<Mutex<HashMap<String, Ill>>>,
    asked: Arc<Mutex<HashMap<String, usize>>>,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Hospital {
    /// A proxy for the customers `c0`, `c1`, …, who meet these in turn. Further ones meet a sound Entra ID.
    async fn start(patients: Vec<Ill>) -> (Self, Proxy) {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let mut customers = String::new();
        for number in 0..patients.len() + SOUND {
            write!(customers, "c{number} = \"{}\", ", tenant(number)).unwrap();
        }
        let config = format!(
            "[cloud]\nname = \"custom\"\nlogin = \"{origin}\"\ndefender_xdr = \"{origin}\"\n\
             defender_endpoint = \"{origin}\"\ngraph = \"{origin}\"\n\n[identity.mssp]\nkind = \"partner\"\n\
             customers = {{ {} }}\nclient_id = \"5a9db0c5-0000-4000-8000-0000000000aa\"\n\
             credential = {{ secret = {{ env = \"SANDBOX_CLIENT_SECRET\" }} }}\n",
            customers.trim_end_matches(", ")
        );
        let proxy = Proxy::start_with(&upstreams, &config, &[]);
        let hospital = Self::default();
        let named = patients.into_iter().enumerate();
        let named = named.map(|(number, ill)| (tenant(number), ill));
        *hospital.patients.lock().unwrap() = named.collect();
        let server = hospital.clone();
        // Until the test's runtime ends; it keeps the folder with the proxy's log.
        tokio::spawn(async move {
            let _folder = upstreams;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(server.clone().exchange(stream));
            }
        });
        (hospital, proxy)
    }

    async fn exchange(self, mut stream: TcpStream) {
        let Some(seen) = scripted::read(&mut stream).await else {
            return;
        };
        // Who asks hangs up when there is too much of an answer.
        let _ = self.treat(seen).answer(stream).await;
    }

    fn treat(&self, seen: Seen) -> Ill {
        if !seen.target.ends_with("/token") {
            self.calls.lock().unwrap().push(seen.authorization);
            return Ill::Says(response(200, "", &json!({"value": []})));
        }
        let tenant = seen.target.split('/').nth(1).unwrap().to_owned();
        *self
            .asked
            .lock()
            .unwrap()
            .entry(tenant.clone())
            .or_default() += 1;
        let ill = self.patients.lock().unwrap().get(&tenant).cloned();
        ill.unwrap_or_else(|| Ill::Says(token(&tenant)))
    }

    /// From now on all are sound.
    fn heal(&self) {
        self.patients.lock().unwrap().clear();
    }

    fn asked(&self, number: usize) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.get(&tenant(number)).copied().unwrap_or_default()
    }

    /// Every token that the API saw was a whole one.
    fn check_calls(&self, count: usize) {
        let calls = self.calls.lock().unwrap();
        assert_eq!(calls.len(), count);
        for call in &*calls {
            assert!(
                call.starts_with("Bearer token-of-") && call.ends_with("-end"),
                "{call}"
            );
        }
    }
}

/// So many customers have no trouble.
const SOUND: usize = 2;

fn tenant(number: usize) -> String {
    format!("5a9db0c5-0000-4000-9000-{number:012}")
}

fn token(tenant: &str) -> String {
    let token = format!("token-of-{tenant}-end");
    let body = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token});
    response(200, "", &body)
}

fn path(customer: usize) -> String {
    format!("/t/c{customer}/api/incidents")
}

/// An honest 503, which says when to come again; the seconds.
#[track_caller]
fn told(answer: &Answer, what: &str) -> u64 {
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{what}: {}",
        answer.text()
    );
    assert!(
        answer.is_own("destination_unavailable"),
        "{what}: {answer:?}"
    );
    assert!(!answer.text().contains("token-of-"), "{what}");
    answer.header("retry-after").parse().unwrap()
}

/// An answer that is none, and the least and the most seconds that a client is told to wait.
type Nonsense = (&'static str, Ill, (u64, u64));

const SOON: (u64, u64) = (1, 2);

fn plain(status: u16, fields: &str, body: &str) -> Ill {
    let length = body.len();
    Ill::Says(format!(
        "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\n{fields}Connection: close\r\n\r\n{body}"
    ))
}

/// `Retry-After` in every form (RFC 9110 §10.2.3), and in none.
fn busy() -> Vec<Nonsense> {
    let date = SystemTime::now() + Duration::from_secs(40);
    let date = httpdate::fmt_http_date(date);
    let asked = (20, 41);
    let forms = [
        ("40 s", 429, "40", asked),
        ("date in 40 s", 429, &date, asked),
        ("503, 40 s", 503, "40", asked),
        ("503, date in 40 s", 503, &date, asked),
        ("a day", 429, "86400", (3_580, 3_601)),
        (
            "a date long ago",
            429,
            "Sun, 06 Nov 1994 08:49:37 GMT",
            SOON,
        ),
        ("0", 429, "0", SOON),
        ("negative", 429, "-5", SOON),
        ("half", 429, "1.5", SOON),
        ("too many digits", 429, "99999999999999999999999", SOON),
        ("words", 429, "in a minute", SOON),
        ("nothing", 429, "", SOON),
        ("bytes", 429, "\u{e9}\u{fe}", SOON),
    ];
    let busy = |(what, status, value, wait): (&'static str, u16, &str, _)| {
        let field = format!("Retry-After: {value}\r\n");
        (what, plain(status, &field, "Too many requests"), wait)
    };
    forms.map(busy).into()
}

fn nonsense() -> Vec<Nonsense> {
    let html = "<html><body>Our services aren't available right now</body></html>";
    let html = |status| plain(status, "Content-Type: text/html\r\n", html);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let lengths = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}";
    let ok = |body: Value| plain(200, "", &body.to_string());
    let bearer = |life: u32, token: &str| {
        ok(json!({"token_type": "Bearer", "expires_in": life, "access_token": token}))
    };
    let kinds = [
        ("500", plain(500, "", "")),
        ("502, HTML", html(502)),
        ("503", plain(503, "", "{}")),
        ("504", plain(504, "", "")),
        ("429", plain(429, "", "Too many")),
        ("200, HTML", html(200)),
        ("200, empty", plain(200, "", "")),
        (
            "200, half",
            plain(200, "", "{\"token_type\": \"Bearer\", \"access_tok"),
        ),
        ("200, a list", plain(200, "", "[1, 2, 3]")),
        (
            "200, no token",
            ok(json!({"token_type": "Bearer", "expires_in": 3599})),
        ),
        ("200, no life", bearer(0, "a")),
        ("200, no header's text", bearer(3599, "a\r\nb")),
        ("204", plain(204, "", "")),
        ("302", plain(302, "Location: http://127.0.0.1:1/\r\n", "")),
        ("404, empty", plain(404, "", "")),
        ("400, not the JSON", plain(400, "", "{\"oops\": true}")),
        ("no HTTP", Ill::Says("SSH-2.0-OpenSSH_9.9\r\n".to_owned())),
        ("two lengths", Ill::Says(lengths.to_owned())),
        ("endless body", Ill::Endless(chunked.to_owned())),
        (
            "endless head",
            Ill::Endless("HTTP/1.1 200 OK\r\nX: ".to_owned()),
        ),
        ("endless error", Ill::Endless(chunked.replace("200", "500"))),
    ];
    kinds.map(|(what, ill)| (what, ill, SOON)).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_of_entra_is_told_honestly_and_is_not_asked_for_again_and_again() {
    let table = [nonsense(), busy()].concat();
    let patients = table.iter().map(|(_, ill, _)| ill.clone()).collect();
    let (hospital, proxy) = Hospital::start(patients).await;
    let connections = Http2::connect_many(&proxy, 3).await;
    let mut good = 0;
    for (number, (what, _, (least, most))) in table.iter().enumerate() {
        let began = Instant::now();
        let mut pending = Vec::new();
        for connection in &connections {
            pending.extend(connection.get_many(&path(number), 10));
        }
        for answer in load::all(pending).await {
            let wait = told(&answer, what);
            assert!((*least..=*most).contains(&wait), "{what}: {wait} s");
        }
        // One, and one more for every second that this took.
        let most = 1 + usize::try_from(began.elapsed().as_secs()).unwrap();
        assert!((1..=most).contains(&hospital.asked(number)), "{what}");
        // Another customer is not concerned.
        let sound = proxy.get(&path(table.len())).await;
        assert_eq!(sound.status, StatusCode::OK, "{what}: {}", sound.text());
        good += 1;
    }
    assert_eq!(hospital.asked(table.len()), 1);
    hospital.check_calls(good);

    hospital.heal();
    let (mut slowest, healed) = (Duration::ZERO, Instant::now());
    for (number, (what, _, (_, most))) in table.iter().enumerate() {
        if *most > 2 {
            // These have time, and are left alone for so long.
            told(&proxy.get(&path(number)).await, what);
            assert_eq!(hospital.asked(number), 1, "{what}");
            continue;
        }
        while proxy.get(&path(number)).await.status != StatusCode::OK {
            assert!(healed.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest = healed.elapsed();
    }
    eprintln!(
        "FIGURE {} kinds of nonsense, all well after {slowest:?}",
        table.len()
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

/// Cut off at each byte, by an end or by a reset: half a token is no token, and one request is made for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_entra_may_break_at_every_byte() {
    let whole = token(&tenant(0));
    let positions = 0..whole.len();
    let mut patients: Vec<_> = positions
        .clone()
        .map(|at| Ill::Says(whole[..at].to_owned()))
        .collect();
    patients.extend(positions.map(|at| Ill::Breaks(whole[..at].to_owned())));
    let count = patients.len();
    let (hospital, proxy) = Hospital::start(patients).await;
    let connection = Http2::connect(&proxy).await;
    for number in 0..count {
        let what = format!("{number} of 2 * {}", whole.len());
        let answers = load::all(connection.get_many(&path(number), 2)).await;
        for answer in &answers {
            assert!((1..=2).contains(&told(answer, &what)), "{what}");
        }
        assert_eq!(hospital.asked(number), 1, "{what}");
    }
    hospital.check_calls(0);
    let sound = proxy.get(&path(count)).await;
    assert_eq!(sound.status, StatusCode::OK, "{}", sound.text());
    hospital.check_calls(1);
    eprintln!("FIGURE {count} broken token answers");
}

/// However many ask for however long, the requests grow rarer; and an answer that drips is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entra_that_fails_on_is_asked_less_and_less() {
    const LASTS: Duration = Duration::from_secs(4);
    let failing = Ill::Says(response(503, "", &json!({})));
    let dripping = Ill::Drips(token(&tenant(1)), Duration::from_secs(3));
    let (hospital, proxy) = Hospital::start(vec![failing, dripping]).await;
    let url = format!("{}{}", proxy.url, path(1));
    let drip = tokio::spawn(async move { support::get(&url).await });
    let connections = Http2::connect_many(&proxy, 2).await;
    let began = Instant::now();
    while began.elapsed() < LASTS {
        for connection in &connections {
            for answer in load::all(connection.get_many(&path(0), 20)).await {
                assert!((1..=9).contains(&told(&answer, "503")));
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // At once, after one second, after three, and perhaps after seven.
    let asked = hospital.asked(0);
    eprintln!("FIGURE {asked} token requests in {:?}", began.elapsed());
    assert!((2..=4).contains(&asked), "{asked}");
    assert_eq!(drip.await.unwrap().status, StatusCode::OK);
    assert_eq!(hospital.asked(1), 1);
    let log = proxy.log();
    assert_eq!(log.matches("WARN no token").count(), 1, "{log}");
}

/// How the way to Entra ID fails.
const UNREACHABLE: [Way; 9] = [
    Way::Refused,
    Way::BlackHole,
    Way::Mute,
    Way::Reset,
    Way::ResetInHandshake,
    Way::Expired,
    Way::WrongHost,
    Way::WrongAuthority,
    Way::OldTls,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entra_out_of_reach_is_told_at_once_and_found_again_within_a_second() {
    let upstreams = Arc::new(Upstreams::start().await);
    let certificates = Certificates::new(&upstreams.dir.path().join("ca.pem"));
    let mut outages = JoinSet::new();
    for way in UNREACHABLE {
        let (upstreams, certificates) = (Arc::clone(&upstreams), Arc::clone(&certificates));
        outages.spawn(async move { unreachable(&upstreams, &certificates, way).await });
    }
    while let Some(took) = outages.join_next().await {
        let took = took.unwrap();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    // One for each, when there was somebody to ask.
    let count = u64::try_from(UNREACHABLE.len()).unwrap();
    assert_eq!(upstreams.token_requests().await, count);
    assert_eq!(upstreams.api_calls().await, count);
}

/// Without a token, until Entra ID is there. Tells how long that was noticed after.
async fn unreachable(
    upstreams: &Upstreams,
    certificates: &Arc<Certificates>,
    way: Way,
) -> Duration {
    const LASTS: Duration = Duration::from_secs(3);
    let entra = Place::open(certificates, Way::Good);
    entra.becomes(way).await;
    let config = with_login(upstreams, &entra) + "connect_timeout = \"2s\"\n";
    let proxy = Proxy::start_with(upstreams, &config, &[]);
    let (began, mut answers, mut slow) = (Instant::now(), 0, 0);
    while began.elapsed() < LASTS {
        let asked = Instant::now();
        told(&proxy.get(load::SMALL).await, &format!("{way:?}"));
        slow += usize::from(asked.elapsed() > Duration::from_millis(500));
        answers += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let connects = entra.connects();
    assert!(connects <= 12, "{way:?}: {connects} connects");
    assert!(answers >= 10, "{way:?}: {answers} answers, {slow} slow");
    entra.becomes(leads_to(upstreams)).await;
    let back = Instant::now();
    while proxy.get(load::SMALL).await.status != StatusCode::OK {
        assert!(back.elapsed() < PATIENCE, "{way:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (took, log) = (back.elapsed(), proxy.log());
    eprintln!(
        "FIGURE {way:?}: {answers} answers, {slow} slow, {connects} connects, back after {took:?}"
    );
    assert_eq!(log.matches("WARN no token").count(), 1, "{way:?}: {log}");
    assert!(log.contains("after_failing_s="), "{way:?}: {log}");
    took
}

/// A configuration whose Entra ID is there.
fn with_login(upstreams: &Upstreams, entra: &Place) -> String {
    let here = format!("https://localhost:{}", entra.address.port());
    upstreams.config().replace(upstreams.sandbox.login(), &here)
}

/// On to the stand-in of Entra ID.
fn leads_to(upstreams: &Upstreams) -> Way {
    let login = upstreams.sandbox.login();
    let port: u16 = login.rsplit(':').next().unwrap().parse().unwrap();
    Way::To(([127, 0, 0, 1], port).into())
}

/// A connection to Entra ID that is dead without anybody having been told, as after a change of networks, is given up in less time than a
/// token request has. (It takes a while: `renewal` waits for it beside other things.)
pub(crate) async fn dead_connection() {
    let upstreams = Upstreams::start().await;
    let certificates = Certificates::new(&upstreams.dir.path().join("ca.pem"));
    let entra = Place::open(&certificates, leads_to(&upstreams));
    let proxy = Proxy::start_with(&upstreams, &with_login(&upstreams, &entra), &[]);
    assert_eq!(proxy.get(load::SMALL).await.status, StatusCode::OK);
    entra.freeze();
    told(&proxy.get(load::SMALL_XDR).await, "a dead connection");
    assert_eq!(entra.connects(), 1);
    let began = Instant::now();
    while proxy.get(load::SMALL_XDR).await.status != StatusCode::OK {
        assert!(began.elapsed() < Duration::from_secs(15), "still used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(entra.connects(), 2);
}
