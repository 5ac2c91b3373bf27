//! Everything that can change: the records, and the counters that are taken back to the start with them.

mod store;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub(super) use self::store::{Store, Worlds};

use self::store::Records;
use super::facts::Facts;
use super::refusal::Refusal;
use super::request::text;
use super::{actions, alerts, incidents, indicators, library, machines, times};
use crate::sandbox::Now;

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
