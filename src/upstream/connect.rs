//! Opening a connection: directly or through an HTTP proxy's tunnel, then TLS, all within one time limit.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
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

use super::link::Link;
use crate::{body::BoxError, origin};

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
}

impl Connector {
    /// `timeout` covers everything from the name's look-up to the end of the TLS handshake.
    #[must_use]
    pub fn new(tls: rustls::ClientConfig, proxies: Matcher, timeout: Duration) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        direct.set_keepalive(Some(Duration::from_mins(1)));
        let tcp = Tcp {
            direct,
            proxies: Arc::new(proxies),
        };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Self { https, timeout }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<Link>>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let (connecting, timeout) = (self.https.call(target), self.timeout);
        Box::pin(async move {
            let mut stream = tokio::time::timeout(timeout, connecting)
                .await
                .unwrap_or_else(|_| Err(ConnectTimeout.into()))?;
            if let MaybeHttpsStream::Https(tls) = &mut stream {
                let (link, tls) = tls.inner_mut().get_mut();
                if tls.alpn_protocol() == Some(b"h2") {
                    link.inner_mut().inner_mut().speaks_http2();
                }
            }
            Ok(stream)
        })
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

/// A connection being opened.
pub type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// TCP, or a `CONNECT` tunnel over it (RFC 9110 §9.3.6). Loopback hosts are always reached directly.
#[derive(Clone)]
pub struct Tcp {
    direct: HttpConnector,
    proxies: Arc<Matcher>,
}

impl Service<Uri> for Tcp {
    type Response = TokioIo<Link>;
    type Error = BoxError;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.direct.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let local = target.host().is_some_and(origin::is_loopback);
        let Some(proxy) = self.proxies.intercept(&target).filter(|_| !local) else {
            let connecting = self.direct.call(target);
            return Box::pin(async { Ok(linked(connecting.await?)) });
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
        Box::pin(async move { Ok(linked(tunnel.call(target).await?)) })
    }
}

fn linked(stream: TokioIo<TcpStream>) -> TokioIo<Link> {
    TokioIo::new(Link::new(stream.into_inner()))
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tcp").finish_non_exhaustive()
    }
}
