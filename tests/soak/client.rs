//! What clients ask for, and what they must get.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use flate2::Crc;
use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

use crate::judge::{Outcome, Read, expect, pieces, success, whole};

type Http = Client<HttpConnector, Full<Bytes>>;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    KeepAlive,
    OneRequest,
    Http2,
    Paging,
    Hunting,
    Upload,
    Download,
    Json,
    SlowReader,
    HangUp,
}

impl Kind {
    /// One by its share.
    pub(crate) fn pick(random: &mut fastrand::Rng) -> Self {
        let mut at = random.u32(..SHARES.iter().map(|(_, share)| share).sum::<u32>());
        for (kind, share) in SHARES {
            match at.checked_sub(*share) {
                Some(rest) => at = rest,
                None => return *kind,
            }
        }
        Self::KeepAlive
    }
}

const SHARES: &[(Kind, u32)] = &[
    (Kind::KeepAlive, 36),
    (Kind::OneRequest, 14),
    (Kind::Http2, 24),
    (Kind::Paging, 8),
    (Kind::Hunting, 8),
    (Kind::Upload, 2),
    (Kind::Download, 2),
    (Kind::Json, 2),
    (Kind::SlowReader, 1),
    (Kind::HangUp, 3),
];

pub(crate) struct Clients {
    url: String,
    keeping: Http,
    closing: Http,
    http2: Http,
    /// Whether answers are being broken off by an injected fault.
    breaking: AtomicBool,
}

impl Clients {
    pub(crate) fn new(url: String) -> Self {
        let builder = || Client::builder(TokioExecutor::new());
        Self {
            url,
            keeping: builder().build_http(),
            closing: builder().pool_max_idle_per_host(0).build_http(),
            http2: builder().http2_only(true).build_http(),
            breaking: AtomicBool::new(false),
        }
    }

    /// Tells whether answers are about to be broken off. While they are, one may be before its first byte has left.
    pub(crate) fn breaks(&self, breaking: bool) {
        self.breaking.store(breaking, Ordering::Relaxed);
    }

    /// Are both APIs' small requests answered rightly, on new connections?
    pub(crate) async fn probe(&self) -> bool {
        let probe = async {
            self.echo(&self.closing, 0).await?;
            self.pages(&self.closing).await
        };
        let answered = tokio::time::timeout(Duration::from_secs(10), probe).await;
        matches!(answered, Ok(Ok(())))
    }

    /// One request, or one after the other, of a client of this kind. `number` is its own.
    pub(crate) async fn run(&self, kind: Kind, number: u64) -> Outcome {
        let done = match kind {
            Kind::KeepAlive => self.echo(&self.keeping, number).await,
            Kind::OneRequest => self.echo(&self.closing, number).await,
            Kind::Http2 => self.echo(&self.http2, number).await,
            Kind::Paging if number.is_multiple_of(2) => self.pages(&self.keeping).await,
            Kind::Paging => self.pages(&self.http2).await,
            Kind::Hunting => self.hunt(number).await,
            Kind::Upload => self.upload(number).await,
            Kind::Download => self.download(number, Duration::ZERO).await,
            Kind::SlowReader => self.download(number % 2, Duration::from_millis(20)).await,
            Kind::Json => self.json(number).await,
            Kind::HangUp => self.hang_up(number).await,
        };
        done.err().unwrap_or(Outcome::Right)
    }

    /// The stand-in repeats the target, so it is seen whose answer this is.
    async fn echo(&self, http: &Http, number: u64) -> Read<()> {
        let target = format!("/api/sandbox/echo/{number}?n={}", number.wrapping_mul(31));
        let answer = self.send(http, Method::GET, &target, Bytes::new()).await?;
        let body = whole(answer).await?;
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        expect(said["target"] == *target && said["method"] == "GET", || {
            format!("{target}: {}", String::from_utf8_lossy(&body))
        })
    }

    /// Three pages, each by the link of the one before, which must lead here; no record twice.
    async fn pages(&self, http: &Http) -> Read<()> {
        let mut target = "/api/incidents".to_owned();
        let (mut seen, mut records) = (Vec::new(), 0);
        for _ in 0..3 {
            let answer = self.send(http, Method::GET, &target, Bytes::new()).await?;
            let page: Value = serde_json::from_slice(&whole(answer).await?).unwrap_or_default();
            records += page["value"].as_array().map_or(0, Vec::len);
            let ids = page["value"].as_array().into_iter().flatten();
            seen.extend(ids.filter_map(|record| record["incidentId"].as_u64()));
            let link = page["@odata.nextLink"].as_str().unwrap_or_default();
            let here = link.strip_prefix(&self.url);
            expect(records > 0 && here.is_some(), || {
                format!("{target}: {page}")
            })?;
            target = here.unwrap_or_default().to_owned();
        }
        seen.sort_unstable();
        seen.dedup();
        expect(seen.len() == records, || format!("of {records}: {seen:?}"))
    }

    async fn hunt(&self, number: u64) -> Read<()> {
        let mark = format!("soak-{number}-soak");
        let query = json!({"Query": format!("print x = '{mark}'")}).to_string();
        let target = "/api/advancedhunting/run";
        let answer = self.send(&self.keeping, Method::POST, target, query.into());
        let body = whole(answer.await?).await?;
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        expect(said["Results"].to_string().contains(&mark), || {
            format!("{mark}: {}", String::from_utf8_lossy(&body))
        })
    }

    async fn upload(&self, number: u64) -> Read<()> {
        let mut body = vec![0; megabytes(number)];
        fastrand::Rng::with_seed(number).fill(&mut body);
        let mut sum = Crc::new();
        sum.update(&body);
        let expected = json!({"bytes": body.len(), "sum": sum.sum()});
        let target = "/api/sandbox/upload";
        let answer = self.send(&self.keeping, Method::POST, target, body.into());
        let answer = whole(answer.await?).await?;
        let said: Value = serde_json::from_slice(&answer).unwrap_or_default();
        expect(said == expected, || format!("{said}, not {expected}"))
    }

    /// Each byte is compared with the one that must stand there.
    async fn download(&self, number: u64, pause: Duration) -> Read<()> {
        let length = megabytes(number) as u64;
        let target = format!("/api/sandbox/download?bytes={length}&type=binary");
        let answer = self.send(&self.closing, Method::GET, &target, Bytes::new());
        let read = pieces(answer.await?, pause, |offset, data| {
            let right = (offset..)
                .zip(data)
                .all(|(at, byte)| at % BLOCK % 251 == u64::from(*byte));
            expect(right, || format!("download: other bytes at {offset}"))
        });
        let read = read.await?;
        expect(read == length, || format!("{read} bytes of {length}"))
    }

    /// JSON without a length, which streams through the rewriting of links.
    async fn json(&self, number: u64) -> Read<()> {
        let length = megabytes(number) / 4;
        let target = format!("/api/sandbox/download?bytes={length}");
        let answer = self.send(&self.http2, Method::GET, &target, Bytes::new());
        let body = whole(answer.await?).await?;
        let is_json = serde_json::from_slice::<Value>(&body).is_ok();
        expect(is_json && body.len() == length, || {
            format!("{} bytes of {length}, JSON: {is_json}", body.len())
        })
    }

    /// Goes away in the middle of a body; over HTTP/2 this ends the stream, over HTTP/1 the connection.
    async fn hang_up(&self, number: u64) -> Read<()> {
        let http = if number.is_multiple_of(2) {
            &self.closing
        } else {
            &self.http2
        };
        let target = "/api/sandbox/download?bytes=8000000&type=binary";
        let answer = self.send(http, Method::GET, target, Bytes::new()).await?;
        pieces(answer, Duration::ZERO, |_, _| Err(Outcome::HungUp)).await?;
        Ok(())
    }

    async fn send(
        &self,
        http: &Http,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Read<Response<Incoming>> {
        let large = body.len() > 64 * 1024;
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url));
        let request = request.body(Full::from(body)).expect("a request");
        let breaking = self.breaking.load(Ordering::Relaxed);
        match http.request(request).await {
            Ok(answer) => success(answer),
            // An answer that comes before all of the body was sent may be lost with the connection (RFC 9112 §9.6).
            Err(_) if large => Err(Outcome::Honest("upload broken off".to_owned())),
            Err(_) if breaking || self.breaking.load(Ordering::Relaxed) => {
                Err(Outcome::Honest("broken off before the head".to_owned()))
            }
            Err(error) => Err(Outcome::Wrong(format!("{target}: no answer: {error:?}"))),
        }
    }
}

/// One to three, in bytes.
fn megabytes(number: u64) -> usize {
    1_000_000 * (1 + usize::try_from(number % 3).unwrap_or_default())
}

/// The stand-in's downloads repeat a block of these many bytes, in which each is its place modulo 251.
const BLOCK: u64 = 64 * 1024;
