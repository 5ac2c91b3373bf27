//! A TCP connection to upstream that can be given up from where its answers are judged.
//!
//! hyper closes a connection whose answer it can't read. An answer that it reads and that is refused here all the same must not
//! leave its connection in the pool: the two ends may no longer agree where the next answer begins (RFC 9112 §9.2, §11.1).

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Says that a connection is given up. It stands in the extensions of every answer; clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub struct Spent(Arc<AtomicBool>);

impl Spent {
    /// From now on the connection carries nothing.
    pub fn mark(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

/// A connection that ends when its [`Spent`] says so.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    spent: Spent,
}

impl Link {
    /// A new connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let spent = Spent::default();
        Self { stream, spent }
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let this = self.get_mut();
        this.spent.check()?;
        Ok(Pin::new(&mut this.stream))
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.spent.clone())
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buffer)
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
