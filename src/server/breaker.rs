//! Breaking a connection so that its client notices.
//!
//! To an HTTP/1.0 client the end of the connection is the end of the body, so a body that broke must not end in an orderly close. It
//! ends in a reset, which every client takes for an error. HTTP/1.1 and HTTP/2 have marks of their own for the end of a body.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Tells a connection that it shall end in a reset. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub struct Breaker(Arc<AtomicBool>);

impl Breaker {
    /// From now on the connection ends in a reset.
    pub fn trip(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A TCP connection that ends as its [`Breaker`] says.
#[derive(Debug)]
pub(super) struct Breakable {
    stream: TcpStream,
    breaker: Breaker,
}

impl Breakable {
    pub(super) fn new(stream: TcpStream, breaker: Breaker) -> Self {
        Self { stream, breaker }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Breakable {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buffer)
    }
}

impl AsyncWrite for Breakable {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.breaker.0.load(Ordering::Relaxed) {
            // An orderly end would go out before the reset does.
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        if self.breaker.0.load(Ordering::Relaxed) {
            // If the socket is gone already, its client knows.
            let _ = self.stream.set_zero_linger();
        }
    }
}
