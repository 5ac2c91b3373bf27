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
    begun: AtomicUsize,
    finished: AtomicUsize,
    /// How many of them the socket has taken.
    written: AtomicUsize,
    /// How many requests have passed the screen.
    requests: AtomicUsize,
    /// Has a share for each request body that is still there.
    bodies: Arc<()>,
    is_refused: AtomicBool,
    is_closing: AtomicBool,
}

impl Answers {
    /// To be kept until hyper has all of an answer.
    pub(in crate::server) fn begin(&self) -> Answering {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    /// How many have begun.
    pub(in crate::server) fn begun(&self) -> usize {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// To be kept as long as a request body is there, which an answer may overtake.
    pub(in crate::server) fn share(&self) -> Arc<()> {
        Arc::clone(&self.0.bodies)
    }

    /// Has a client of HTTP/1 the answers to all that it has asked, so that nothing is under way?
    pub(in crate::server) fn are_written(&self) -> bool {
        let requests = self.0.requests.load(Ordering::Relaxed);
        self.0.written.load(Ordering::Relaxed) == requests
            && Arc::strong_count(&self.0.bodies) == 1
            && !self.0.is_closing.load(Ordering::Relaxed)
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
    grace: Option<Grace>,
}

impl End {
    pub(super) fn of(answers: Answers) -> Self {
        Self {
            has_come: false,
            answers,
            grace: None,
        }
    }

    pub(super) fn is_refused(&self) -> bool {
        self.answers.0.is_refused.load(Ordering::Relaxed)
    }

    /// So many requests have passed.
    pub(super) fn asked(&self, requests: usize) {
        self.answers.0.requests.store(requests, Ordering::Relaxed);
    }

    /// What comes next is the connection's end.
    pub(super) fn closing(&self) {
        self.answers.0.is_closing.store(true, Ordering::Relaxed);
    }

    /// Who takes bytes is there.
    pub(super) fn note(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(1..)) = written {
            self.grace = None;
        }
    }

    /// What hyper had to write is written.
    pub(super) fn written(&self) {
        let finished = self.answers.0.finished.load(Ordering::Relaxed);
        self.answers.0.written.store(finished, Ordering::Relaxed);
    }

    /// Is ready when nothing is due any more of the answers to so many requests, or it has taken too long.
    pub(super) fn poll_told(&mut self, requests: usize, cx: &mut Context<'_>) -> Poll<()> {
        let next = self.answers.0.written.load(Ordering::Relaxed);
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
