//! Rate limits: calls per sliding minute and hour, counted by family, tenant and application
//! (SIM-D6).

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;

use super::family::Family;
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
    pub(crate) rule: &'static str,
}

/// Calls allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) per_minute: u32,
    pub(crate) per_hour: Option<u32>,
}

impl Limit {
    /// The documented limit of a call and the rule it comes from; calls without one share the usual
    /// 100 and 1500.
    pub(crate) fn documented(method: &Method, path: &str) -> (&'static str, Self) {
        let path = path.to_ascii_lowercase().replacen("/api/v1.0/", "/api/", 1);
        DOCUMENTED
            .iter()
            .find(|(name, rule_method, suffix, _)| {
                method.as_str() == *rule_method
                    && if *suffix {
                        path.ends_with(name)
                    } else {
                        path.starts_with(name)
                    }
            })
            .map_or(("other", per(100, 1500)), |(name, _, _, limit)| {
                (*name, *limit)
            })
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

/// Path (lower case, without the version), method, whether it is the path's end, limit. First match
/// wins.
const DOCUMENTED: &[(&str, &str, bool, Limit)] = &[
    ("/api/incidents/", "GET", false, per(100, 1500)),
    ("/api/incidents", "GET", false, per(50, 1500)),
    ("/api/incidents", "PATCH", false, per(50, 1500)),
    (
        "/api/advancedhunting/run",
        "POST",
        false,
        Limit {
            per_minute: 45,
            per_hour: None,
        },
    ),
    ("/api/advancedqueries/run", "POST", false, per(45, 1500)),
    (
        "/runhuntingquery",
        "POST",
        true,
        Limit {
            per_minute: 45,
            per_hour: None,
        },
    ),
    ("/api/alerts/batchupdate", "POST", false, per(10, 500)),
    (
        "/api/alerts/createalertbyreference",
        "POST",
        false,
        Limit {
            per_minute: 15,
            per_hour: None,
        },
    ),
    ("/getpackageuri", "GET", true, per(2, 120)),
    (
        "/runliveresponse",
        "POST",
        true,
        Limit {
            per_minute: 10,
            per_hour: None,
        },
    ),
    (
        "/api/indicators/import",
        "POST",
        false,
        Limit {
            per_minute: 30,
            per_hour: None,
        },
    ),
    ("/api/indicators/batchdelete", "POST", false, per(30, 1500)),
    (
        "/api/machines/softwarevulnerabilitiesexport",
        "GET",
        false,
        per(5, 20),
    ),
    ("bymachine", "GET", true, per(30, 1000)),
    ("/api/deviceavinfo", "GET", false, per(30, 1000)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn key(tenant: &str) -> Key {
        Key {
            family: Family::Xdr,
            tenant: tenant.into(),
            client_id: "c".into(),
            rule: "",
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
        for (method, path, per_minute) in [
            (Method::GET, "/api/incidents", 50),
            (Method::GET, "/api/v1.0/Incidents/12", 100),
            (Method::POST, "/api/alerts/batchUpdate", 10),
            (Method::GET, "/api/machineactions/1/GetPackageUri", 2),
            (Method::POST, "/beta/security/runHuntingQuery", 45),
            (Method::GET, "/api/whatever", 100),
        ] {
            assert_eq!(
                Limit::documented(&method, path).1.per_minute,
                per_minute,
                "{method} {path}"
            );
        }
    }
}
