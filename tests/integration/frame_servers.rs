//! Upstreams that speak HTTP/2 as none should, frame by frame: what the client gets, and that nothing is asked twice.

use std::{
    fs,
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    frames::*,
    support::{PATIENCE, PlainClient, Proxy, Upstreams},
    wire::h2c,
};

/// What an upstream sends when the head of a request on a stream has come.
pub(crate) type Script = Arc<dyn Fn(u32) -> Vec<u8> + Send + Sync>;

/// An upstream over TLS whose frames the test writes.
pub(crate) struct Played {
    pub(crate) proxy: Proxy,
    script: Arc<Mutex<Script>>,
    requests: Arc<AtomicUsize>,
    cases: AtomicUsize,
    wrong: Mutex<Vec<String>>,
    h1: PlainClient,
    h2: PlainClient,
    _upstreams: Upstreams,
    _tasks: JoinSet<()>,
}

impl Played {
    /// The upstream of every path below `/api/raw` of a new proxy.
    pub(crate) async fn start() -> Self {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = trusted(&upstreams);
        let route = format!(
            "[[route]]\nprefix = \"/api/raw\"\nupstream = \"https://localhost:{}\"\n\
             audience = \"https://api.securitycenter.microsoft.com\"\n",
            listener.local_addr().unwrap().port()
        );
        let proxy = Proxy::start(&upstreams, &format!("{}\n{route}", upstreams.config()));
        let script = Arc::new(Mutex::new(script(good)));
        let requests = Arc::<AtomicUsize>::default();
        let mut tasks = JoinSet::new();
        let (acting, counting) = (Arc::clone(&script), Arc::clone(&requests));
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(stream) = tls.accept(stream).await else {
                    continue;
                };
                let (acting, counting) = (Arc::clone(&acting), Arc::clone(&counting));
                tokio::spawn(async move { act(Peer::new(stream), &acting, &counting).await });
            }
        });
        Self {
            h1: proxy.client.clone(),
            h2: h2c(),
            proxy,
            script,
            requests,
            cases: AtomicUsize::default(),
            wrong: Mutex::default(),
            _upstreams: upstreams,
            _tasks: tasks,
        }
    }

    fn play(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }

    /// How many requests have come since this was last asked.
    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }

    /// What a client gets.
    async fn ask(&self, client: &PlainClient, method: &Method, body: &str) -> Got {
        let request = self.proxy.request(method.clone(), "/api/raw/x");
        let request = request.body(Full::from(body.to_owned())).unwrap();
        Got::of(client, request).await
    }

    /// A client of either version asks; asserts what it gets, that upstream saw one request, and that the next is served.
    async fn case(&self, what: &str, method: Method, script: Script, expected: &[Got]) {
        for (version, client) in [("HTTP/1.1", &self.h1), ("HTTP/2", &self.h2)] {
            self.requests();
            self.cases.fetch_add(1, Ordering::Relaxed);
            self.play(Arc::clone(&script));
            let got = self.ask(client, &method, "").await;
            let requests = self.requests();
            if !expected.contains(&got) || requests != 1 {
                let wrong = format!("{what}, {version}: {got:?}, asked {requests} times");
                self.wrong.lock().unwrap().push(wrong);
            }
            self.play(script_of_good());
            let mut got = self.ask(client, &Method::GET, "").await;
            if got == Got::Own(502, "connection_terminated".into()) {
                // An end may meet a request just as it is sent; then it is said, and not sent again.
                got = self.ask(client, &Method::GET, "").await;
            }
            assert_eq!(
                got,
                Got::Answer(200, "ok".into()),
                "after {what}, {version}"
            );
        }
    }
}

impl Played {
    fn end(&self, what: &str) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{what}: {wrong:#?}");
        let cases = self.cases.load(Ordering::Relaxed);
        eprintln!("{what}: {cases} cases, none answered wrongly or asked twice");
    }
}

/// Makes a certificate that the proxy will trust.
pub(crate) fn trusted(upstreams: &Upstreams) -> TlsAcceptor {
    let names = ["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let roots = upstreams.dir.path().join("ca.pem");
    let mut roots = fs::OpenOptions::new().append(true).open(roots).unwrap();
    roots.write_all(cert.pem().as_bytes()).unwrap();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

/// One connection of the proxy.
async fn act(
    mut peer: Peer<TlsStream<TcpStream>>,
    script: &Mutex<Script>,
    requests: &AtomicUsize,
) -> Option<()> {
    peer.preface().await?;
    peer.try_send(settings(&[])).await.ok()?;
    loop {
        let frame = peer.next_of(HEADERS).await?;
        requests.fetch_add(1, Ordering::Relaxed);
        let script = Arc::clone(&script.lock().unwrap());
        let mut bytes = script(frame.stream);
        let hangs_up = bytes.ends_with(HANG_UP);
        if hangs_up {
            bytes.truncate(bytes.len() - HANG_UP.len());
        }
        peer.try_send(bytes).await.ok()?;
        if hangs_up {
            return None;
        }
    }
}

/// Stands at the end of a script after which the connection is closed.
const HANG_UP: &[u8] = b"<hang up>";

fn script(of: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Script {
    Arc::new(of)
}

fn script_of_good() -> Script {
    script(good)
}

/// What a client gets.
#[derive(Debug, PartialEq)]
enum Got {
    /// Upstream's answer, whole.
    Answer(u16, String),
    /// One that the proxy made, with its `Proxy-Status` error.
    Own(u16, String),
    /// The head of an answer, and a body that broke.
    Broken(u16),
    Nothing,
}

impl Got {
    async fn of(client: &PlainClient, request: Request<Full<Bytes>>) -> Self {
        let answer = timeout(PATIENCE, client.request(request));
        let Ok(answer) = answer.await.expect("no hang") else {
            return Self::Nothing;
        };
        let status = answer.status().as_u16();
        let own = answer.headers().get("proxy-status").cloned();
        let body = timeout(PATIENCE, answer.into_body().collect());
        match (body.await.expect("no hang"), own) {
            (Err(_), _) => Self::Broken(status),
            (Ok(_), Some(own)) => {
                let own = own.to_str().unwrap();
                Self::Own(status, own.rsplit('=').next().unwrap().to_owned())
            }
            (Ok(body), None) => {
                let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
                Self::Answer(status, body)
            }
        }
    }
}

/// Header fields of an answer that go on in a body.
pub(crate) fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, block(fields))
}

fn data(stream: u32, text: &str) -> Vec<u8> {
    frame(DATA, 0, stream, text)
}

pub(crate) fn last(stream: u32, text: &str) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, text)
}

pub(crate) fn good(stream: u32) -> Vec<u8> {
    [head(stream, &[OK]), last(stream, "ok")].concat()
}

pub(crate) const OK: (&str, &str) = (":status", "200");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_heads_are_no_answers() {
    let played = Played::start().await;
    let refused = [Got::Own(502, "http_protocol_error".into())];
    for fields in [
        vec![OK, ("connection", "close")],
        vec![OK, ("keep-alive", "timeout=5")],
        vec![OK, ("proxy-connection", "close")],
        vec![OK, ("transfer-encoding", "chunked")],
        vec![OK, ("upgrade", "h2c")],
        vec![OK, ("X-Upper", "1")],
        vec![OK, ("x a", "1")],
        vec![OK, ("x:a", "1")],
        vec![OK, ("", "1")],
        vec![OK, ("x\r\na", "1")],
        vec![OK, ("x-a", "1\r\nset-cookie: a=b")],
        vec![OK, ("x-a", "1\0")],
        vec![OK, (":unknown", "1")],
        vec![OK, OK],
        vec![("x-a", "1"), OK],
        vec![("x-a", "1")],
        vec![],
        vec![(":status", "")],
        vec![(":status", "20")],
        vec![(":status", "2000")],
        vec![(":status", "099")],
        vec![(":status", "abc")],
        vec![(":status", "+20")],
        vec![(":status", " 200")],
        vec![OK, ("content-length", "-2")],
        vec![OK, ("content-length", "2x")],
        vec![OK, ("content-length", "2"), ("content-length", "3")],
        vec![OK, ("content-length", "99999999999999999999999")],
    ] {
        let what = format!("{fields:?}");
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let script = script(move |stream| [head(stream, &fields), last(stream, "ok")].concat());
        played.case(&what, Method::GET, script, &refused).await;
    }
    played.end("malformed heads");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_cut_off_is_never_whole() {
    let played = Played::start().await;
    let length = ("content-length", "10");
    let text = ("content-type", "text/plain");
    let json = ("content-type", "application/json");
    let gzip = ("content-encoding", "gzip");
    for fields in [
        vec![OK, text],
        vec![OK, length, text],
        vec![OK, json],
        vec![OK, length, json],
        vec![OK, gzip, json],
    ] {
        for (how, end) in [
            (
                "a reset without an error",
                script(|stream| reset(stream, NO_ERROR)),
            ),
            ("a reset", script(|stream| reset(stream, INTERNAL_ERROR))),
            ("a cancel", script(|stream| reset(stream, CANCEL))),
            ("a refusal", script(|stream| reset(stream, REFUSED_STREAM))),
            ("an unknown code", script(|stream| reset(stream, 0xdead))),
            ("going away", script(|_| go_away(0, NO_ERROR))),
            (
                "going away in anger",
                script(|_| go_away(0, PROTOCOL_ERROR)),
            ),
            ("hanging up", script(|_| HANG_UP.to_vec())),
            (
                "going away and hanging up",
                script(|stream| [&go_away(stream, NO_ERROR), HANG_UP].concat()),
            ),
            ("a second head", script(|stream| head(stream, &[OK]))),
            ("a frame on no stream", script(|_| frame(DATA, 0, 0, "x"))),
            (
                "a push",
                script(|stream| {
                    frame(
                        PUSH_PROMISE,
                        END_HEADERS,
                        stream,
                        [&[0, 0, 0, 2], &*block(&[OK])].concat(),
                    )
                }),
            ),
        ] {
            let what = format!("{how} amid a body, {fields:?}");
            let fields: Vec<_> = fields.clone();
            let script = script(move |stream| {
                [head(stream, &fields), data(stream, "{\"a\":"), end(stream)].concat()
            });
            let cut = [
                Got::Broken(200),
                Got::Nothing,
                Got::Own(502, "connection_terminated".into()),
                Got::Own(502, "http_protocol_error".into()),
            ];
            played.case(&what, Method::GET, script, &cut).await;
        }
    }
    for (what, sent) in [("too much", "elevencharacters"), ("too little", "short")] {
        let script =
            script(move |stream| [head(stream, &[OK, length, text]), last(stream, sent)].concat());
        let cut = [
            Got::Broken(200),
            Got::Nothing,
            Got::Own(502, "connection_terminated".into()),
        ];
        played.case(what, Method::GET, script, &cut).await;
    }
    played.end("bodies cut off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn what_is_odd_but_whole_is_the_answer() {
    let played = Played::start().await;
    let ok = || Got::Answer(200, "ok".into());
    let interim = |stream, status| head(stream, &[(":status", status), ("link", "</x>")]);
    for (what, method, script, expected) in [
        (
            "a reset after the end",
            Method::GET,
            script(|stream| [good(stream), reset(stream, NO_ERROR)].concat()),
            ok(),
        ),
        (
            "going away after the end",
            Method::GET,
            script(|stream| [good(stream), go_away(stream, NO_ERROR)].concat()),
            ok(),
        ),
        (
            "hanging up after the end",
            Method::GET,
            script(|stream| [&*good(stream), HANG_UP].concat()),
            ok(),
        ),
        (
            "interim answers",
            Method::GET,
            script(move |stream| {
                [interim(stream, "100"), interim(stream, "103"), good(stream)].concat()
            }),
            ok(),
        ),
        (
            "a flood of them",
            Method::GET,
            script(move |stream| [interim(stream, "103").repeat(5_000), good(stream)].concat()),
            ok(),
        ),
        (
            "an upgrade nobody asked for",
            Method::GET,
            script(move |stream| [interim(stream, "101"), good(stream)].concat()),
            ok(),
        ),
        (
            "unknown frames",
            Method::GET,
            script(|stream| [frame(0xbb, 255, stream, "x"), good(stream)].concat()),
            ok(),
        ),
        (
            "pings",
            Method::GET,
            script(|stream| [frame(PING, 0, 0, [1; 8]).repeat(5_000), good(stream)].concat()),
            ok(),
        ),
        (
            "settings",
            Method::GET,
            script(|stream| [settings(&[(4, 0), (1, 0)]).repeat(1_000), good(stream)].concat()),
            ok(),
        ),
        (
            "empty frames",
            Method::GET,
            script(|stream| {
                [
                    head(stream, &[OK]),
                    data(stream, "").repeat(50),
                    last(stream, "ok"),
                ]
                .concat()
            }),
            ok(),
        ),
        (
            "crumbs",
            Method::GET,
            script(|stream| {
                [
                    head(stream, &[OK]),
                    data(stream, "x").repeat(2_000),
                    last(stream, ""),
                ]
                .concat()
            }),
            Got::Answer(200, "x".repeat(2_000)),
        ),
        (
            "padding",
            Method::GET,
            script(|stream| {
                [
                    head(stream, &[OK]),
                    frame(
                        DATA,
                        END_STREAM | PADDED,
                        stream,
                        [&[255], &b"ok"[..], &[0; 255]].concat(),
                    ),
                ]
                .concat()
            }),
            ok(),
        ),
        (
            "trailers",
            Method::GET,
            script(|stream| {
                [
                    head(stream, &[OK]),
                    data(stream, "ok"),
                    frame(HEADERS, WHOLE, stream, block(&[("x-a", "1")])),
                ]
                .concat()
            }),
            ok(),
        ),
        (
            "no content",
            Method::GET,
            script(|stream| frame(HEADERS, WHOLE, stream, block(&[(":status", "204")]))),
            Got::Answer(204, String::new()),
        ),
        (
            "not modified, with a length",
            Method::GET,
            script(|stream| {
                frame(
                    HEADERS,
                    WHOLE,
                    stream,
                    block(&[(":status", "304"), ("content-length", "9")]),
                )
            }),
            Got::Answer(304, String::new()),
        ),
        (
            "a head's length",
            Method::HEAD,
            script(|stream| {
                frame(
                    HEADERS,
                    WHOLE,
                    stream,
                    block(&[OK, ("content-length", "9")]),
                )
            }),
            Got::Answer(200, String::new()),
        ),
        // `h2` drops the pseudo-fields of requests.
        (
            "a path",
            Method::GET,
            script(|stream| [head(stream, &[OK, (":path", "/")]), last(stream, "ok")].concat()),
            ok(),
        ),
        (
            "a window update too many",
            Method::GET,
            script(|stream| [good(stream), window_update(stream, 1)].concat()),
            ok(),
        ),
    ] {
        played.case(what, method, script, &[expected]).await;
    }
    played.end("odd but whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn frames_against_the_rules_are_no_answers() {
    let played = Played::start().await;
    let refused = [
        Got::Own(502, "http_protocol_error".into()),
        Got::Own(502, "connection_terminated".into()),
    ];
    let long = "x".repeat(15_000);
    let large: Arc<Vec<u8>> = Arc::new(block(&[("x-a", &long), ("x-b", &long)]));
    for (what, script) in [
        ("DATA first", script(|stream| last(stream, "ok"))),
        ("another stream", script(|stream| good(stream + 2))),
        ("an even stream", script(|stream| good(stream + 1))),
        (
            "no stream",
            script(|_| frame(HEADERS, WHOLE, 0, block(&[OK]))),
        ),
        (
            "a head cut short",
            script(|stream| [&*frame(HEADERS, 0, stream, block(&[OK])), HANG_UP].concat()),
        ),
        (
            "a head with a PING in it",
            script(|stream| {
                [
                    frame(HEADERS, 0, stream, block(&[OK])),
                    frame(PING, 0, 0, [0; 8]),
                ]
                .concat()
            }),
        ),
        (
            "an endless head",
            script(|stream| {
                [
                    frame(HEADERS, 0, stream, block(&[OK])),
                    frame(CONTINUATION, 0, stream, "").repeat(1_000),
                ]
                .concat()
            }),
        ),
        ("a large head", {
            let large = Arc::clone(&large);
            script(move |stream| {
                let part = |kind, flags| frame(kind, flags, stream, &large[..16_000]);
                [
                    frame(HEADERS, 0, stream, block(&[OK])),
                    part(CONTINUATION, 0).repeat(50),
                    part(CONTINUATION, END_HEADERS),
                ]
                .concat()
            })
        }),
        (
            "a bomb of a head",
            script(|stream| {
                // A field of 4,000 bytes into the table, and then by its index.
                let mut bomb = [0x40, 1, b'x', 0x7f, 0xa1, 0x1e].to_vec();
                bomb.extend([b'x'; 4_000]);
                bomb.extend([0xbe; 12_000]);
                frame(HEADERS, WHOLE, stream, [&block(&[OK]), &*bomb].concat())
            }),
        ),
        (
            "a push",
            script(|stream| {
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    stream,
                    [&[0, 0, 0, 2], &*block(&[(":method", "GET")])].concat(),
                )
            }),
        ),
        (
            "a wide window",
            script(|_| [window_update(0, (1 << 31) - 1), window_update(0, 1)].concat()),
        ),
        ("a window update of 0", script(|_| window_update(0, 0))),
        ("a wrong setting", script(|_| settings(&[(5, 1)]))),
        ("ENABLE_PUSH", script(|_| settings(&[(2, 2)]))),
        (
            "a frame too large",
            script(|stream| frame(DATA, 0, stream, vec![0; 16_385])),
        ),
        (
            "text",
            script(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        ),
        ("a reset", script(|stream| reset(stream, INTERNAL_ERROR))),
        (
            "a reset without an error",
            script(|stream| reset(stream, NO_ERROR)),
        ),
        ("a cancel", script(|stream| reset(stream, CANCEL))),
        ("calm", script(|stream| reset(stream, ENHANCE_YOUR_CALM))),
        ("HTTP/1.1, please", script(|stream| reset(stream, 13))),
        (
            "going away in anger",
            script(|stream| [&*go_away(stream, ENHANCE_YOUR_CALM), HANG_UP].concat()),
        ),
        ("hanging up", script(|_| HANG_UP.to_vec())),
    ] {
        for method in [Method::GET, Method::POST] {
            played
                .case(what, method, Arc::clone(&script), &refused)
                .await;
        }
    }
    played.end("frames against the rules");
}
