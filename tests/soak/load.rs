//! The steady load.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    client::{Clients, Kind},
    judge::Outcome,
};

/// Requests that begin at a steady rate, whatever becomes of those before.
pub(crate) struct Load {
    stop: watch::Sender<()>,
    running: JoinHandle<Tally>,
}

impl Load {
    pub(crate) fn start(clients: Arc<Clients>, rate: u32, seed: u64) -> Self {
        let (stop, stopped) = watch::channel(());
        let running = tokio::spawn(run(clients, (rate, seed), stopped));
        Self { stop, running }
    }

    /// Lets those end that have begun.
    pub(crate) async fn stop(self) -> Tally {
        drop(self.stop);
        self.running.await.expect("the load")
    }
}

async fn run(
    clients: Arc<Clients>,
    (rate, seed): (u32, u64),
    mut stopped: watch::Receiver<()>,
) -> Tally {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut tally, mut begun, mut number) = (Tally::default(), JoinSet::new(), 0);
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = ticks.tick() => {
                while let Some(done) = begun.try_join_next() {
                    tally.count(done.expect("a client"));
                }
                if begun.len() < MOST {
                    number += 1;
                    begun.spawn(one(Arc::clone(&clients), Kind::pick(&mut random), number));
                } else {
                    tally.left_out += 1;
                }
            }
        }
    }
    while let Some(done) = begun.join_next().await {
        tally.count(done.expect("a client"));
    }
    tally
}

async fn one(clients: Arc<Clients>, kind: Kind, number: u64) -> (Kind, Option<Outcome>) {
    (kind, timeout(HUNG, clients.run(kind, number)).await.ok())
}

/// What became of all requests.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kinds: BTreeMap<Kind, Counts>,
    pub(crate) honest: BTreeMap<String, u64>,
    /// The first of them, in words.
    pub(crate) wrong: Vec<String>,
    /// Not begun, as too many were under way.
    pub(crate) left_out: u64,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) requests: u64,
    pub(crate) right: u64,
    pub(crate) honest: u64,
    pub(crate) wrong: u64,
    pub(crate) hung: u64,
    pub(crate) hung_up: u64,
}

impl Tally {
    fn count(&mut self, (kind, outcome): (Kind, Option<Outcome>)) {
        let counts = self.kinds.entry(kind).or_default();
        counts.requests += 1;
        match outcome {
            None => counts.hung += 1,
            Some(Outcome::Right) => counts.right += 1,
            Some(Outcome::HungUp) => counts.hung_up += 1,
            Some(Outcome::Honest(why)) => {
                counts.honest += 1;
                *self.honest.entry(why).or_default() += 1;
            }
            Some(Outcome::Wrong(why)) => {
                counts.wrong += 1;
                if self.wrong.len() < SHOWN {
                    self.wrong.push(format!(
                        "{kind:?}: {}",
                        why.chars().take(400).collect::<String>()
                    ));
                }
            }
        }
    }

    pub(crate) fn total(&self) -> Counts {
        let mut total = Counts::default();
        for counts in self.kinds.values() {
            total.requests += counts.requests;
            total.right += counts.right;
            total.honest += counts.honest;
            total.wrong += counts.wrong;
            total.hung += counts.hung;
            total.hung_up += counts.hung_up;
        }
        total
    }
}

/// Requests under way at most: a proxy that is too slow for the rate is not what is tried here.
const MOST: usize = 256;
/// Longer than anything that is injected, and than what the proxy waits for an answer's first byte at most.
const HUNG: Duration = Duration::from_mins(5);
const SHOWN: usize = 20;
