//! A TCP connection to upstream that can be looked at before a request is sent on it.

use std::{
    io::{self, IoSlice, Read as _},
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    task::coop,
};

use crate::stall::Stall;

/// Makes a [`Link`] look once, at its next read, whether anything has arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Gaze(Arc<AtomicBool>);

impl Gaze {
    pub(super) fn look(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection that can tell what has arrived unasked.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    gaze: Gaze,
    unwritten: Stall,
}

impl Link {
    /// A new connection, on which upstream may leave what is written for `limit` at a time. (While an answer is waited for, that is
    /// limited too; but not after it, when an early one has left an upload behind.)
    #[must_use]
    pub fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            gaze: Gaze::default(),
            unwritten: Stall::new(limit),
        }
    }

    pub(super) fn gaze(&self) -> &Gaze {
        &self.gaze
    }

    fn note(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.unwritten.moved();
            return written;
        }
        let stalled = ready!(self.unwritten.poll_overdue(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, stalled)))
    }

    /// Reads what the runtime hasn't heard of yet.
    ///
    /// hyper closes a connection at rest that has got anything; but the runtime asks the system only now and then what has arrived.
    /// What came in between would be taken for the answer to the next request (RFC 9112 §9.2, §11.1).
    fn poll_unheard(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // The runtime's own reads yield to other tasks after some; so must these.
        let budget = ready!(coop::poll_proceed(cx));
        let socket = SockRef::from(&self.stream);
        match socket.peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
            Ok(_) => {}
        }
        let length = (&*socket).read(buffer.initialize_unfilled())?;
        buffer.advance(length);
        budget.made_progress();
        Poll::Ready(Ok(()))
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_pending() && this.gaze.0.swap(false, Ordering::Relaxed) {
            return this.poll_unheard(cx, buffer);
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.note(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
