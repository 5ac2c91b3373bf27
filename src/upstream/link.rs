//! A TCP connection to upstream that can be given up from where its answers are judged.
//!
//! hyper closes a connection whose answer it can't read. An answer that it reads and that is refused here all the same must not
//! leave its connection in the pool: the two ends may no longer agree where the next answer begins (RFC 9112 §9.2, §11.1).

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

/// A connection that ends when its [`Spent`] says so, and that knows at once what has arrived unasked.
#[derive(Debug)]
pub struct Link {
    stream: TcpStream,
    spent: Spent,
    is_http2: bool,
    unwritten: Stall,
}

impl Link {
    /// A new connection, on which upstream may leave what is written for `limit` at a time. (While an answer is waited for, that is
    /// limited too; but not after it, when an early one has left an upload behind.)
    #[must_use]
    pub fn new(stream: TcpStream, limit: Duration) -> Self {
        Self {
            stream,
            spent: Spent::default(),
            is_http2: false,
            unwritten: Stall::new(limit),
        }
    }

    /// It speaks HTTP/2, whose answers say to which request they belong.
    pub fn speaks_http2(&mut self) {
        self.is_http2 = true;
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
    /// hyper looks for unasked bytes before it writes a request, and refuses a connection that has some; but the runtime asks the
    /// system only now and then what has arrived. What came in between would be taken for the answer.
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
        Connected::new().extra(self.spent.clone())
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.spent.check()?;
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        if read.is_pending() && !this.is_http2 {
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
        this.spent.check()?;
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.note(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.spent.check()?;
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.note(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.spent.check()?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
