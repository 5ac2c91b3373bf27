//! Breaking a connection so that its client notices.
//!
//! To an HTTP/1.0 client the end of the connection may be the end of the body, so while such a body is on its way the connection
//! must not be able to end in an orderly close: not by an error, not by the end of the program. It ends in a reset, which every
//! client takes for an error. HTTP/1.1 and HTTP/2 have marks of their own for the end of a body. (A unix socket has no reset.)

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Tells a connection how it shall end. Clones belong to the same connection.
#[derive(Clone, Debug, Default)]
pub struct Breaker(Arc<AtomicU8>);

impl Breaker {
    /// From now on the connection ends in a reset.
    pub fn arm(&self) {
        self.0.store(ARMED, Ordering::Relaxed);
    }

    /// It may end in order when all that was given to it is written.
    pub fn disarm(&self) {
        let _ = self
            .0
            .compare_exchange(ARMED, WRITING, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn note_written(&self) {
        let _ = self
            .0
            .compare_exchange(WRITING, CALM, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What tells its connection from all others that are open.
    #[must_use]
    pub fn connection(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn is_armed(&self) -> bool {
        self.0.load(Ordering::Relaxed) != CALM
    }
}

const CALM: u8 = 0;
const ARMED: u8 = 1;
/// The last of a body is on its way to the socket.
const WRITING: u8 = 2;

/// A TCP connection that ends as its [`Breaker`] says.
#[derive(Debug)]
pub(super) struct Breakable {
    stream: TcpStream,
    breaker: Breaker,
    resets: bool,
}

impl Breakable {
    pub(super) fn new(stream: TcpStream, breaker: Breaker) -> Self {
        Self {
            stream,
            breaker,
            resets: false,
        }
    }

    /// Tells the system, so that it holds even if the program is killed.
    fn follow_breaker(&mut self) {
        let armed = self.breaker.is_armed();
        if armed == self.resets {
            return;
        }
        self.resets = armed;
        let told = if armed {
            self.stream.set_zero_linger()
        } else {
            #[expect(
                deprecated,
                reason = "only lingering for a time would block, and this ends all lingering"
            )]
            self.stream.set_linger(None)
        };
        if let Err(error) = told {
            tracing::debug!(%error, "a connection can't be told how to end");
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut TcpStream> {
        let this = self.get_mut();
        this.follow_breaker();
        Pin::new(&mut this.stream)
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

    /// HTTP and TLS come here with nothing left to write.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.breaker.note_written();
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.breaker.is_armed() {
            // An orderly end would go out before the reset does.
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(cx)
    }
}

impl Drop for Breakable {
    fn drop(&mut self) {
        self.follow_breaker();
    }
}
