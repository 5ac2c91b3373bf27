//! Where log lines go: to standard error, those of a worker in batches.
//!
//! A worker answers many requests between two waits, and each write of its own would cost it a system call and a lock that all
//! workers share, before the client has its answer. So a worker's access lines wait until it has nothing else to do.

use std::{
    cell::RefCell,
    io::{self, Write},
    marker::PhantomData,
};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use crate::access;

thread_local! {
    /// The lines of this thread that wait, if it batches them.
    static WAITING: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// As long as it lives, the lines of its thread wait for [`flush`]. Those that still wait when it ends are written then, also
/// when a panic ends it.
#[derive(Debug)]
pub struct Batched {
    /// It belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Batched {
    /// Batches the lines of the current thread.
    #[must_use]
    pub fn new() -> Self {
        WAITING.set(Some(Vec::with_capacity(BATCH)));
        Self {
            thread: PhantomData,
        }
    }
}

impl Default for Batched {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Batched {
    fn drop(&mut self) {
        flush();
        WAITING.set(None);
    }
}

/// Writes the lines of this thread that wait.
pub fn flush() {
    WAITING.with_borrow_mut(|waiting| waiting.iter_mut().for_each(write_out));
}

/// Standard error, as a place for lines. Those of the access log may wait; all others are written at once, with those before them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Writer;

    fn make_writer(&self) -> Writer {
        Writer { may_wait: false }
    }

    fn make_writer_for(&self, meta: &Metadata<'_>) -> Writer {
        Writer {
            may_wait: meta.target() == access::TARGET,
        }
    }
}

/// Takes one whole line at each call.
#[derive(Debug)]
pub(super) struct Writer {
    may_wait: bool,
}

impl Writer {
    fn put(&self, waiting: &mut Vec<u8>, line: &[u8]) {
        if waiting.len() + line.len() > BATCH {
            write_out(waiting);
        }
        waiting.extend_from_slice(line);
        if !self.may_wait {
            write_out(waiting);
        }
    }
}

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A thread that is ending may have none any more.
        let waits = WAITING.try_with(|waiting| match &mut *waiting.borrow_mut() {
            Some(waiting) => {
                self.put(waiting, line);
                true
            }
            None => false,
        });
        match waits {
            Ok(true) => Ok(line.len()),
            Ok(false) | Err(_) => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// In one system call, as far as the other end takes it. What it doesn't take is lost, like a line that is written at once: to
/// whom should a log complain? While nobody reads a pipe that is full, the worker waits, as it would with each line.
fn write_out(lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        let _ = io::stderr().write_all(lines);
    }
    lines.clear();
    lines.shrink_to(BATCH);
}

/// In bytes: the most that one write to a pipe puts there in one piece (`PIPE_BUF` of Linux), so that lines stay whole among those
/// of other processes.
const BATCH: usize = 4096;
