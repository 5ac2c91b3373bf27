//! The one HTTP client: pool, TLS, HTTP proxy, timeouts. API requests and token requests both go through it.

pub mod connect;
mod pool;
pub mod tls;

use std::{error::Error as _, io, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::{
    client::{
        legacy::{self, Client},
        proxy::matcher::Matcher,
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::{Instant, timeout_at};

use self::{
    connect::{ConnectTimeout, Connector},
    pool::Pool,
};
use crate::{
    body::{Outgoing, Patient, Progress},
    config::UpstreamConfig,
    error::Error,
    route::Authorized,
};

/// What all clients of a process share: the TLS set-up, the way through an HTTP proxy, the time limits.
#[derive(Clone, Debug)]
pub struct Transport {
    connector: Connector,
    direct: Connector,
    response_timeout: Duration,
}

impl Transport {
    /// Reads the trusted roots and the proxy settings (`upstream.proxy`, else `HTTPS_PROXY` and `NO_PROXY`).
    ///
    /// # Errors
    /// When `upstream.ca` can't be read, or no root is to be found at all.
    pub fn new(config: &UpstreamConfig) -> Result<Self, tls::RootsError> {
        let tls = tls::client_config(config.ca.as_deref())?;
        let direct = Connector::new(
            tls.clone(),
            Matcher::builder().build(),
            DIRECT_CONNECT_TIMEOUT.min(config.connect_timeout),
        );
        let connector = Connector::new(
            tls,
            connect::matcher(config.proxy.as_ref()),
            config.connect_timeout,
        );
        Ok(Self {
            connector,
            direct,
            response_timeout: config.response_timeout,
        })
    }

    /// A client with a connection pool of its own. Each worker has one, as pooled connections live on its runtime.
    #[must_use]
    pub fn client(&self) -> HttpClient {
        self.pooled(self.connector.clone())
    }

    /// A client that no HTTP proxy stands before, for what is on this machine or on its own link.
    #[must_use]
    pub fn direct_client(&self) -> HttpClient {
        self.pooled(self.direct.clone())
    }

    fn pooled(&self, connector: Connector) -> HttpClient {
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http1_max_buf_size(MAX_BUFFER);
        HttpClient {
            pool: Arc::new(Pool::new(builder, connector)),
            response_timeout: self.response_timeout,
        }
    }
}

/// A pooled client over TLS 1.2 or newer, HTTP/2 or HTTP/1.1 by ALPN. It follows no redirect and keeps no cookie.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pool: Arc<Pool>,
    response_timeout: Duration,
}

impl HttpClient {
    /// Sends an API request and waits for the head of its response.
    ///
    /// The time limit counts from the last movement of the request body, so an upload of any length is not cut off; and while the
    /// client has to go on with it, not at all. The body of the response may pause for the same time.
    ///
    /// # Errors
    /// One of the upstream variants of [`Error`].
    pub async fn send(
        &self,
        request: Authorized,
        progress: &Progress,
    ) -> Result<Response<Patient<Incoming>>, Error> {
        let mut response = self.pool.client().request(request.into_inner());
        loop {
            let deadline = progress.last() + self.response_timeout;
            match timeout_at(deadline, &mut response).await {
                Ok(Ok(response)) => {
                    return Ok(response.map(|body| Patient::new(body, self.response_timeout)));
                }
                Ok(Err(_)) if progress.has_stalled() => return Err(Error::BodyTimeout),
                Ok(Err(error)) => return Err(classify(error)),
                Err(_) if progress.last() + self.response_timeout > Instant::now() => {}
                Err(_) => return Err(Error::ResponseTimeout),
            }
        }
    }

    /// A small exchange, read whole: at most `limit` bytes, within half a minute.
    ///
    /// # Errors
    /// One of the upstream variants of [`Error`].
    pub(crate) async fn fetch(
        &self,
        request: Request<Vec<u8>>,
        limit: usize,
    ) -> Result<Response<Vec<u8>>, Error> {
        let exchange = async {
            let response = self
                .pool
                .client()
                .request(request.map(Outgoing::full))
                .await
                .map_err(classify)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, limit)
                .collect()
                .await
                .map_err(Error::Protocol)?;
            Ok(Response::from_parts(head, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(FETCH_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(Error::ExchangeTimeout(FETCH_TIMEOUT)))
    }
}

/// Sorts a failure by the first of its causes that says what went wrong.
fn classify(error: legacy::Error) -> Error {
    let kind = std::iter::successors(error.source(), |cause| deeper(*cause)).find_map(kind_of);
    match kind {
        Some(Kind::OutOfFiles) => Error::OutOfFiles,
        Some(Kind::Tls) => Error::Tls(error.into()),
        Some(Kind::Dns) => Error::Dns(error.into()),
        Some(Kind::ConnectTimeout) => Error::ConnectTimeout,
        Some(Kind::ClientBody) => Error::BrokenBody(error.into()),
        Some(Kind::Protocol) => Error::Protocol(error.into()),
        None if error.is_connect() => Error::Connect(error.into()),
        None => Error::Closed(error.into()),
    }
}

enum Kind {
    OutOfFiles,
    Tls,
    Dns,
    ConnectTimeout,
    ClientBody,
    Protocol,
}

fn kind_of(cause: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    if cause.downcast_ref().is_some_and(is_out_of_files) {
        return Some(Kind::OutOfFiles);
    }
    if cause.is::<rustls::Error>() {
        return Some(Kind::Tls);
    }
    if cause.is::<ConnectTimeout>() {
        return Some(Kind::ConnectTimeout);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return match error {
            error if error.is_user() => Some(Kind::ClientBody),
            error if error.is_parse() => Some(Kind::Protocol),
            _ => None,
        };
    }
    // The resolver's error has no type of its own.
    cause
        .to_string()
        .starts_with("dns error")
        .then_some(Kind::Dns)
}

/// The process, or the system, has no file descriptor left for a connection.
#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let code = error.raw_os_error();
    code == Some(Errno::MFILE.raw_os_error()) || code == Some(Errno::NFILE.raw_os_error())
}

#[cfg(not(unix))]
fn is_out_of_files(_: &io::Error) -> bool {
    false
}

/// The next cause. `io::Error` hides the error that it carries behind that error's own source.
fn deeper<'a>(
    cause: &'a (dyn std::error::Error + 'static),
) -> Option<&'a (dyn std::error::Error + 'static)> {
    match cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => cause.source(),
    }
}

/// How long a connection may rest in the pool. Azure's front ends close idle ones after some minutes; a shorter time here
/// makes it rare that a request meets a connection that is just being closed.
const POOL_IDLE: Duration = Duration::from_mins(1);
/// The most that HTTP/1 buffers of one connection, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
/// What one HTTP/2 response may have on its way, in bytes: a client that has stopped reading costs this much memory.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The most there is, so that responses nobody reads never use up what the others on the connection need. (hyper's adaptive
/// window makes both equal: one stalled client would then stop all. And where it is short, upstream sends crumbs, which `h2` takes
/// for an attack when they are many.)
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// The limit for connecting to something that is near, or absent.
const DIRECT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The limit of a token exchange.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
