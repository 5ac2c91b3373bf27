//! The requests that reached the stand-ins: targets byte for byte; header names in lower case, as hyper gives them; of bodies
//! the length.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Uri, Version};
use serde_json::{Value, json};

use super::state::{Listener, lock};

/// A ring of the last 10,000 requests.
pub(crate) struct RequestLog(Mutex<VecDeque<Arc<Recorded>>>);

impl RequestLog {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(VecDeque::new()))
    }

    pub(crate) fn record<B>(&self, listener: Listener, request: &Request<B>) -> Arc<Recorded> {
        let recorded = Arc::new(Recorded::unlisted(listener, request));
        let mut ring = lock(&self.0);
        if ring.len() == CAPACITY {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(&recorded));
        recorded
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// All of them, oldest first, as the `requests` answer shows them.
    pub(crate) fn to_json(&self) -> Vec<Value> {
        let kept: Vec<Arc<Recorded>> = lock(&self.0).iter().cloned().collect();
        kept.iter().map(|recorded| recorded.to_json()).collect()
    }
}

/// One request. `Authorization` is kept too: tests judge by it, and these tokens open nothing real.
pub(crate) struct Recorded {
    listener: Listener,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body_bytes: AtomicU64,
}

impl Recorded {
    /// A record that is in no list.
    pub(crate) fn unlisted<B>(listener: Listener, request: &Request<B>) -> Self {
        Self {
            listener,
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers: request.headers().clone(),
            body_bytes: AtomicU64::new(0),
        }
    }

    /// Adds to the bytes of the body read so far.
    pub(crate) fn read(&self, bytes: usize) {
        self.body_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn to_json(&self) -> Value {
        let target = self
            .uri
            .path_and_query()
            .map_or_else(|| self.uri.to_string(), ToString::to_string);
        let headers: Vec<[String; 2]> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                [name.as_str().to_owned(), value]
            })
            .collect();
        json!({
            "listener": self.listener.name(),
            "method": self.method.as_str(),
            "target": target,
            // HTTP/2 (and the absolute form of HTTP/1.1) names the host here rather than in a Host
            // header.
            "authority": self.uri.authority().map(ToString::to_string),
            "version": format!("{:?}", self.version),
            "headers": headers,
            "body_bytes": self.body_bytes.load(Ordering::Relaxed),
        })
    }
}

const CAPACITY: usize = 10_000;
