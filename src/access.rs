//! The access log: one line for each request, written when its response has ended, however it ended.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use crate::server::breaker::Breaker;

/// What the lines are logged under.
pub const TARGET: &str = "defender_proxy::access";

/// What is known of a request while it is under way.
#[derive(Debug)]
pub struct Record {
    method: Method,
    target: Uri,
    started: Instant,
    /// None until there is a response.
    status: Option<StatusCode>,
    source: Source,
    customer: Option<Arc<str>>,
    token_age: Option<Duration>,
    bytes: u64,
    end: End,
    connection: usize,
    breaker: Option<Breaker>,
}

/// Whose answer the client got.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The API's.
    Upstream,
    /// One that the proxy made.
    Proxy,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// The client went away.
    Dropped,
    /// Upstream broke off.
    Cut,
    Complete,
}

impl Record {
    /// Begins the record of a request that was just received on the connection of `breaker`.
    #[must_use]
    pub fn start<B>(request: &Request<B>, breaker: &Breaker) -> Self {
        Self {
            connection: breaker.connection(),
            breaker: (request.version() == Version::HTTP_10).then(|| breaker.clone()),
            method: request.method().clone(),
            target: request.uri().clone(),
            started: Instant::now(),
            status: None,
            source: Source::Proxy,
            customer: None,
            token_age: None,
            bytes: 0,
            end: End::Dropped,
        }
    }

    /// What tells the request's connection from all others that are open.
    #[must_use]
    pub fn connection(&self) -> usize {
        self.connection
    }

    /// Notes the partner's customer that it is for.
    pub fn note_customer(&mut self, name: &Arc<str>) {
        self.customer = Some(Arc::clone(name));
    }

    /// Notes the age of the token that was attached.
    pub fn note_token(&mut self, age: Duration) {
        self.token_age = Some(age);
    }

    /// Notes the head of the response, and binds the record to its body.
    pub fn body<B: Body>(mut self, status: StatusCode, source: Source, body: B) -> Logged<B> {
        self.status = Some(status);
        self.source = source;
        if self.method == Method::HEAD || body.is_end_stream() {
            self.note_end(End::Complete);
        } else if body.size_hint().exact().is_none() {
            self.breaker.iter().for_each(Breaker::arm);
        }
        Logged { body, record: self }
    }

    fn note_end(&mut self, end: End) {
        self.end = end;
        if let End::Complete = end {
            self.breaker.iter().for_each(Breaker::disarm);
        }
    }

    fn write(&self) {
        tracing::info!(
            target: TARGET,
            method = %self.method,
            path = %Redacted(&self.target),
            customer = self.customer.as_deref(),
            status = self.status.map(|status| status.as_u16()),
            from = match self.source { Source::Upstream => "upstream", Source::Proxy => "proxy" },
            bytes = self.bytes,
            ms = milliseconds(self.started.elapsed()),
            token_age_s = self.token_age.map(|age| age.as_secs()),
            end = match self.end { End::Complete => None, End::Cut => Some("cut"), End::Dropped => Some("dropped") },
        );
    }
}

/// With three digits behind the point.
fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A body that goes with the record of its request.
#[derive(Debug)]
pub struct Logged<B> {
    body: B,
    record: Record,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Logged<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                this.record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                // With all of its declared length there, or its trailers, nobody asks the body for its end.
                if frame.is_trailers()
                    || this.body.is_end_stream()
                    || this.body.size_hint().exact() == Some(0)
                {
                    this.record.note_end(End::Complete);
                }
            }
            Some(Err(_)) => this.record.note_end(End::Cut),
            None => this.record.note_end(End::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write();
    }
}

/// A target without what may be secret: of the query only the values of OData's own options are shown.
struct Redacted<'a>(&'a Uri);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.path())?;
        let Some(query) = self.0.query() else {
            return Ok(());
        };
        for (at, pair) in query.split('&').enumerate() {
            f.write_str(if at == 0 { "?" } else { "&" })?;
            match pair.split_once('=') {
                Some((name, _)) if !is_plain(name) => write!(f, "{name}=…")?,
                // Without a `=` the whole of it may be a key.
                None if !is_plain(pair) => f.write_str("…")?,
                _ => f.write_str(pair)?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    let name = name.strip_prefix("%24").unwrap_or(name);
    PLAIN
        .iter()
        .any(|plain| plain.eq_ignore_ascii_case(name.trim_start_matches('$')))
}

const PLAIN: [&str; 13] = [
    "top",
    "skip",
    "filter",
    "select",
    "orderby",
    "expand",
    "count",
    "search",
    "format",
    "pagesize",
    "sincetime",
    "sasvalidhours",
    "api-version",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_odata_options_show_their_values() {
        for (target, shown) in [
            ("/api/machines", "/api/machines"),
            ("/api/x?$top=5&$skip=10", "/api/x?$top=5&$skip=10"),
            (
                "/api/x?%24filter=a%20eq%201&pageSize=5",
                "/api/x?%24filter=a%20eq%201&pageSize=5",
            ),
            (
                "/api/x?$skiptoken=abc&sig=s&token=t",
                "/api/x?$skiptoken=…&sig=…&token=…",
            ),
            ("/api/x?opaque", "/api/x?…"),
        ] {
            assert_eq!(Redacted(&target.parse().unwrap()).to_string(), shown);
        }
    }
}
