//! The end of what a client sends, and the answers it may still wait for.
//!
//! hyper takes the end for a hang-up and gives up the request; of a connection over TCP nobody can tell that from a client that has
//! merely sent all (`nc -N`). So while answers are due it is told late: after half a second in which nothing of them is sent.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Sleep, sleep};

/// What the screen of a connection knows of its answers.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Answers(Arc<State>);

#[derive(Debug, Default)]
struct State {
    finished: AtomicUsize,
    is_refused: AtomicBool,
}

impl Answers {
    /// To be kept until hyper has all of an answer.
    pub(in crate::server) fn begin(&self) -> Answering {
        Answering(self.clone())
    }

    /// The connection ends with this answer, whatever the client goes on to send.
    pub(in crate::server) fn refuse(&self) {
        self.0.is_refused.store(true, Ordering::Relaxed);
    }
}

/// An answer under way; it counts when this is dropped.
#[derive(Debug)]
pub(in crate::server) struct Answering(Answers);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.0.finished.fetch_add(1, Ordering::Relaxed);
    }
}

/// When the client's end is told.
#[derive(Debug)]
pub(super) struct End {
    pub(super) has_come: bool,
    answers: Answers,
    /// How many of them the socket has taken.
    written: usize,
    grace: Option<Grace>,
}

impl End {
    pub(super) fn of(answers: Answers) -> Self {
        Self {
            has_come: false,
            answers,
            written: 0,
            grace: None,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.answers.0.is_refused.load(Ordering::Relaxed)
    }

    /// Who takes bytes is there.
    pub(super) fn note(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = written {
            self.grace = None;
        }
    }

    /// What hyper had to write is written.
    pub(super) fn written(&mut self) {
        self.written = self.answers.0.finished.load(Ordering::Relaxed);
    }

    /// Is ready when nothing is due any more of the answers to so many requests, or it has taken too long.
    pub(super) fn poll_told(&mut self, requests: usize, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.written;
        if next >= requests {
            return Poll::Ready(());
        }
        let grace = self.grace.take().filter(|grace| grace.answer == next);
        let grace = self.grace.insert(grace.unwrap_or_else(|| Grace::of(next)));
        grace.over.as_mut().poll(cx)
    }
}

/// The time that one answer has after the end, or after some of it was sent.
#[derive(Debug)]
struct Grace {
    answer: usize,
    over: Pin<Box<Sleep>>,
}

impl Grace {
    fn of(answer: usize) -> Self {
        let over = Box::pin(sleep(GRACE));
        Self { answer, over }
    }
}

const GRACE: Duration = Duration::from_millis(500);
