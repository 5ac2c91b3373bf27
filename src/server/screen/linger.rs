//! Closing without losing the answer (RFC 9112 §9.6): a socket that is closed while the client still sends is reset, and the
//! reset destroys what the client hasn't read yet.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Reads and drops what a client still sends, for a while.
///
/// It is bounded by time alone: many a client sends all of a large body before it reads anything.
#[derive(Debug)]
pub(super) struct Linger {
    silence: Pin<Box<Sleep>>,
    until: Instant,
}

impl Linger {
    pub(super) fn begin() -> Self {
        Self {
            silence: Box::pin(sleep(SILENCE)),
            until: Instant::now() + LONGEST,
        }
    }

    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        let mut space = [const { MaybeUninit::uninit() }; 8 * 1024];
        let mut has_read = false;
        loop {
            let mut dropped = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *stream).poll_read(cx, &mut dropped) {
                Poll::Ready(Ok(())) if !dropped.filled().is_empty() => has_read = true,
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                // Comes sooner or later however much is sent: the runtime has a task yield after some reads.
                Poll::Pending => break,
            }
        }
        if has_read {
            let silence = Instant::now() + SILENCE;
            self.silence.as_mut().reset(silence.min(self.until));
        }
        self.silence.as_mut().poll(cx).map(Ok)
    }
}

/// How long a client may send nothing, and how long it may send.
const SILENCE: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(10);
