//! Load at a fixed rate, in an open loop: requests are due by the clock, whatever became of those before, and the time that one waits
//! for a free connection counts. wrk and h2load have a closed loop, which sends less while the subject is slow.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime, sync::oneshot};

use crate::{client::Client, page::SMALL};

/// What is asked for, when.
#[derive(Debug)]
pub(crate) struct Schedule {
    to: SocketAddr,
    expected: String,
    start: Instant,
    requests: u32,
    next: AtomicU32,
}

impl Schedule {
    pub(crate) fn new(to: SocketAddr, expected: String, seconds: u32) -> Self {
        // Threads and connections come first.
        let start = Instant::now() + Duration::from_millis(200);
        Self {
            to,
            expected,
            start,
            requests: (seconds + WARM_UP) * RATE,
            next: AtomicU32::new(0),
        }
    }

    /// How long each request took from the time it was due, shortest first.
    pub(crate) async fn run(self) -> anyhow::Result<Vec<Duration>> {
        let schedule = Arc::new(self);
        let workers: Vec<_> = (0..CONNECTIONS)
            .map(|_| spawn(Arc::clone(&schedule)))
            .collect();
        let mut times = Vec::new();
        for worker in workers {
            times.extend(worker.await??);
        }
        times.sort_unstable();
        Ok(times)
    }

    /// The work of one connection.
    fn work(&self) -> anyhow::Result<Vec<Duration>> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut client = runtime.block_on(Client::connect(self.to))?;
        let mut times = Vec::new();
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.requests {
                return Ok(times);
            }
            let due = self.start + Duration::from_secs(1) * number / RATE;
            wait_until(due);
            runtime.block_on(client.expect(SMALL, &self.expected))?;
            if number >= WARM_UP * RATE {
                times.push(due.elapsed());
            }
        }
    }
}

/// A thread for each connection, as it sleeps. The process doesn't wait for it when it ends early.
fn spawn(schedule: Arc<Schedule>) -> oneshot::Receiver<anyhow::Result<Vec<Duration>>> {
    let (done, worker) = oneshot::channel();
    thread::spawn(move || done.send(schedule.work()));
    worker
}

#[expect(
    clippy::disallowed_methods,
    reason = "the thread has nothing else to do, and tokio's timer counts whole milliseconds"
)]
fn wait_until(due: Instant) {
    thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Of sorted times, in microseconds.
pub(crate) fn percentile(times: &[Duration], percent: usize) -> f64 {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times
        .get(at)
        .map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// Requests a second.
pub(crate) const RATE: u32 = 2000;
const CONNECTIONS: usize = 16;
/// Seconds that don't count.
const WARM_UP: u32 = 1;
