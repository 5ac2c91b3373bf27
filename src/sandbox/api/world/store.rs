//! The worlds of all tenants, which share what nobody has changed.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::World;
use crate::sandbox::Now;
use crate::sandbox::state::lock;

/// The worlds of all tenants. One that nobody has changed costs nothing: it is the world of the start.
pub(in crate::sandbox::api) struct Worlds {
    now: Now,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Made at the first call: a sandbox that is started must listen at once.
    start: Option<Arc<World>>,
    /// By tenant.
    changed: HashMap<String, Arc<World>>,
    page_size: Option<usize>,
}

impl Worlds {
    /// Every world at its beginning, which is `now`.
    pub(in crate::sandbox::api) fn new(now: Now) -> Self {
        Self {
            now,
            known: Mutex::default(),
        }
    }

    /// Takes everything back to the start; a running clock starts from where it is.
    pub(in crate::sandbox::api) fn reset(&self) {
        *lock(&self.known) = Known::default();
    }

    /// The size of pages that is set, if any.
    pub(in crate::sandbox::api) fn page_size(&self) -> Option<usize> {
        lock(&self.known).page_size
    }

    /// Sets the size of pages.
    pub(in crate::sandbox::api) fn set_page_size(&self, size: Option<usize>) {
        lock(&self.known).page_size = size;
    }

    /// How often each call that is counted was executed, in all worlds.
    pub(in crate::sandbox::api) fn executions(&self) -> BTreeMap<String, u64> {
        let mut sum = BTreeMap::new();
        for world in lock(&self.known).changed.values() {
            for (call, count) in &world.executions {
                *sum.entry(call.clone()).or_default() += count;
            }
        }
        sum
    }

    fn of(&self, known: &mut Known, tenant: &str) -> Arc<World> {
        let start = || {
            Arc::clone(
                known
                    .start
                    .get_or_insert_with(|| Arc::new(World::new(self.now))),
            )
        };
        known.changed.get(tenant).cloned().unwrap_or_else(start)
    }
}

/// The world of one tenant.
pub(in crate::sandbox::api) struct Store {
    worlds: Arc<Worlds>,
    tenant: String,
}

impl Store {
    /// That of `tenant`.
    pub(in crate::sandbox::api) fn new(worlds: &Arc<Worlds>, tenant: &str) -> Self {
        Self {
            worlds: Arc::clone(worlds),
            tenant: tenant.to_owned(),
        }
    }

    /// As it is now, for reading: later changes don't show in it.
    pub(in crate::sandbox::api) fn read(&self) -> Arc<World> {
        self.worlds.of(&mut lock(&self.worlds.known), &self.tenant)
    }

    /// For changing, by one call at a time.
    pub(in crate::sandbox::api) fn write(&self) -> Writing<'_> {
        let mut known = lock(&self.worlds.known);
        Writing {
            world: self.worlds.of(&mut known, &self.tenant),
            tenant: &self.tenant,
            known,
        }
    }
}

/// A world that is being changed; its tenant has it so when this is dropped.
pub(in crate::sandbox::api) struct Writing<'a> {
    known: MutexGuard<'a, Known>,
    tenant: &'a str,
    world: Arc<World>,
}

impl Deref for Writing<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut World {
        Arc::make_mut(&mut self.world)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let world = Arc::clone(&self.world);
        self.known.changed.insert(self.tenant.to_owned(), world);
    }
}

/// A list of records, copied when one who shares it changes it.
#[derive(Clone)]
pub(in crate::sandbox::api) struct Records(Arc<Vec<Value>>);

impl Deref for Records {
    type Target = Vec<Value>;

    fn deref(&self) -> &Vec<Value> {
        &self.0
    }
}

impl DerefMut for Records {
    fn deref_mut(&mut self) -> &mut Vec<Value> {
        Arc::make_mut(&mut self.0)
    }
}

impl FromIterator<Value> for Records {
    fn from_iter<I: IntoIterator<Item = Value>>(records: I) -> Self {
        Self(Arc::new(records.into_iter().collect()))
    }
}
