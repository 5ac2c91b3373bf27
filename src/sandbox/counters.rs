//! What happened so far, for `GET /_sandbox/stats` and `GET /_sandbox/wait`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde_json::{Value, json};

use super::changes::Changes;
use super::state::{Listener, lock};

/// Totals since the start or the last reset.
pub(crate) struct Counters {
    totals: Mutex<Totals>,
    changes: Changes,
}

impl Counters {
    pub(crate) fn new(changes: Changes) -> Self {
        Self {
            totals: Mutex::new(Totals::default()),
            changes,
        }
    }

    /// A connection finished its TLS handshake.
    pub(crate) fn connection(&self, listener: Listener) {
        self.update(|totals| *totals.connections.entry(listener.name()).or_default() += 1);
    }

    /// A token request arrived, whatever becomes of it.
    pub(crate) fn token_request(&self, arrival: Arrival) {
        let Arrival {
            request,
            grant,
            claims,
        } = arrival;
        self.update(|totals| {
            totals.token_requests += 1;
            *totals
                .by_grant
                .entry(grant.unwrap_or("(other)"))
                .or_default() += 1;
            if let Some(claims) = claims {
                totals.with_claims += 1;
                if totals.claims.len() == MAX_CLAIMS {
                    totals.claims.pop_front();
                }
                totals.claims.push_back(claims);
            }
            let room =
                totals.by_client.len() < MAX_CLIENTS || totals.by_client.contains_key(&request);
            let key = if room { request } else { TokenRequest::other() };
            *totals.by_client.entry(key).or_default() += 1;
        });
    }

    /// A device polled, whatever it is told.
    pub(crate) fn device_poll(&self) {
        self.update(|totals| totals.device_polls += 1);
    }

    /// An API call arrived, whatever becomes of it.
    pub(crate) fn api_call(&self, family: &'static str) {
        self.update(|totals| {
            totals.api_calls += 1;
            *totals.by_family.entry(family).or_default() += 1;
        });
    }

    /// An API call is about to be answered.
    pub(crate) fn api_status(&self, status: StatusCode) {
        self.update(|totals| *totals.by_status.entry(status.as_u16()).or_default() += 1);
    }

    pub(crate) fn clear(&self) {
        self.update(|totals| *totals = Totals::default());
    }

    pub(crate) fn token_requests(&self) -> u64 {
        lock(&self.totals).token_requests
    }

    pub(crate) fn device_polls(&self) -> u64 {
        lock(&self.totals).device_polls
    }

    pub(crate) fn api_calls(&self) -> u64 {
        lock(&self.totals).api_calls
    }

    pub(crate) fn aborted(&self) -> u64 {
        lock(&self.totals).aborted
    }

    /// The counters as part of the `stats` answer.
    pub(crate) fn to_json(&self) -> Value {
        let totals = lock(&self.totals);
        let by: Vec<Value> = totals
            .by_client
            .iter()
            .map(|(request, count)| {
                json!({"tenant": request.tenant, "client_id": request.client_id, "scope": request.scope, "count": count})
            })
            .collect();
        let by_status: BTreeMap<String, u64> = totals
            .by_status
            .iter()
            .map(|(status, count)| (status.to_string(), *count))
            .collect();
        json!({
            "token_requests": {
                "total": totals.token_requests,
                "with_claims": totals.with_claims,
                "claims": totals.claims,
                "by_grant": totals.by_grant,
                "by": by,
            },
            "device_polls": totals.device_polls,
            "api_calls": {"total": totals.api_calls, "by_family": totals.by_family, "by_status": by_status},
            "connections": totals.connections,
            "aborted": totals.aborted,
        })
    }

    fn update(&self, change: impl FnOnce(&mut Totals)) {
        change(&mut lock(&self.totals));
        self.changes.notify();
    }
}

/// A token request as it came.
pub(crate) struct Arrival {
    pub(crate) request: TokenRequest,
    /// `None` for one that there is not.
    pub(crate) grant: Option<&'static str>,
    pub(crate) claims: Option<String>,
}

/// Who asked for which token: the key a client's single-flight and caching are judged by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenRequest {
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    /// `scope` of v2, `resource` of v1.
    pub(crate) scope: String,
}

impl TokenRequest {
    fn other() -> Self {
        let other = || "(other)".to_owned();
        Self {
            tenant: other(),
            client_id: other(),
            scope: other(),
        }
    }
}

/// A request whose answer is not delivered yet; dropped before [`Self::done`], its client went
/// away.
pub(crate) struct InFlight(Option<Arc<Counters>>);

impl InFlight {
    pub(crate) fn counted(counters: &Arc<Counters>) -> Self {
        Self(Some(Arc::clone(counters)))
    }

    /// For control requests, which leave no trace.
    pub(crate) fn uncounted() -> Self {
        Self(None)
    }

    /// The answer is complete, or was broken on purpose.
    pub(crate) fn done(&mut self) {
        self.0 = None;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(counters) = self.0.take() {
            counters.update(|totals| totals.aborted += 1);
        }
    }
}

#[derive(Default)]
struct Totals {
    token_requests: u64,
    with_claims: u64,
    /// The last `claims`, oldest first.
    claims: VecDeque<String>,
    by_grant: BTreeMap<&'static str, u64>,
    device_polls: u64,
    by_client: BTreeMap<TokenRequest, u64>,
    api_calls: u64,
    by_family: BTreeMap<&'static str, u64>,
    by_status: BTreeMap<u16, u64>,
    connections: BTreeMap<&'static str, u64>,
    aborted: u64,
}

/// Distinct token requesters told apart; the rest are counted together.
const MAX_CLIENTS: usize = 10_000;
/// Values of `claims` that are kept.
const MAX_CLAIMS: usize = 100;
