//! Between the socket and hyper: HTTP/1 requests pass in one strict form only.
//!
//! hyper takes more than RFC 9112 asks for (lines that end in LF alone, empty lines, two framings at once), doesn't tell what it
//! took, and answers what it can't read with an empty `400`. So the messages of a connection are followed here, each head before
//! hyper sees any of it. A head with a fault never passes: in its place goes a notice, which the service answers after all
//! requests before it. A fault in a body is an error of that body. After a fault nothing is read as a request.
//!
//! Whole heads are looked at where hyper reads them to; only a part of one is copied, until the rest has come.

mod answers;
mod chunks;
mod fault;
mod framing;
mod head;
mod linger;

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};

pub(super) use self::answers::{Answering, Answers};
use self::{answers::End, linger::Linger};
pub use self::{fault::Fault, framing::Framing};

/// A client's connection whose requests are screened.
#[derive(Debug)]
pub(super) struct Screened<S> {
    stream: S,
    framing: Framing,
    held: Held,
    fault: Option<Fault>,
    end: End,
    linger: Option<Linger>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Screened<S> {
    /// `answers` are those to its requests.
    pub(super) fn new(stream: S, answers: Answers) -> Self {
        Self {
            stream,
            framing: Framing::new(),
            held: Held::default(),
            fault: None,
            end: End::of(answers),
            linger: None,
        }
    }

    /// Waits until the client sends something that hyper is to see, and keeps it.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) async fn arrival(&mut self) -> io::Result<Arrival> {
        poll_fn(|cx| self.poll_arrival(cx)).await
    }

    /// Ends a connection on which nothing is under way.
    ///
    /// # Errors
    /// Those of the connection.
    pub(super) async fn close(mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Arrival>> {
        loop {
            if self.framing.is_frames() {
                return Poll::Ready(Ok(Arrival::Frames));
            }
            if self.held.has_some() {
                return Poll::Ready(Ok(Arrival::Request));
            }
            if self.end.has_come {
                return Poll::Ready(Ok(Arrival::End));
            }
            ready!(self.fill_held(cx))?;
        }
    }

    /// Reads once, and tells whether `out` has got something, or the client has ended.
    fn fill(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = out.filled().len();
        if !self.held.is_empty() || out.remaining() < IN_PLACE {
            return self.fill_held(cx);
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, out))?;
        let fresh = &out.filled()[before..];
        if fresh.is_empty() {
            self.end.has_come = true;
            return Poll::Ready(Ok(false));
        }
        let (passed, fault) = self.framing.pass(fresh);
        self.held.bytes.extend_from_slice(&fresh[passed..]);
        out.set_filled(before + passed);
        self.note(0, fault);
        Poll::Ready(Ok(passed > 0))
    }

    fn fill_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [const { MaybeUninit::uninit() }; 4 * 1024];
        let mut fresh = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut fresh))?;
        if fresh.filled().is_empty() {
            self.end.has_come = true;
            return Poll::Ready(Ok(false));
        }
        self.held.bytes.extend_from_slice(fresh.filled());
        let (passed, fault) = self.framing.pass(&self.held.bytes);
        self.held.passed = passed;
        self.note(passed, fault);
        Poll::Ready(Ok(false))
    }

    /// Notes what came of a read; `kept` of the bytes that passed are held.
    fn note(&mut self, kept: usize, fault: Option<Fault>) {
        self.end
            .asked(self.framing.heads() + usize::from(fault.is_some()));
        let Some(fault) = fault else {
            return;
        };
        tracing::debug!(%fault, "a request is malformed");
        self.fault = Some(fault);
        self.held.bytes.truncate(kept);
        if !self.framing.is_in_body() {
            self.held.bytes.extend(fault.notice());
        }
        self.held.passed = self.held.bytes.len();
    }

    /// Nothing is read any more after a fault.
    fn stop(&self, fault: Fault) -> Poll<io::Result<()>> {
        if self.framing.is_in_body() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
        }
        // The answer to the notice ends the connection; an end told now would cut off those before it.
        Poll::Pending
    }

    /// May the client be sending still?
    fn is_unread(&self) -> bool {
        let is_whole = self.fault.is_none() && self.framing.is_between() && self.held.is_empty();
        (!is_whole || self.end.is_refused()) && !self.framing.is_frames() && !self.end.has_come
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Screened<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.held.give(out) {
                return Poll::Ready(Ok(()));
            }
            if this.framing.is_frames() {
                return Pin::new(&mut this.stream).poll_read(cx, out);
            }
            if let Some(fault) = this.fault {
                return this.stop(fault);
            }
            if this.end.has_come && this.framing.is_in_body() {
                return Poll::Ready(Ok(()));
            }
            if this.end.has_come {
                return this.end.poll_told(this.framing.heads(), cx).map(Ok);
            }
            if ready!(this.fill(cx, out))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Screened<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.end.note(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, parts);
        this.end.note(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        if flushed.is_ready() {
            // hyper comes here with nothing left to write.
            this.end.written();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.end.closing();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.is_unread() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(Linger::begin);
        linger.poll(&mut this.stream, cx)
    }
}

/// What comes from a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Of HTTP/1.
    Request,
    /// HTTP/2.
    Frames,
    /// Nothing more.
    End,
}

/// Bytes between the socket and hyper.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// How many of them may pass, from the front.
    passed: usize,
    /// How many of those hyper has.
    given: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Is there something that may pass?
    fn has_some(&self) -> bool {
        self.given < self.passed
    }

    /// Gives what may pass, as much as fits.
    fn give(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let ready = &self.bytes[self.given..self.passed];
        if ready.is_empty() {
            return false;
        }
        let fitting = &ready[..ready.len().min(out.remaining())];
        out.put_slice(fitting);
        self.given += fitting.len();
        if self.given == self.bytes.len() {
            // An idle connection keeps no memory for it.
            *self = Self::default();
        } else if self.given == self.passed {
            self.bytes.drain(..self.given);
            (self.passed, self.given) = (0, 0);
        }
        true
    }
}

/// Room for a typical head; below, as while hyper tells HTTP/1 from 2 by the first 24 bytes, it is read to a buffer of our own.
const IN_PLACE: usize = 1024;
