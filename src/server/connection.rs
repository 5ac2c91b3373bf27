//! One client connection: TLS if asked for, HTTP/1.0, 1.1 or 2 by what the client sends, and its deadlines.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Response, StatusCode, Version, header::CONNECTION};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::{conn::auto, graceful::Watcher},
};
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{Notify, watch},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    LAST_CALL, Limits,
    breaker::{Breakable, Breaker},
    listener::Socket,
    screen::{Answers, Fault, Screened},
    unread::{Told, Watching},
    write_limit::WriteLimit,
};
use crate::{body::BoxError, error::Chain, proxy::Proxy};

/// How connections are served; the same for all of a listener.
#[derive(Clone)]
pub struct Acceptor {
    http: auto::Builder<Watching>,
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
        let mut http = auto::Builder::new(Watching {
            limit: limits.stall,
        });
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
            .keep_alive_timeout(PONG_TIMEOUT)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_header_list_size(MAX_HEADERS)
            .max_concurrent_streams(MAX_STREAMS)
            .max_send_buf_size(SEND_BUFFER)
            .max_pending_accept_reset_streams(MAX_RESETS_AHEAD)
            .max_local_error_reset_streams(MAX_STREAM_ERRORS);
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

    pub(super) async fn serve(&self, socket: Socket, session: Session) {
        if let Err(error) = self.serve_socket(socket, session).await {
            tracing::debug!(error = %Chain(&*error), "a client's connection broke");
        }
    }

    async fn serve_socket(&self, socket: Socket, session: Session) -> Result<(), BoxError> {
        match socket {
            Socket::Tcp(stream) => {
                let stream = TcpStream::from_std(stream)?;
                let stream = Breakable::new(stream, session.breaker.clone());
                self.serve_stream(self.bounded(stream, &session), session)
                    .await
            }
            #[cfg(unix)]
            Socket::Unix(stream) => {
                let stream = UnixStream::from_std(stream)?;
                self.serve_stream(self.bounded(stream, &session), session)
                    .await
            }
        }
    }

    fn bounded<S>(&self, stream: S, session: &Session) -> WriteLimit<S> {
        WriteLimit::new(stream, self.limits.stall, session.breaker.clone())
    }

    async fn serve_stream<S>(&self, stream: S, mut session: Session) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, session).await;
        };
        let stream = tokio::select! {
            accepted = timeout(self.limits.first_request, tls.accept(stream)) => accepted??,
            () = session.stopped.wait() => return Ok(()),
        };
        self.serve_http(stream, session).await
    }

    /// The first-request deadline stands around the whole connection, because hyper's own doesn't cover a client that sends
    /// nothing, or half an HTTP/2 preface. Until there is a request, a connection doesn't delay the shutdown either; hyper would
    /// wait for the rest of a first request's head.
    async fn serve_http<S>(&self, stream: S, session: Session) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = Arc::new(Notify::new());
        let seen = Arc::clone(&first);
        let Session {
            proxy,
            watcher,
            mut stopped,
            breaker,
        } = session;
        let answers = Answers::default();
        let screened = Screened::new(stream, answers.clone());
        let service = service_fn(move |request| {
            seen.notify_one();
            let answering = answers.begin();
            let (proxy, breaker, answers) = (proxy.clone(), breaker.clone(), answers.clone());
            async move {
                let version = request.version();
                let mut response = match Fault::noted(&request) {
                    Some(fault) => proxy.refuse(&request, breaker, &fault.into()),
                    None => proxy.handle(request, breaker).await,
                };
                if version <= Version::HTTP_11 && is_refusal(&response) {
                    close_after(&mut response);
                    answers.refuse();
                }
                Ok::<_, Infallible>(response.map(|body| Told::new(body, answering)))
            }
        });
        let connection = self
            .http
            .serve_connection(TokioIo::new(screened), service)
            .into_owned();
        let mut connection = std::pin::pin!(watcher.watch(connection));
        let deadline = async {
            tokio::select! {
                // What was sent before the shutdown may not have been read yet.
                () = stopped.wait() => sleep(LAST_CALL).await,
                () = sleep(self.limits.first_request) => {}
            }
        };
        tokio::select! {
            biased;
            ended = &mut connection => return ended,
            () = first.notified() => {}
            () = deadline => return Ok(()),
        }
        connection.await
    }
}

/// What a client that sends malformed requests means by the next one isn't asked; nor whether the bytes behind a `CONNECT` or an
/// `Upgrade` are one.
fn is_refusal<B>(response: &Response<B>) -> bool {
    matches!(
        response.status(),
        StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED
    ) && response.headers().contains_key("proxy-status")
}

fn close_after<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}

/// What belongs to one connection.
pub(super) struct Session {
    pub(super) proxy: Proxy,
    pub(super) watcher: Watcher,
    pub(super) stopped: Stopped,
    pub(super) breaker: Breaker,
}

/// Says when the shutdown has begun: its sender is dropped then.
pub(super) struct Stopped(pub(super) watch::Receiver<()>);

impl Stopped {
    async fn wait(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// The most that HTTP/1 buffers of one connection, in bytes; it also bounds a request's head.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a client of HTTP/2 has to answer a ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// The most that the fields of one HTTP/2 request may take, in bytes; as in HTTP/1.
const MAX_HEADERS: u32 = 64 * 1024;
/// The largest frame, in bytes: the least that may be announced (RFC 9113 §4.2).
const MAX_FRAME: u32 = 16 * 1024;
/// The most requests at a time on one HTTP/2 connection: the least that is recommended (RFC 9113 §6.5.2).
const MAX_STREAMS: u32 = 100;
/// What one HTTP/2 upload may have on its way, in bytes. With 64 KiB a client that leaves Nagle's algorithm on, as many do, waits for
/// a delayed acknowledgement (40 ms) in each window.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The uploads of one connection hold this much, in bytes, however they stall. It is room for 32 that upstream doesn't take at all
/// before the others on the connection have to wait; and no more, because `h2` bounds the cost of tiny frames by a part of it.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;
/// What one HTTP/2 response may have written ahead of the socket, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many requests a client may take back before they were looked at (rapid reset, CVE-2023-44487).
const MAX_RESETS_AHEAD: usize = 20;
/// How many of its streams a client may make the proxy reset by errors (CVE-2025-8671), in the life of a connection.
const MAX_STREAM_ERRORS: usize = 64;
