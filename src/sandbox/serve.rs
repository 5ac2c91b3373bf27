//! The accept loop of one stand-in.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::outgoing::Outgoing;
use super::state::{Listener, State};
use super::wire::Abort;
use super::{calls, control, entra, managed};

/// Where one stand-in lets clients in.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) listener: Listener,
    /// None for plain HTTP.
    pub(crate) acceptor: Option<TlsAcceptor>,
    pub(crate) state: Arc<State>,
}

impl Door {
    /// Accepts until dropped; its connections end with it.
    pub(crate) async fn serve(self, socket: TcpListener) {
        let mut connections = JoinSet::new();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // Never closed, so never an error.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let accepted = loop {
                tokio::select! {
                    accepted = socket.accept() => break accepted,
                    Some(_) = connections.join_next() => {}
                }
            };
            match accepted {
                Ok((stream, _)) => {
                    let door = self.clone();
                    connections.spawn(async move {
                        door.connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Mostly too many open files: wait for some to close.
                    tracing::warn!(stand_in = self.listener.name(), %error, "cannot accept");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream) {
        // Small answers shall not wait for a full packet; without it they are only slower.
        let _ = stream.set_nodelay(true);
        let Some(acceptor) = &self.acceptor else {
            return self.http(stream).await;
        };
        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream).await,
            Ok(Err(error)) => {
                tracing::debug!(stand_in = self.listener.name(), %error, "no TLS");
            }
            Err(_) => {}
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + 'static>(&self, stream: S) {
        self.state.counters.connection(self.listener);
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS);
        let service = service_fn(|request| handle(Arc::clone(&self.state), self.listener, request));
        if let Err(error) = builder
            .serve_connection(TokioIo::new(stream), service)
            .await
        {
            tracing::debug!(stand_in = self.listener.name(), %error, "connection ended");
        }
    }
}

async fn handle(
    state: Arc<State>,
    listener: Listener,
    request: Request<Incoming>,
) -> Result<Response<Outgoing>, Abort> {
    if control::is_control(request.uri().path()) {
        return control::answer(&state, listener, request).await;
    }
    match listener {
        Listener::Entra => entra::answer(&state, request).await,
        Listener::Defender | Listener::Graph => calls::answer(&state, listener, request).await,
        Listener::Managed => managed::answer(&state, request).await,
    }
}

const MAX_CONNECTIONS: usize = 4096;
const MAX_STREAMS: u32 = 1000;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Between requests of a kept connection.
const IDLE: Duration = Duration::from_mins(2);
const BACK_OFF: Duration = Duration::from_millis(100);
