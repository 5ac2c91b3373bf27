//! Many requests at a time over few connections: HTTP/2 without TLS, as `curl --http2-prior-knowledge` speaks it.

use std::time::Instant;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use crate::support::{Answer, PATIENCE, Proxy};

/// Paths whose answers cost the stand-ins little.
pub(crate) const SMALL: &str = "/api/sandbox/download?bytes=200";
pub(crate) const SMALL_XDR: &str = "/api/incidents?$top=1";

/// One connection.
pub(crate) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    url: String,
}

impl Http2 {
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        let stream = proxy.connect().await;
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self {
            sender,
            url: proxy.url.clone(),
        }
    }

    pub(crate) async fn connect_many(proxy: &Proxy, count: usize) -> Vec<Self> {
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.push(Self::connect(proxy).await);
        }
        connections
    }

    /// Sends a GET now; the answer comes when it comes.
    pub(crate) fn get(&self, target: &str) -> JoinHandle<Answer> {
        self.send(
            Request::builder()
                .method(Method::GET)
                .uri(format!("{}{target}", self.url))
                .body(Full::default())
                .unwrap(),
        )
    }

    /// Sends a request now, whatever authority it names.
    pub(crate) fn send(&self, request: Request<Full<Bytes>>) -> JoinHandle<Answer> {
        let answer = self.sender.clone().send_request(request);
        tokio::spawn(async move {
            let (head, body) = tokio::time::timeout(PATIENCE, answer)
                .await
                .expect("no hang")
                .expect("an answer")
                .into_parts();
            let body = tokio::time::timeout(PATIENCE, body.collect())
                .await
                .expect("no hang")
                .expect("a whole body");
            Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            }
        })
    }

    /// Sends so many.
    pub(crate) fn get_many(&self, target: &str, count: usize) -> Vec<JoinHandle<Answer>> {
        (0..count).map(|_| self.get(target)).collect()
    }

    /// Comes back when the proxy has begun all requests that were sent before: it takes up streams in their order, and
    /// this one it answers by itself.
    pub(crate) async fn all_begun(&self) {
        let answer = self.get("/nowhere").await.unwrap();
        assert!(answer.is_own("destination_not_found"), "{}", answer.text());
    }
}

/// All answers.
pub(crate) async fn all(pending: Vec<JoinHandle<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(pending.len());
    for answer in pending {
        answers.push(answer.await.expect("an answer"));
    }
    answers
}

/// All answers, none of them an error.
pub(crate) async fn all_ok(pending: Vec<JoinHandle<Answer>>) {
    let answers = all(pending).await;
    let bad: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status != StatusCode::OK)
        .collect();
    if let Some(first) = bad.first() {
        panic!(
            "{} of {} failed: {}",
            bad.len(),
            answers.len(),
            first.text()
        );
    }
}

/// Prints a figure for people (`--nocapture`); nothing depends on it.
pub(crate) fn note(what: &str, since: Instant) {
    eprintln!("{what}: {} ms", since.elapsed().as_millis());
}
