//! Whether the other end is there, and how far away it is.

use std::{
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::{Instant, Sleep, sleep};

use super::State;

/// Measures the way to upstream when a connection is new, and asks whether upstream lives when nothing that is awaited comes.
#[derive(Debug)]
pub(super) struct Pulse {
    pings: PingPong,
    asked: Option<Instant>,
    /// How often the way was measured, and the shortest time.
    trips: u32,
    trip: Duration,
    tick: Pin<Box<Sleep>>,
    heard: usize,
}

/// Upstream has said nothing for too long, not even to a ping.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("upstream doesn't answer a ping")]
pub(super) struct Silent;

impl Pulse {
    pub(super) fn new(pings: PingPong) -> Self {
        let mut pulse = Self {
            pings,
            asked: None,
            trips: 0,
            trip: Duration::MAX,
            tick: Box::pin(sleep(TICK)),
            heard: 0,
        };
        pulse.ask();
        pulse
    }

    /// Ready with a window that fits the way better than [`WINDOW`].
    pub(super) fn poll(
        &mut self,
        state: &State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u32, Silent>> {
        while let Some(asked) = self.asked
            && let Poll::Ready(Ok(_)) = self.pings.poll_pong(cx)
        {
            self.asked = None;
            if let Some(window) = self.measured(asked.elapsed()) {
                return Poll::Ready(Ok(window));
            }
        }
        loop {
            ready!(self.tick.as_mut().poll(cx));
            self.tick.as_mut().reset(Instant::now() + TICK);
            let heard = state.heard.load(Ordering::Relaxed);
            let is_silent = state.open.load(Ordering::Relaxed) > 0 && heard == self.heard;
            self.heard = heard;
            match self.asked {
                Some(asked) if is_silent && asked.elapsed() >= TICK => {
                    return Poll::Ready(Err(Silent));
                }
                None if is_silent => self.ask(),
                Some(_) | None => {}
            }
        }
    }

    fn ask(&mut self) {
        // Fails when the connection is over.
        if self.pings.send_ping(Ping::opaque()).is_ok() {
            self.asked = Some(Instant::now());
        }
    }

    /// The shortest of some, as whoever is busy takes longer to answer.
    fn measured(&mut self, trip: Duration) -> Option<u32> {
        if self.trips >= TRIPS {
            return None;
        }
        self.trips += 1;
        self.trip = self.trip.min(trip);
        if self.trips < TRIPS {
            self.ask();
            return None;
        }
        Some(window(self.trip)).filter(|window| *window > WINDOW)
    }
}

/// What may be on its way at once, in bytes, for [`RATE`] over a way that takes so long (there and back).
fn window(trip: Duration) -> u32 {
    let bytes = u128::from(RATE) * trip.as_millis() / 1000;
    u32::try_from(bytes)
        .unwrap_or(u32::MAX)
        .clamp(WINDOW, LONGEST)
}

/// What one response may have on its way, in bytes, where the way is short: a client that has stopped reading costs this much memory.
pub(super) const WINDOW: u32 = 256 * 1024;
/// The most, however long the way is.
const LONGEST: u32 = 4 * 1024 * 1024;
/// Of one response, in bytes per second.
const RATE: u32 = 64 * 1024 * 1024;
/// How often the way is measured.
const TRIPS: u32 = 8;
/// A connection that is silent for one to two of these, while something is awaited on it, is asked whether it lives; it has another to say
/// so. All of them together are less than [`FETCH_TIMEOUT`](crate::upstream): a connection whose other end is gone without a word, as
/// after a change of networks, would stay in the pool, and every token request would wait on it in vain.
const TICK: Duration = Duration::from_secs(7);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_way_has_a_long_window() {
        for (millis, expected) in [
            (0, WINDOW),
            (3, WINDOW),
            (20, RATE / 50),
            (50, RATE / 20),
            (100, LONGEST),
            (60_000, LONGEST),
        ] {
            assert_eq!(window(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
}
