//! The one HTTP client: pool, TLS, HTTP proxy, timeouts. API requests and token requests both go through it.

mod circuit;
pub mod connect;
mod framing;
mod http1;
mod http2;
mod lane;
pub mod link;
mod opener;
mod pool;
mod probe;
mod received;
pub mod tls;

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::time::{Instant, timeout_at};

pub use self::received::Received;
use self::{
    circuit::Outage,
    connect::{ConnectTimeout, Connector},
    pool::{NoAnswer, Pool},
};
use crate::{
    body::{BoxError, Outgoing, Patient, Progress},
    config::UpstreamConfig,
    error::Error,
    origin::Origin,
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
        // A little longer than a request waits: it can say better what has happened.
        let unread = config.response_timeout.saturating_add(SLACK);
        let direct = Connector::new(
            tls.clone(),
            Matcher::builder().build(),
            DIRECT_CONNECT_TIMEOUT.min(config.connect_timeout),
            unread,
        );
        let connector = Connector::new(
            tls,
            connect::matcher(config.proxy.as_ref()),
            config.connect_timeout,
            unread,
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
        HttpClient {
            pool: Arc::new(Pool::new(connector)),
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
    pub fn send<'a>(
        &'a self,
        request: Authorized,
        progress: &'a Progress,
    ) -> impl Future<Output = Result<Response<Patient<Received>>, Error>> + use<'a> {
        let mut unsent = Some(request.into_inner());
        async move {
            let answer = {
                let sending = pin!(self.pool.send(&mut unsent));
                self.limited(sending, progress).await?
            };
            let answer = checked(answer)?;
            Ok(answer.map(|body| Patient::new(body, self.response_timeout)))
        }
    }

    /// Opens a connection ahead of a request to `target`, if there is none to be had; so that both don't have to be waited for, that and
    /// what the request still lacks.
    pub fn prepare(&self, target: &Uri) {
        self.pool.prepare(target);
    }

    async fn limited<T>(
        &self,
        mut sending: Pin<&mut impl Future<Output = Result<T, NoAnswer>>>,
        progress: &Progress,
    ) -> Result<Result<T, NoAnswer>, Error> {
        loop {
            let deadline = progress.last() + self.response_timeout;
            match timeout_at(deadline, sending.as_mut()).await {
                Ok(Err(_)) if progress.has_stalled() => return Err(Error::BodyTimeout),
                Ok(outcome) => return Ok(outcome),
                Err(_) if progress.last() + self.response_timeout > Instant::now() => {}
                Err(_) => return Err(Error::ResponseTimeout),
            }
        }
    }

    /// Fails at once where connecting is known to fail, so that nothing is prepared for a request that can't be sent.
    ///
    /// # Errors
    /// One of the variants of [`Error`] that are [unreachable](Error::is_unreachable).
    pub(crate) fn may_reach(&self, origin: &Origin) -> Result<(), Error> {
        let outage = self.pool.outage(origin);
        outage.map_or(Ok(()), |outage| Err(unreachable(outage.into())))
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
            let mut unsent = Some(request.map(Outgoing::full));
            let response = checked(self.pool.send(&mut unsent).await)?;
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

/// An answer that can be read in one way only. The connection of another is given up: who knows what is on it. (One stream of
/// HTTP/2 says nothing about the others.)
fn checked(answer: Result<Response<Received>, NoAnswer>) -> Result<Response<Received>, Error> {
    let answer = answer.map_err(classify)?;
    match framing::check(&answer) {
        Ok(()) => Ok(answer),
        Err(fault) => {
            answer.into_body().give_up();
            Err(Error::Protocol(fault.into()))
        }
    }
}

/// Sorts a failure by the first of its causes that says what went wrong.
fn classify(error: NoAnswer) -> Error {
    let error = match error {
        NoAnswer::Unreachable(error) => return unreachable(error),
        NoAnswer::Broken(error) => error,
    };
    match kind(&*error) {
        Some(Kind::ClientBody) => Error::BrokenBody(error),
        Some(Kind::Protocol) => Error::Protocol(error),
        Some(Kind::OutOfFiles | Kind::Tls | Kind::Dns | Kind::ConnectTimeout) | None => {
            Error::Closed(error)
        }
    }
}

/// The same, of a connection that was never there.
fn unreachable(error: BoxError) -> Error {
    match kind(&*error) {
        Some(Kind::OutOfFiles) => Error::OutOfFiles,
        Some(Kind::Tls) => Error::Tls(error),
        Some(Kind::Dns) => Error::Dns(error),
        Some(Kind::ConnectTimeout) => Error::ConnectTimeout(error),
        Some(Kind::ClientBody | Kind::Protocol) | None => Error::Connect(error),
    }
}

/// Was it known before, so that no connection was tried?
pub(crate) fn is_known(error: &(dyn std::error::Error + 'static)) -> bool {
    Outage::is_behind(error)
}

fn kind(error: &(dyn std::error::Error + 'static)) -> Option<Kind> {
    causes(error).find_map(kind_of)
}

/// An error and all its causes.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |cause| deeper(*cause))
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
    if cause.is::<http2::Broken>() {
        return Some(Kind::ClientBody);
    }
    if let Some(error) = cause.downcast_ref::<h2::Error>() {
        // What it calls its own is what upstream must not do.
        return error.is_library().then_some(Kind::Protocol);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return match error {
            error if error.is_user() => Some(Kind::ClientBody),
            error if error.is_parse() => Some(Kind::Protocol),
            _ => None,
        };
    }
    // The resolver's error has no type of its own.
    let is_dns = cause.to_string().starts_with("dns error");
    is_dns.then_some(Kind::Dns)
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

/// The limit for connecting to something that is near, or absent.
const DIRECT_CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_secs(1);
/// The limit of a token exchange.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
