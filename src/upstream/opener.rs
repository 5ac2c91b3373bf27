//! Opening a connection and agreeing on the protocol: HTTP/2 where upstream offers it by ALPN (RFC 9113 §3.2), else HTTP/1.1.

use std::{fmt, future::poll_fn, time::Duration};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_service::Service;

use super::{
    connect::{self, Connector},
    http1::Connection,
    lane::Ready,
};
use crate::body::BoxError;

/// Opens connections that carry requests.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) connector: Connector,
    http1: http1::Builder,
    http2: http2::Builder<TokioExecutor>,
}

impl Opener {
    pub(super) fn new(connector: Connector) -> Self {
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(MAX_BUFFER);
        let mut http2 = http2::Builder::new(TokioExecutor::new());
        http2
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .max_header_list_size(MAX_HEADERS)
            .max_send_buf_size(SEND_BUFFER)
            .max_concurrent_reset_streams(MAX_RESETS_KEPT)
            .max_local_error_reset_streams(None);
        Self {
            connector,
            http1,
            http2,
        }
    }

    pub(super) async fn open(
        &self,
        scheme: &Scheme,
        authority: &Authority,
    ) -> Result<Ready, BoxError> {
        let target = Uri::builder()
            .scheme(scheme.clone())
            .authority(authority.clone())
            .path_and_query("/")
            .build()?;
        let mut connector = self.connector.clone();
        poll_fn(|cx| connector.poll_ready(cx)).await?;
        let stream = connector.call(target).await?;
        if connect::is_http2(&stream) {
            let (sender, driver) = self.http2.handshake(stream).await?;
            tokio::spawn(async move {
                if let Err(error) = driver.await {
                    tracing::debug!(%error, "a connection to upstream has broken");
                }
            });
            return Ok(Ready::Http2(sender));
        }
        let gaze = connect::gaze(&stream);
        let connection = Connection::open(&self.http1, stream, gaze).await?;
        Ok(Ready::Http1(connection))
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener")
            .field("connector", &self.connector)
            .finish_non_exhaustive()
    }
}

/// How long an HTTP/2 connection may be silent, while something is awaited on it, before it is asked whether it lives; and how long it may
/// take to say so. Both together are less than [`FETCH_TIMEOUT`]: a connection whose other end is gone without a word, as after a
/// change of networks, would stay in the pool, and every token request would wait on it in vain.
const PING: Duration = Duration::from_secs(10);
/// The most that HTTP/1 buffers of one connection, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
/// What one HTTP/2 response may have on its way, in bytes: a client that has stopped reading costs this much memory.
const STREAM_WINDOW: u32 = 512 * 1024;
/// The most there is, so that responses nobody reads never use up what the others on the connection need. (hyper's adaptive
/// window makes both equal: one stalled client would then stop all. And where it is short, upstream sends crumbs, which `h2` takes
/// for an attack when they are many.)
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// The most that the fields of one HTTP/2 response may take, in bytes; as in HTTP/1.
const MAX_HEADERS: u32 = 64 * 1024;
/// What one HTTP/2 upload may have written ahead of the socket, in bytes.
const SEND_BUFFER: usize = 256 * 1024;
/// For how many requests that were given up late frames are still expected. `h2` takes later ones for errors of upstream and by
/// default ends a connection with 1,024 of them, so clients that hang up could end the requests of others: there is no such end.
const MAX_RESETS_KEPT: usize = 1024;
