//! Opening a connection and agreeing on the protocol: HTTP/2 where upstream offers it by ALPN (RFC 9113 §3.2), else HTTP/1.1.

use std::{fmt, future::poll_fn};

use http::{
    Uri,
    uri::{Authority, Scheme},
};
use hyper::client::conn::http1;
use tower_service::Service;

use super::{
    connect::{self, Connector},
    http1::Connection,
    http2,
    lane::Ready,
};
use crate::body::BoxError;

/// Opens connections that carry requests.
#[derive(Clone)]
pub(super) struct Opener {
    pub(super) connector: Connector,
    http1: http1::Builder,
}

impl Opener {
    pub(super) fn new(connector: Connector) -> Self {
        let mut http1 = http1::Builder::new();
        http1.max_buf_size(MAX_BUFFER);
        Self { connector, http1 }
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
            return Ok(Ready::Http2(http2::Connection::open(stream).await?));
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

/// The most that HTTP/1 buffers of one connection, in bytes.
const MAX_BUFFER: usize = 64 * 1024;
