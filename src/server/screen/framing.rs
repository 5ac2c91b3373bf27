//! Follows the messages of one connection. Knows no sockets.

use memchr::memchr;

use super::{
    chunks::Chunks,
    fault::Fault,
    head::{self, Body, MAX_HEAD},
};

/// Which bytes of a connection may pass.
#[derive(Debug)]
pub struct Framing {
    next: Next,
    /// How many bytes of an unfinished head were looked at without finding its end.
    seen: usize,
    /// How many heads have passed.
    heads: usize,
}

/// What stands next on the connection.
#[derive(Debug)]
enum Next {
    /// The first bytes: HTTP/2, or a head.
    First,
    Head,
    Data(u64),
    Chunks(Chunks),
    /// HTTP/2 to the end.
    Frames,
}

impl Framing {
    /// At the beginning of a connection.
    #[must_use]
    pub fn new() -> Self {
        Self {
            next: Next::First,
            seen: 0,
            heads: 0,
        }
    }

    /// How many of `bytes` may pass, and what is wrong with the next one. Without a fault the rest is an unfinished head, which
    /// has to come again with what follows it. After a fault nothing may pass.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let mut passed = 0;
        while passed < bytes.len() {
            match self.step(&bytes[passed..]) {
                Ok(0) => break,
                Ok(more) => passed += more,
                Err((before, fault)) => return (passed + before, Some(fault)),
            }
        }
        (passed, None)
    }

    /// Does the next byte begin a message?
    #[must_use]
    pub fn is_between(&self) -> bool {
        matches!(self.next, Next::First | Next::Head) && self.seen == 0
    }

    /// How many requests have begun.
    #[must_use]
    pub fn heads(&self) -> usize {
        self.heads
    }

    /// Is a body under way?
    #[must_use]
    pub fn is_in_body(&self) -> bool {
        matches!(self.next, Next::Data(_) | Next::Chunks(_))
    }

    /// Is it HTTP/2?
    #[must_use]
    pub fn is_frames(&self) -> bool {
        matches!(self.next, Next::Frames)
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize, (usize, Fault)> {
        match &mut self.next {
            Next::First if bytes.starts_with(PREFACE) => {
                self.next = Next::Frames;
                Ok(bytes.len())
            }
            Next::First if PREFACE.starts_with(bytes) => Ok(0),
            Next::First | Next::Head => self.head(bytes).map_err(|fault| (0, fault)),
            Next::Data(left) => {
                let here = (*left).min(bytes.len() as u64);
                *left -= here;
                if *left == 0 {
                    self.next = Next::Head;
                }
                // No more than there are bytes.
                Ok(usize::try_from(here).unwrap_or(bytes.len()))
            }
            Next::Chunks(chunks) => {
                let passed = chunks.pass(bytes)?;
                if chunks.has_ended() {
                    self.next = Next::Head;
                }
                Ok(passed)
            }
            Next::Frames => Ok(bytes.len()),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        self.next = Next::Head;
        // A head that comes byte by byte is parsed once a line, not once a byte.
        let is_worth = self.seen == 0
            || bytes.len() > MAX_HEAD
            || memchr(b'\n', bytes.get(self.seen..).unwrap_or(bytes)).is_some();
        let head = if is_worth { head::read(bytes)? } else { None };
        let Some(head) = head else {
            self.seen = bytes.len();
            return Ok(0);
        };
        self.seen = 0;
        self.heads += 1;
        self.next = match head.body {
            Body::Length(0) => Next::Head,
            Body::Length(length) => Next::Data(length),
            Body::Chunked => Next::Chunks(Chunks::new()),
        };
        Ok(head.length)
    }
}

impl Default for Framing {
    fn default() -> Self {
        Self::new()
    }
}

/// RFC 9113 §3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
