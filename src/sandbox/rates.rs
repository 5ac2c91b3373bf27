//! Rate limits: calls per sliding minute and hour, counted by family, tenant and application.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;

use crate::cloud::Family;

use super::path::ApiPath;
use super::state::lock;

/// The calls let through lately.
pub(crate) struct RateLimiter(Mutex<HashMap<Key, VecDeque<Instant>>>);

impl RateLimiter {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Counts a call made `now`, or refuses it: a refused call costs nothing.
    pub(crate) fn admit(&self, key: Key, limit: Limit, now: Instant) -> Result<(), Exceeded> {
        let mut windows = lock(&self.0);
        let calls = windows.entry(key).or_default();
        while calls
            .front()
            .is_some_and(|call| now.duration_since(*call) >= HOUR)
        {
            calls.pop_front();
        }
        exceeded(calls, limit.per_minute, MINUTE, now)?;
        if let Some(per_hour) = limit.per_hour {
            exceeded(calls, per_hour, HOUR, now)?;
        }
        calls.push_back(now);
        if calls.len() > MAX_CALLS {
            calls.pop_front();
        }
        Ok(())
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// Who shares a budget. `rule` tells documented limits apart, each of which counts alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) family: Family,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) rule: String,
}

/// Calls allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) per_minute: u32,
    pub(crate) per_hour: Option<u32>,
}

impl Limit {
    /// The limit of a call and the name of the rule it comes from.
    ///
    /// Calls without a documented limit have the usual 100 and 1500 for each collection. Graph documents none that is as simple,
    /// so its other calls have no limit.
    pub(crate) fn documented(
        family: Family,
        method: &Method,
        path: &ApiPath,
    ) -> Option<(String, Self)> {
        let method = if method == Method::HEAD {
            "GET"
        } else {
            method.as_str()
        };
        let documented = DOCUMENTED
            .iter()
            .find(|row| row.family == family && row.method == method && path.is_below(row.path));
        match (documented, family) {
            (Some(row), _) => Some((format!("{method} {}", row.path), row.limit)),
            (None, Family::Xdr | Family::Endpoint) => {
                Some((path.collection().to_owned(), per(100, 1500)))
            }
            (None, Family::Graph) => None,
        }
    }
}

/// A budget is used up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "You have exceeded the quota of {allowed} calls per {} seconds for this destination, tenant and application. \
     You can send again in {} seconds.",
    window.as_secs(),
    wait_seconds
)]
pub(crate) struct Exceeded {
    allowed: u32,
    window: Duration,
    /// Until the oldest counted call leaves the window, rounded up.
    pub(crate) wait_seconds: u64,
}

fn exceeded(
    calls: &VecDeque<Instant>,
    allowed: u32,
    window: Duration,
    now: Instant,
) -> Result<(), Exceeded> {
    let recent = calls.partition_point(|call| now.duration_since(*call) >= window);
    let used = calls.len() - recent;
    let allowed_calls = usize::try_from(allowed).unwrap_or(usize::MAX);
    if used < allowed_calls {
        return Ok(());
    }
    // The call whose leaving makes room for one more.
    let oldest = calls
        .get(recent + (used - allowed_calls))
        .copied()
        .unwrap_or(now);
    let wait = window.saturating_sub(now.duration_since(oldest));
    Err(Exceeded {
        allowed,
        window,
        wait_seconds: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
    })
}

struct Row {
    family: Family,
    method: &'static str,
    /// As [`ApiPath::is_below`] takes it.
    path: &'static str,
    limit: Limit,
}

const fn row(family: Family, method: &'static str, path: &'static str, limit: Limit) -> Row {
    Row {
        family,
        method,
        path,
        limit,
    }
}

const fn per_minute(per_minute: u32) -> Limit {
    Limit {
        per_minute,
        per_hour: None,
    }
}

const fn per(per_minute: u32, per_hour: u32) -> Limit {
    Limit {
        per_minute,
        per_hour: Some(per_hour),
    }
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
/// More than any hourly limit that can be set.
pub(crate) const MAX_CALLS: usize = 100_000;

/// First match wins.
#[rustfmt::skip]
const DOCUMENTED: &[Row] = &[
    row(Family::Xdr, "GET", "incidents/*", per(100, 1500)),
    row(Family::Xdr, "GET", "incidents", per(50, 1500)),
    row(Family::Xdr, "PATCH", "incidents", per(50, 1500)),
    row(Family::Xdr, "POST", "advancedhunting/run", per_minute(45)),
    row(Family::Endpoint, "POST", "advancedqueries/run", per(45, 1500)),
    row(Family::Endpoint, "POST", "alerts/batchupdate", per(10, 500)),
    row(Family::Endpoint, "POST", "alerts/createalertbyreference", per_minute(15)),
    row(Family::Endpoint, "GET", "machineactions/*/getpackageuri", per(2, 120)),
    row(Family::Endpoint, "POST", "machines/*/runliveresponse", per_minute(10)),
    row(Family::Endpoint, "POST", "indicators/import", per_minute(30)),
    row(Family::Endpoint, "POST", "indicators/batchdelete", per(30, 1500)),
    row(Family::Endpoint, "GET", "machines/softwarevulnerabilitiesbymachine", per(30, 1000)),
    row(Family::Endpoint, "GET", "machines/secureconfigurationsassessmentbymachine", per(30, 1000)),
    row(Family::Endpoint, "GET", "machines/softwarevulnerabilitychangesbymachine", per(30, 1000)),
    row(Family::Endpoint, "GET", "machines/infogatheringexport", per(30, 1000)),
    row(Family::Endpoint, "GET", "machines/softwarevulnerabilitiesexport", per(5, 20)),
    row(Family::Endpoint, "GET", "machines/secureconfigurationsassessmentexport", per(5, 20)),
    row(Family::Endpoint, "GET", "deviceavinfo", per(30, 1000)),
    row(Family::Graph, "POST", "runhuntingquery", per_minute(45)),
];

/// For tests that compare the proxy's budgets with these.
#[cfg(test)]
pub(crate) mod reference {
    use super::*;
    use crate::throttle::budget;

    /// The stand-ins' documented limit of a call.
    pub(crate) fn documented_limit(method: &Method, path: &str) -> Option<budget::Limit> {
        let family = Family::of(&crate::target::canonical(path))?;
        let (_, limit) = Limit::documented(family, method, &ApiPath::of(path))?;
        Some(budget::Limit {
            per_minute: limit.per_minute,
            per_hour: limit.per_hour,
        })
    }

    /// A stand-in's count of the calls of one kind.
    pub(crate) struct Bookkeeper(RateLimiter, Limit);

    impl Bookkeeper {
        pub(crate) fn new(limit: budget::Limit) -> Self {
            let budget::Limit {
                per_minute,
                per_hour,
            } = limit;
            Self(
                RateLimiter::new(),
                Limit {
                    per_minute,
                    per_hour,
                },
            )
        }

        pub(crate) fn admits(&self, at: Instant) -> bool {
            let key = Key {
                family: Family::Xdr,
                tenant: String::new(),
                client_id: String::new(),
                rule: String::new(),
            };
            self.0.admit(key, self.1, at).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str) -> Key {
        Key {
            family: Family::Xdr,
            tenant: tenant.into(),
            client_id: "c".into(),
            rule: String::new(),
        }
    }

    #[test]
    fn the_window_slides() {
        let (limiter, start) = (RateLimiter::new(), Instant::now());
        let limit = Limit {
            per_minute: 2,
            per_hour: Some(3),
        };
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limiter.admit(key("a"), limit, at(0)), Ok(()));
        assert_eq!(limiter.admit(key("a"), limit, at(20)), Ok(()));
        let refused = limiter.admit(key("a"), limit, at(30)).unwrap_err();
        assert_eq!((refused.allowed, refused.wait_seconds), (2, 30));
        assert_eq!(
            limiter.admit(key("b"), limit, at(30)),
            Ok(()),
            "another tenant has its own budget"
        );
        assert_eq!(limiter.admit(key("a"), limit, at(60)), Ok(()));
        let refused = limiter.admit(key("a"), limit, at(100)).unwrap_err();
        assert_eq!((refused.allowed, refused.wait_seconds), (3, 3500));
        assert_eq!(limiter.admit(key("a"), limit, at(3600)), Ok(()));
    }

    #[test]
    fn documented_limits_follow_the_path() {
        use Family::{Endpoint, Graph, Xdr};
        let export = "/api/machines/SecureConfigurationsAssessmentByMachine";
        for (family, method, path, per_minute) in [
            (Xdr, Method::GET, "/api/incidents", Some(50)),
            (Xdr, Method::HEAD, "/api/incidents", Some(50)),
            (Xdr, Method::GET, "/api/v1.0/Incidents/12", Some(100)),
            (Xdr, Method::GET, "/api/incidents(12)", Some(100)),
            (Endpoint, Method::POST, "/api/alerts/batchUpdate", Some(10)),
            (
                Endpoint,
                Method::GET,
                "/api/machineactions/1/GetPackageUri",
                Some(2),
            ),
            (Endpoint, Method::GET, export, Some(30)),
            (Endpoint, Method::GET, "/api/whatever", Some(100)),
            (
                Graph,
                Method::POST,
                "/beta/security/runHuntingQuery",
                Some(45),
            ),
            (
                Graph,
                Method::POST,
                "/v1.0/security/microsoft.graph.security.runHuntingQuery",
                Some(45),
            ),
            (Graph, Method::GET, "/v1.0/security/alerts_v2", None),
        ] {
            let documented = Limit::documented(family, &method, &ApiPath::of(path));
            assert_eq!(
                documented.map(|(_, limit)| limit.per_minute),
                per_minute,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn each_collection_has_a_budget_of_its_own() {
        let rule = |method, path| {
            let documented = Limit::documented(Family::Endpoint, &method, &ApiPath::of(path));
            documented.map(|(rule, _)| rule)
        };
        let machines = rule(Method::GET, "/api/machines");
        assert!(machines.is_some());
        assert_eq!(
            machines,
            rule(Method::POST, "/api/v1.0/Machines/1f/isolate")
        );
        assert_ne!(machines, rule(Method::GET, "/api/alerts"));
        assert_ne!(
            machines,
            rule(Method::POST, "/api/machines/1f/runliveresponse")
        );
    }
}
