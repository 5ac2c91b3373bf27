//! What the platform remembers: tokens it handed out, keys it wrote, requests it had.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Call;
use super::arc::Keys;
use super::source::Source;
use crate::sandbox::changes::Changes;
use crate::sandbox::state::lock;

/// The platform that the machine runs on.
pub(crate) struct Platform {
    tokens: Mutex<HashMap<Wanted, Held>>,
    requests: Mutex<BTreeMap<Asked, u64>>,
    pub(super) keys: Keys,
    changes: Changes,
}

/// The client id of the identity, and the resource.
pub(super) type Wanted = (String, String);

/// Source, selector as given, resource.
type Asked = (Source, String, String);

impl Platform {
    pub(crate) fn new(changes: Changes) -> Self {
        Self {
            tokens: Mutex::default(),
            requests: Mutex::default(),
            keys: Keys::default(),
            changes,
        }
    }

    /// The token for `wanted` that was handed out before, while more than half of its life is left. A client can't have
    /// another, whatever it does: a token that an API refuses is refused until then.
    ///
    /// The documentation says only that tokens are kept, for some eight hours of the twenty-four they live.
    pub(super) fn held(&self, wanted: &Wanted) -> Option<Held> {
        let held = lock(&self.tokens).get(wanted)?.clone();
        (held.left() > held.life / 2).then_some(held)
    }

    pub(super) fn hold(&self, wanted: Wanted, held: Held) {
        lock(&self.tokens).insert(wanted, held);
    }

    pub(super) fn counted(&self, source: Source, call: &Call<'_>) {
        let text = |name| call.query(name).unwrap_or_default().to_owned();
        let selector = SELECTORS.iter().find(|name| call.query(name).is_some());
        let asked = (
            source,
            selector.map_or_else(String::new, |name| text(name)),
            text("resource"),
        );
        *lock(&self.requests).entry(asked).or_default() += 1;
        self.changes.notify();
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> u64 {
        lock(&self.requests).values().sum()
    }

    /// The requests so far as part of the `stats` answer.
    pub(crate) fn counts(&self) -> Value {
        let requests = lock(&self.requests);
        let by: Vec<Value> = requests
            .iter()
            .map(|((source, identity, resource), count)| {
                json!({"source": source.name(), "identity": identity, "resource": resource, "count": count})
            })
            .collect();
        json!({"total": requests.values().sum::<u64>(), "by": by})
    }

    pub(crate) fn clear(&self) {
        lock(&self.tokens).clear();
        lock(&self.requests).clear();
        self.changes.notify();
    }
}

/// A token that was handed out.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) token: String,
    pub(super) issued: SystemTime,
    pub(super) life: Duration,
}

impl Held {
    /// What is left of its life.
    pub(super) fn left(&self) -> Duration {
        (self.issued + self.life)
            .duration_since(SystemTime::now())
            .unwrap_or_default()
    }

    /// Seconds since 1970 of its end.
    pub(super) fn end(&self) -> u64 {
        unix(self.issued + self.life)
    }

    /// Seconds since 1970 from which it is good.
    pub(super) fn start(&self) -> u64 {
        unix(self.issued)
    }
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

const SELECTORS: &[&str] = &[
    "client_id",
    "object_id",
    "principal_id",
    "msi_res_id",
    "mi_res_id",
];
