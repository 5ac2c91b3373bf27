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
    time::{Sleep, sleep},
};

/// Reads and drops what a client still sends, for a while.
#[derive(Debug)]
pub(super) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    pub(super) fn begin() -> Self {
        Self {
            until: Box::pin(sleep(LONGEST)),
            left: MOST,
        }
    }

    pub(super) fn poll<S>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        let mut space = [const { MaybeUninit::uninit() }; 8 * 1024];
        while self.left > 0 {
            let mut dropped = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *stream).poll_read(cx, &mut dropped) {
                Poll::Pending => return self.until.as_mut().poll(cx).map(Ok),
                Poll::Ready(Ok(())) if !dropped.filled().is_empty() => {
                    self.left = self.left.saturating_sub(dropped.filled().len());
                }
                Poll::Ready(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

const LONGEST: Duration = Duration::from_secs(2);
/// Bytes; on loopback they take some milliseconds.
const MOST: usize = 16 * 1024 * 1024;
