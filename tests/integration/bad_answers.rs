//! Answers over HTTP/1 that upstream must not give: refused, cut, or passed on in the one canonical form.

use std::collections::VecDeque;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::time::timeout;

use crate::{
    liar::{End, Liar},
    lies::{Case, Want, bodies, chunks, fields, framings, interim, status_lines, surplus},
    strict::{Reply, replies},
    support::{PATIENCE, Proxy},
    wire::{Wire, h2c},
};

/// What a client made of an answer.
#[derive(Debug, PartialEq)]
enum Got {
    Whole {
        status: u16,
        own: Option<String>,
        body: Vec<u8>,
    },
    Cut,
}

/// How a client speaks.
#[derive(Clone, Copy, Debug)]
enum Speaks {
    Http1,
    Http10,
    Http2,
}

/// A liar, its proxy, and clients that ask.
struct Court {
    liar: Liar,
    proxy: Proxy,
    http2: Client<HttpConnector, Full<Bytes>>,
    asked: usize,
    /// What went otherwise than it should.
    wrong: Vec<String>,
}

impl Court {
    fn new((liar, proxy): (Liar, Proxy)) -> Self {
        Self {
            liar,
            proxy,
            http2: h2c(),
            asked: 0,
            wrong: Vec::new(),
        }
    }

    /// Tries each case with each kind of client, beside an answer that is under way all the time.
    async fn try_all(mut self, cases: &[Case]) {
        let long = self.proxy.request(http::Method::GET, "/api/raw/long");
        let long = self.proxy.send(long.body(Full::default()).unwrap()).await;
        self.try_each(cases).await;
        self.liar.finish();
        let long = timeout(PATIENCE, long.into_body().collect()).await;
        assert_eq!(long.expect("no hang").unwrap().to_bytes(), "longlong");
    }

    /// The same with nothing beside it.
    async fn try_each(&mut self, cases: &[Case]) {
        for case in cases {
            for speaks in [Speaks::Http1, Speaks::Http10, Speaks::Http2] {
                self.try_one(case, speaks).await;
            }
        }
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
        eprintln!("{} cases, {} answers", cases.len(), self.asked);
    }

    async fn try_one(&mut self, case: &Case, speaks: Speaks) {
        let what = format!("{}, {speaks:?}", case.name);
        self.liar.seen();
        self.liar.tell(case.lie.clone());
        let got = match speaks {
            Speaks::Http1 => self.http1(case, &what).await,
            Speaks::Http10 => self.http10(case).await,
            Speaks::Http2 => self.http2(case, &what).await,
        };
        self.asked += 1;
        let wanted = wanted(&case.want);
        self.expect(got == wanted, || {
            format!("{what}: {got:?} instead of {wanted:?}")
        });
        // Every worker serves on.
        for _ in 0..2 {
            let path = self.tag();
            assert_eq!(self.proxy.get(&path).await.text(), path, "{what}");
        }
        let seen = self.liar.seen();
        let is_lie = |target: &str| target == "/api/raw/lie";
        let lies = seen.iter().filter(|seen| is_lie(&seen.target)).count();
        self.expect(lies == 1, || {
            format!("{what}: upstream was asked {lies} times")
        });
        if case.spoils() {
            let at = seen.iter().position(|seen| is_lie(&seen.target)).unwrap();
            let spoilt = seen[at].connection;
            let reused = seen[at + 1..].iter().any(|seen| seen.connection == spoilt);
            self.expect(!reused, || format!("{what}: the connection was used again"));
        }
    }

    fn expect(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(what());
        }
    }

    /// Asks for an answer that isn't whole.
    async fn cut(&mut self, bytes: &str, end: End, speaks: Speaks) {
        let what = format!("{} bytes, {end:?}, {speaks:?}", bytes.len());
        let case = Case::new(&what, bytes, Want::Cut).ending(end);
        self.liar.tell(case.lie.clone());
        let got = match speaks {
            Speaks::Http1 => self.http1(&case, &what).await,
            Speaks::Http10 => self.http10(&case).await,
            Speaks::Http2 => self.http2(&case, &what).await,
        };
        self.asked += 1;
        let honest = match &got {
            Got::Cut => true,
            Got::Whole { status, own, .. } => *status == 502 && own.is_some(),
        };
        self.expect(honest, || format!("{what}: {got:?}"));
    }

    fn tag(&mut self) -> String {
        self.asked += 1;
        format!("/api/raw/tag/{}", self.asked)
    }

    /// Asks for the lie and, on the same connection and without waiting, for something else.
    async fn http1(&mut self, case: &Case, what: &str) -> Got {
        let path = self.tag();
        let text = format!(
            "{} /api/raw/lie HTTP/1.1\r\nHost: localhost\r\n\r\n\
             GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            case.method
        );
        let mut replies = self.raw(&text, &[case.method, "GET"]).await;
        let Some(first) = replies.pop_front() else {
            return Got::Cut;
        };
        let second = replies.pop_front();
        let second = second.unwrap_or_else(|| panic!("{what}: the next answer was lost"));
        self.expect(second.text() == path, || {
            format!("{what}: the next answer was {second:?}")
        });
        got(first.status, first.field("proxy-status"), &first.body)
    }

    async fn http10(&self, case: &Case) -> Got {
        let text = format!(
            "{} /api/raw/lie HTTP/1.0\r\nHost: localhost\r\n\r\n",
            case.method
        );
        let mut replies = self.raw(&text, &[case.method]).await;
        match replies.pop_front() {
            Some(first) => got(first.status, first.field("proxy-status"), &first.body),
            None => Got::Cut,
        }
    }

    async fn raw(&self, text: &str, methods: &[&str]) -> VecDeque<Reply> {
        let mut client = Wire::connect(&self.proxy).await;
        client.send(text).await;
        let reset = client.end().await.is_err();
        replies(client.ahead_bytes(), methods, reset)
    }

    async fn http2(&mut self, case: &Case, what: &str) -> Got {
        let uri = |path: &str| format!("{}{path}", self.proxy.url);
        let request = Request::builder()
            .method(case.method)
            .uri(uri("/api/raw/lie"));
        let asking = self.http2.request(request.body(Full::default()).unwrap());
        let result = match timeout(PATIENCE, asking).await.expect("no hang") {
            // A stream's reset may overtake its head.
            Err(_) => Got::Cut,
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let own = head.headers.get("proxy-status");
                let own = own.map(|value| value.to_str().unwrap());
                match timeout(PATIENCE, body.collect()).await.expect("no hang") {
                    Ok(body) => got(head.status.as_u16(), own, &body.to_bytes()),
                    Err(_) => Got::Cut,
                }
            }
        };
        let path = format!("/api/raw/tag/{}", self.asked);
        let next = self.http2.get(uri(&path).parse().unwrap()).await.unwrap();
        let body = next.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, path, "{what}");
        result
    }
}

fn got(status: u16, own: Option<&str>, body: &[u8]) -> Got {
    let own = own.map(|own| own.replace("defender-proxy; error=", ""));
    // What a problem says is for people.
    let body = if own.is_none() { body.to_vec() } else { vec![] };
    Got::Whole { status, own, body }
}

fn wanted(want: &Want) -> Got {
    let own = |status, error: &str| Got::Whole {
        status,
        own: Some(error.to_owned()),
        body: vec![],
    };
    match want {
        Want::Refused => own(502, "http_protocol_error"),
        Want::Closed => own(502, "connection_terminated"),
        Want::Late => own(504, "http_response_timeout"),
        Want::Cut => Got::Cut,
        Want::Passed(status, body) => Got::Whole {
            status: *status,
            own: None,
            body: body.as_bytes().to_vec(),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn framings_that_contradict_themselves() {
    Court::new(Liar::behind_proxy("").await)
        .try_all(&framings())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chunks_that_are_none() {
    Court::new(Liar::behind_proxy("").await)
        .try_all(&chunks())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_lines_and_fields_that_are_none() {
    let cases = [status_lines(), fields()].concat();
    Court::new(Liar::behind_proxy("").await)
        .try_all(&cases)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_was_asked_for() {
    Court::new(Liar::behind_proxy("").await)
        .try_all(&surplus())
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_end_otherwise_than_they_should() {
    for over_tls in [false, true] {
        let court = if over_tls {
            Liar::behind_proxy_over_tls().await
        } else {
            Liar::behind_proxy("").await
        };
        Court::new(court).try_all(&bodies(over_tls)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_never_end() {
    // An answer beside them that says nothing would be cut off, too.
    Court::new(Liar::behind_proxy("response_timeout = \"500ms\"\n").await)
        .try_each(&interim())
        .await;
}

/// An answer whose every byte counts.
const WHOLE: [&str; 2] = [
    "HTTP/1.1 200 OK\r\nContent-Type: application/json; odata.metadata=minimal\r\nx-ms-request-id: 0c5b7a1e\r\n\
     Content-Length: 131\r\n\r\n{\"@odata.context\":\"https://api.contoso.example/$metadata#X\",\"value\":[{\"id\":\"1\"},{\"id\":\"2\"}],\
     \"@odata.nextLink\":\"https://x.example/\"}",
    "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\nTrailer: X-Checksum\r\n\r\n\
     1c\r\nevery byte of this is needed\r\n20;x=y\r\nand every byte of this is needed\r\n0\r\nX-Checksum: 1\r\n\r\n",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_cut_at_any_byte_is_never_taken_for_whole() {
    for over_tls in [false, true] {
        let mut court = Court::new(if over_tls {
            Liar::behind_proxy_over_tls().await
        } else {
            Liar::behind_proxy("").await
        });
        for answer in WHOLE {
            for length in 0..answer.len() {
                // A handshake for each takes its time: over TLS, each byte has one of the ends.
                let ends = if over_tls {
                    &[[End::Close, End::Drop, End::Reset][length % 3]][..]
                } else {
                    &[End::Close, End::Reset]
                };
                for (turn, end) in ends.iter().enumerate() {
                    let speaks =
                        [Speaks::Http1, Speaks::Http10, Speaks::Http2][(length / 3 + turn) % 3];
                    court.cut(&answer[..length], *end, speaks).await;
                }
            }
        }
        assert!(court.wrong.is_empty(), "{}", court.wrong.join("\n"));
        eprintln!("{} answers cut short, over TLS: {over_tls}", court.asked);
    }
}
