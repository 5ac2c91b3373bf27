//! A timer for what should move and doesn't.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Counts the time for which something has not moved.
///
/// What moves costs no timer, and what pauses costs one however often: it is set when the first pause begins, and looked at again
/// when it fires.
#[derive(Debug)]
pub struct Stall {
    limit: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// Something that may rest for `limit` at a time.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            since: None,
            timer: None,
        }
    }

    /// Notes that it has moved.
    pub fn moved(&mut self) {
        self.since = None;
    }

    /// Notes that it rests; ready when it has done so for longer than allowed. Wakes the task at that time.
    pub fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Stalled> {
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= end {
                return Poll::Ready(Stalled(self.limit));
            }
            // Set for an earlier pause.
            timer.as_mut().reset(end);
        }
    }
}

/// Nothing has moved for as long as that.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing moved for {0:?}")]
pub struct Stalled(Duration);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn only_a_long_pause_is_overdue() {
        let mut stall = Stall::new(LIMIT);
        for _ in 0..8 {
            let pause = tokio::time::timeout(LIMIT / 5, poll_fn(|cx| stall.poll_overdue(cx)));
            assert!(pause.await.is_err(), "a fifth of the limit");
            stall.moved();
        }
        let began = Instant::now();
        poll_fn(|cx| stall.poll_overdue(cx)).await;
        assert!(began.elapsed() >= LIMIT);
    }
}
