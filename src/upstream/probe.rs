//! The one who tries, while a circuit is open, whether connections succeed again.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::{
    circuit::{Circuit, Outage},
    connect::{ConnectTimeout, Way},
};
use crate::{body::BoxError, error::Chain};

/// Tries a way until it is free, or nobody asks any more. Then the circuit closes, and who comes next tries for real.
pub(super) async fn run(circuit: Arc<Circuit>, outage: Outage, way: Way) {
    let origin = way.origin();
    tracing::warn!(origin, error = %Chain(&outage), "no connection; trying again and again while anybody asks");
    let began = Instant::now();
    let probe = Probe { circuit, outage };
    let success = probe.tries(&way).await;
    if !probe.circuit.end(&probe.outage, success) {
        return;
    }
    let after_s = began.elapsed().as_secs();
    if success {
        tracing::info!(origin, after_s, "connections succeed again");
    } else {
        tracing::info!(origin, after_s, "nobody asks for it any more");
    }
}

/// A circuit must not stay open when its probe is gone, with its runtime or by a panic.
struct Probe {
    circuit: Arc<Circuit>,
    outage: Outage,
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.circuit.end(&self.outage, false);
    }
}

impl Probe {
    /// `true` when a connection succeeded.
    ///
    /// Tries overlap, because the kernel sends what wasn't answered again after 1, 3, 7 s only: it would sleep when the way is free.
    async fn tries(&self, way: &Way) -> bool {
        let (mut tries, mut pace) = (JoinSet::new(), tokio::time::interval(PACE));
        let (mut number, mut unasked) = (0_u32, 0);
        while unasked < UNASKED && self.circuit.lasts(&self.outage) {
            tokio::select! {
                _ = pace.tick() => {
                    unasked = if self.outage.was_asked() { 0 } else { unasked + 1 };
                    number = number.wrapping_add(1);
                    tries.spawn(try_once(way.clone(), limit(number, way.timeout)));
                }
                Some(outcome) = tries.join_next() => match outcome {
                    Ok(Ok(())) => return true,
                    Ok(Err(error)) => self.note(error),
                    Err(_) => {}
                },
            }
        }
        false
    }

    /// What was refused first may time out later. (Not the other way round: a try has less time than a request.)
    fn note(&self, error: BoxError) {
        if !error.is::<ConnectTimeout>() {
            self.circuit.now_because(&self.outage, error);
        }
    }
}

async fn try_once(way: Way, limit: Duration) -> Result<(), BoxError> {
    way.open(limit).await.map(drop)
}

/// Most tries end early, so that there are but a few at a time; where connecting takes long by nature, some have all the time that a
/// request has.
fn limit(number: u32, timeout: Duration) -> Duration {
    if number.is_multiple_of(PATIENT) {
        timeout
    } else {
        timeout.min(SHORT)
    }
}

/// From one try to the next: within a second of the return it is noticed.
const PACE: Duration = Duration::from_millis(400);
/// So many tries nobody may ask before it is forgotten: about five seconds.
const UNASKED: u32 = 12;
/// The time limit of a try …
const SHORT: Duration = Duration::from_secs(2);
/// … but of every so many'th.
const PATIENT: u32 = 8;
