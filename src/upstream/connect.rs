//! Opening a connection: directly or through an HTTP proxy's tunnel, then TLS, all within one time limit; at once refused where none
//! succeeds.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Authority};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::{
        legacy::connect::{HttpConnector, proxy::Tunnel},
        proxy::matcher::Matcher,
    },
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::{
    circuit::{Circuits, Outage},
    link::{Gaze, Link},
};
use crate::{
    body::BoxError,
    origin::{self, Origin},
};

/// The `upstream.proxy` of the configuration for every host, else what `HTTPS_PROXY` and `NO_PROXY` say. `NO_PROXY` counts
/// for both.
#[must_use]
pub fn matcher(proxy: Option<&Uri>) -> Matcher {
    match proxy {
        None => Matcher::from_env(),
        Some(proxy) => {
            let no = ["NO_PROXY", "no_proxy"]
                .iter()
                .find_map(|name| std::env::var(name).ok());
            Matcher::builder()
                .all(proxy.to_string())
                .no(no.unwrap_or_default())
                .build()
        }
    }
}

/// Opens connections for the pool, TLS included.
#[derive(Clone)]
pub struct Connector {
    https: HttpsConnector<Tcp>,
    timeout: Duration,
    circuits: Circuits,
}

impl Connector {
    /// `timeout` covers everything from the name's look-up to the end of the TLS handshake; `unread` is for how long upstream may leave
    /// unread what is sent.
    #[must_use]
    pub fn new(
        tls: rustls::ClientConfig,
        proxies: Matcher,
        timeout: Duration,
        unread: Duration,
    ) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(Duration::from_mins(1)));
        let tcp = Tcp {
            direct,
            proxies: Arc::new(proxies),
            unread,
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Self {
            https,
            timeout,
            circuits: Circuits::default(),
        }
    }

    /// Why connections to `origin` are refused at once, if they are.
    pub(super) fn outage(&self, origin: &Origin) -> Option<Outage> {
        self.circuits
            .of(origin.scheme(), origin.authority())
            .outage()
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Connecting<Stream>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let (Some(scheme), Some(authority)) = (target.scheme(), target.authority()) else {
            return Box::pin(async { Err("the target has no origin".into()) });
        };
        let circuit = self.circuits.of(scheme, authority);
        let way = Way {
            https: self.https.clone(),
            target,
            timeout: self.timeout,
        };
        Box::pin(async move { circuit.connect(way).await })
    }
}

/// Where a connection shall lead, and how: what it takes to try once more.
#[derive(Clone)]
pub(super) struct Way {
    https: HttpsConnector<Tcp>,
    target: Uri,
    /// The time limit of a request.
    pub(super) timeout: Duration,
}

impl Way {
    /// One connection, within `limit`.
    pub(super) async fn open(&self, limit: Duration) -> Result<Stream, BoxError> {
        let mut https = self.https.clone();
        let connecting = async {
            poll_fn(|cx| https.poll_ready(cx)).await?;
            https.call(self.target.clone()).await
        };
        tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| Err(ConnectTimeout.into()))
    }

    /// The target without its path, for the log.
    pub(super) fn origin(&self) -> String {
        let scheme = self.target.scheme_str().unwrap_or_default();
        let authority = self.target.authority().map_or("", Authority::as_str);
        format!("{scheme}://{authority}")
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// No connection within `upstream.connect_timeout`.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub struct ConnectTimeout;

/// A connection, with TLS or (on loopback) without.
pub(super) type Stream = MaybeHttpsStream<TokioIo<Link>>;

/// Has upstream chosen HTTP/2?
pub(super) fn is_http2(stream: &Stream) -> bool {
    match stream {
        MaybeHttpsStream::Http(_) => false,
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().1.alpn_protocol() == Some(b"h2"),
    }
}

pub(super) fn gaze(stream: &Stream) -> Gaze {
    let link = match stream {
        MaybeHttpsStream::Http(link) => link.inner(),
        MaybeHttpsStream::Https(tls) => tls.inner().get_ref().0.inner().inner(),
    };
    link.gaze().clone()
}

/// A connection being opened.
pub type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// TCP, or a `CONNECT` tunnel over it (RFC 9110 §9.3.6). Loopback hosts are always reached directly.
#[derive(Clone)]
pub struct Tcp {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
    unread: Duration,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<Link>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let unread = self.unread;
        let local = target.host().is_some_and(origin::is_loopback);
        let Some(proxy) = self.proxies.intercept(&target).filter(|_| !local) else {
            let connecting = self.direct.call(target);
            return Box::pin(async move { Ok(linked(connecting.await?, unread)) });
        };
        if proxy.uri().scheme_str() != Some("http") {
            return Box::pin(async {
                Err("the HTTP proxy must be given as an http:// URL".into())
            });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.direct.clone());
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        Box::pin(async move { Ok(linked(tunnel.call(target).await?, unread)) })
    }
}

fn linked(stream: TokioIo<TcpStream>, unread: Duration) -> TokioIo<Link> {
    TokioIo::new(Link::new(stream.into_inner(), unread))
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").finish_non_exhaustive()
    }
}
