//! Everything that can change: the records, and the counters that are taken back to the start with them.

use std::collections::{BTreeMap, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::facts::Facts;
use super::refusal::Refusal;
use super::request::text;
use super::{actions, alerts, incidents, indicators, library, machines, times};
use crate::sandbox::Now;
use crate::sandbox::state::lock;

/// The worlds of all tenants. One that nobody has changed costs nothing: it is the world of the start.
pub(super) struct Worlds {
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
    pub(super) fn new(now: Now) -> Self {
        Self {
            now,
            known: Mutex::default(),
        }
    }

    /// Takes everything back to the start; a running clock starts from where it is.
    pub(super) fn reset(&self) {
        *lock(&self.known) = Known::default();
    }

    /// The size of pages that is set, if any.
    pub(super) fn page_size(&self) -> Option<usize> {
        lock(&self.known).page_size
    }

    /// Sets the size of pages.
    pub(super) fn set_page_size(&self, size: Option<usize>) {
        lock(&self.known).page_size = size;
    }

    /// How often each call that is counted was executed, in all worlds.
    pub(super) fn executions(&self) -> BTreeMap<String, u64> {
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
pub(super) struct Store {
    worlds: Arc<Worlds>,
    tenant: String,
}

impl Store {
    /// That of `tenant`.
    pub(super) fn new(worlds: &Arc<Worlds>, tenant: &str) -> Self {
        Self {
            worlds: Arc::clone(worlds),
            tenant: tenant.to_owned(),
        }
    }

    /// As it is now, for reading: later changes don't show in it.
    pub(super) fn read(&self) -> Arc<World> {
        self.worlds.of(&mut lock(&self.worlds.known), &self.tenant)
    }

    /// For changing, by one call at a time.
    pub(super) fn write(&self) -> Writing<'_> {
        let mut known = lock(&self.worlds.known);
        Writing {
            world: self.worlds.of(&mut known, &self.tenant),
            tenant: &self.tenant,
            known,
        }
    }
}

/// A world that is being changed; its tenant has it so when this is dropped.
pub(super) struct Writing<'a> {
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
pub(super) struct Records(Arc<Vec<Value>>);

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

/// All records. Incidents are stored without their alerts, which name the incident they belong to.
#[derive(Clone)]
pub(super) struct World {
    pub(super) facts: Arc<Facts>,
    pub(super) machines: Records,
    pub(super) alerts: Records,
    pub(super) incidents: Records,
    pub(super) actions: Records,
    pub(super) indicators: Records,
    pub(super) library: Records,
    executions: BTreeMap<String, u64>,
    /// Changes made so far: they name new records.
    changes: u32,
    /// Ticks of the last of them.
    last_change: Option<i64>,
}

impl World {
    /// The records as they are at the start: the same at every `now`, but for their dates.
    pub(super) fn new(now: Now) -> Self {
        let facts = Facts::new(now);
        let clock = facts.clock;
        let machines = (0..machines::COUNT)
            .map(|index| machines::record(index, &facts))
            .collect();
        let alerts: Records = (0..alerts::COUNT)
            .map(|index| alerts::record(index, &facts))
            .collect();
        Self {
            incidents: (0..incidents::COUNT)
                .map(|index| incidents::record(index, &alerts))
                .collect(),
            actions: (0..actions::COUNT)
                .map(|index| actions::record(index, &facts))
                .collect(),
            indicators: (0..indicators::COUNT)
                .map(|index| indicators::record(index, clock))
                .collect(),
            library: library::records(clock).into_iter().collect(),
            machines,
            alerts,
            executions: BTreeMap::new(),
            changes: 0,
            last_change: None,
            facts: Arc::new(facts),
        }
    }

    /// Notes a change: its time, and a number no other change has.
    pub(super) fn change(&mut self) -> (String, u64) {
        self.changes = self.changes.saturating_add(1);
        let moment = self.facts.clock.change(self.last_change);
        self.last_change = Some(moment);
        (times::text(moment), u64::from(self.changes))
    }

    /// Counts one execution of `call`, a `POST` that must not be sent twice.
    pub(super) fn executed(&mut self, call: &str) {
        *self.executions.entry(format!("POST {call}")).or_default() += 1;
    }

    /// The machine whose id or name is `id`.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`].
    pub(super) fn machine(&self, id: &str) -> Result<&Value, Refusal> {
        let named =
            |machine: &&Value| text(machine, "id") == id || text(machine, "computerDnsName") == id;
        self.machines
            .iter()
            .find(named)
            .ok_or_else(|| Refusal::NotFound {
                kind: "Machine",
                id: id.to_owned(),
            })
    }

    /// Those alerts that `wanted` accepts.
    pub(super) fn alerts_where(&self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.alerts
            .iter()
            .filter(|alert| wanted(alert))
            .cloned()
            .collect()
    }
}

/// The record among `records` whose `key` is `id`, as text or as number.
///
/// # Errors
///
/// [`Refusal::NotFound`] naming `kind`.
pub(super) fn find<'a>(
    records: &'a [Value],
    key: &str,
    (kind, id): (&'static str, &str),
) -> Result<&'a Value, Refusal> {
    let position = position(records, key, (kind, id))?;
    Ok(&records[position])
}

/// As [`find`], for changing it.
///
/// # Errors
///
/// [`Refusal::NotFound`] naming `kind`.
pub(super) fn find_mut<'a>(
    records: &'a mut [Value],
    key: &str,
    (kind, id): (&'static str, &str),
) -> Result<&'a mut Value, Refusal> {
    let position = position(records, key, (kind, id))?;
    Ok(&mut records[position])
}

fn position(
    records: &[Value],
    key: &str,
    (kind, id): (&'static str, &str),
) -> Result<usize, Refusal> {
    let number = id.parse::<u64>().ok();
    let named = |record: &Value| match &record[key] {
        Value::String(text) => text == id || text.eq_ignore_ascii_case(id),
        Value::Number(value) => number.is_some() && value.as_u64() == number,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    };
    records
        .iter()
        .position(named)
        .ok_or_else(|| Refusal::NotFound {
            kind,
            id: id.to_owned(),
        })
}
