//! Requests held until someone lets them go, so that tests wait for events rather than for time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::changes::Changes;
use super::state::lock;

/// The held requests by name.
pub(crate) struct Holds {
    slots: Mutex<BTreeMap<String, Arc<Slot>>>,
    changes: Changes,
}

impl Holds {
    pub(crate) fn new(changes: Changes) -> Self {
        Self {
            slots: Mutex::new(BTreeMap::new()),
            changes,
        }
    }

    /// Waits until `name` is released; dropping the future gives up.
    pub(crate) async fn wait(&self, name: &str) {
        let (released, _waiting) = {
            let mut slots = lock(&self.slots);
            let slot = slots.entry(name.to_owned()).or_default();
            slot.waiting.fetch_add(1, Ordering::Relaxed);
            // Made under the lock: a release that follows is sure to reach it.
            let released = Arc::clone(&slot.gate).notified_owned();
            let slot = Arc::clone(slot);
            (released, Waiting { holds: self, slot })
        };
        self.changes.notify();
        released.await;
    }

    /// Lets all requests held under `name` go on and says how many there were. Later ones are held
    /// anew.
    pub(crate) fn release(&self, name: &str) -> usize {
        let slot = lock(&self.slots).remove(name);
        let Some(slot) = slot else { return 0 };
        let waiting = slot.waiting.load(Ordering::Relaxed);
        slot.gate.notify_waiters();
        self.changes.notify();
        waiting
    }

    pub(crate) fn release_all(&self) {
        let names: Vec<String> = lock(&self.slots).keys().cloned().collect();
        for name in names {
            self.release(&name);
        }
    }

    /// How many requests each name holds.
    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        lock(&self.slots)
            .iter()
            .map(|(name, slot)| (name.clone(), slot.waiting.load(Ordering::Relaxed)))
            .collect()
    }

    pub(crate) fn holding(&self, name: &str) -> bool {
        lock(&self.slots).contains_key(name)
    }
}

#[derive(Default)]
struct Slot {
    waiting: AtomicUsize,
    gate: Arc<Notify>,
}

struct Waiting<'a> {
    holds: &'a Holds,
    slot: Arc<Slot>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut slots = lock(&self.holds.slots);
        if self.slot.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            slots.retain(|_, slot| !Arc::ptr_eq(slot, &self.slot));
        }
    }
}
