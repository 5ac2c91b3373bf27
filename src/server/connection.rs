//! One client connection: TLS if asked for, HTTP/1.0, 1.1 or 2 by what the client sends, and its deadlines.

use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
};
use std::convert::Infallible;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Notify,
};
use tokio_rustls::TlsAcceptor;

use super::{Limits, listener::Socket};
use crate::proxy::Proxy;

/// How connections are served; the same for all of a listener.
#[derive(Clone)]
pub struct Acceptor {
    http: auto::Builder<TokioExecutor>,
    tls: Option<TlsAcceptor>,
    limits: Arc<Limits>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("tls", &self.tls.is_some())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Plain HTTP, or TLS with `tls`.
    #[must_use]
    pub fn new(tls: Option<TlsAcceptor>, limits: Limits) -> Self {
        let mut http = auto::Builder::new(TokioExecutor::new());
        // `pipeline_flush` stays off: it would let a response to a client that has stopped reading pile up in memory.
        http.http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.idle)
            .max_buf_size(MAX_BUFFER)
            // Names are case-insensitive, but not to every script that cuts them out of the text.
            .title_case_headers(true);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.idle)
            .adaptive_window(true)
            .max_header_list_size(MAX_HEADERS)
            .max_concurrent_streams(MAX_STREAMS);
        Self {
            http,
            tls,
            limits: Arc::new(limits),
        }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(super) async fn serve(&self, socket: Socket, proxy: Proxy, watcher: Watcher) {
        let served = match socket {
            Socket::Tcp(stream) => match TcpStream::from_std(stream) {
                Ok(stream) => self.serve_stream(stream, proxy, watcher).await,
                Err(error) => Err(error.into()),
            },
            #[cfg(unix)]
            Socket::Unix(stream) => match tokio::net::UnixStream::from_std(stream) {
                Ok(stream) => self.serve_stream(stream, proxy, watcher).await,
                Err(error) => Err(error.into()),
            },
        };
        if let Err(error) = served {
            tracing::debug!(error = %crate::error::Chain(&*error), "a client's connection broke");
        }
    }

    async fn serve_stream<S>(
        &self,
        stream: S,
        proxy: Proxy,
        watcher: Watcher,
    ) -> Result<(), crate::body::BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match &self.tls {
            None => self.serve_http(stream, proxy, watcher).await,
            Some(tls) => {
                let stream =
                    tokio::time::timeout(self.limits.first_request, tls.accept(stream)).await??;
                self.serve_http(stream, proxy, watcher).await
            }
        }
    }

    /// The first-request deadline stands around the whole connection, because hyper's own doesn't cover a client that sends
    /// nothing, or half an HTTP/2 preface.
    async fn serve_http<S>(
        &self,
        stream: S,
        proxy: Proxy,
        watcher: Watcher,
    ) -> Result<(), crate::body::BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = Arc::new(Notify::new());
        let seen = Arc::clone(&first);
        let service = service_fn(move |request| {
            seen.notify_one();
            let proxy = proxy.clone();
            async move { Ok::<_, Infallible>(proxy.handle(request).await) }
        });
        let connection = self
            .http
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        let mut connection = std::pin::pin!(watcher.watch(connection));
        tokio::select! {
            ended = &mut connection => return ended,
            () = first.notified() => {}
            () = tokio::time::sleep(self.limits.first_request) => return Ok(()),
        }
        connection.await
    }
}

/// The most that HTTP/1 buffers of one connection, in bytes; it also bounds a request's head.
const MAX_BUFFER: usize = 64 * 1024;
/// The most that the fields of one HTTP/2 request may take, in bytes.
const MAX_HEADERS: u32 = 64 * 1024;
/// The most requests at a time on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
