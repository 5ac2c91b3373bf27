//! The documented budgets: how many calls of which kind upstream takes in a minute and in an hour.
//!
//! Numbers from the reference pages of each call (learn.microsoft.com, "Defender for Endpoint API", "Microsoft Defender XDR API",
//! "Security API of Microsoft Graph"). Where pages of one collection state the same number, their calls share it.

use std::array;

use http::Method;

use crate::cloud::Family;

/// Calls allowed in sliding windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In any 3,600 seconds, where it is documented.
    pub per_hour: Option<u32>,
}

/// Calls that share a budget, and that a `429` stops together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class(usize);

/// How many classes there are. A fixed number, so that no client can make more of them by inventing paths.
pub const CLASSES: usize = TABLE.len() + 1;

impl Class {
    /// Everything that no row describes.
    pub const OTHER: Self = Self(TABLE.len());

    /// The class of a call, by its path in canonical form ([`crate::target::canonical`]).
    #[must_use]
    pub fn of(family: Option<Family>, method: &Method, canonical: &str) -> Self {
        let method = match method.as_str() {
            "HEAD" => "GET",
            method => method,
        };
        let Some(family) = family else {
            return Self::OTHER;
        };
        let Some(below) = BASES.iter().find_map(|base| canonical.strip_prefix(base)) else {
            return Self::OTHER;
        };
        let segments = segments(below);
        let found = TABLE.iter().position(|row| {
            row.family == family
                && is_below(&segments, row.path)
                && (row.method == ANY || row.method == method)
        });
        found.map_or(Self::OTHER, Self)
    }

    /// What is documented for it.
    #[must_use]
    pub fn limit(self) -> Option<Limit> {
        TABLE.get(self.0)?.limit
    }

    /// Its place among all classes, below [`CLASSES`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0
    }
}

/// The first segments of the part of a path behind its base, as many as a pattern may have; empty where it has fewer. A key in parentheses
/// is a segment of its own.
fn segments(below: &str) -> [&str; DEPTH] {
    let mut segments = below
        .split(['/', '('])
        .filter(|segment| !segment.is_empty());
    array::from_fn(|_| segments.next().unwrap_or_default())
}

/// Are these segments what `pattern` says, or below it? A `*` stands for any one. Counting a list (`/$count`) is reading it.
fn is_below(segments: &[&str], pattern: &[&str]) -> bool {
    segments
        .iter()
        .zip(pattern)
        .all(|(own, part)| names(own, part))
}

fn names(segment: &str, part: &str) -> bool {
    // The first decides nearly always.
    segment == part
        || match part {
            "*" => !matches!(segment, "" | "$count"),
            // Also with its namespace in front, as Graph allows.
            HUNTING => segment
                .strip_suffix(HUNTING)
                .is_some_and(|namespace| namespace.ends_with('.')),
            _ => false,
        }
}

struct Row {
    family: Family,
    method: &'static str,
    path: &'static [&'static str],
    limit: Option<Limit>,
}

const fn row(
    family: Family,
    method: &'static str,
    path: &'static [&'static str],
    limit: Limit,
) -> Row {
    Row {
        family,
        method,
        path,
        limit: Some(limit),
    }
}

/// A collection whose calls are throttled together, but whose limit is not documented.
const fn unlimited(family: Family, path: &'static [&'static str]) -> Row {
    Row {
        family,
        method: ANY,
        path,
        limit: None,
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

const ANY: &str = "";
const HUNTING: &str = "runhuntingquery";
/// How many segments the longest pattern has.
const DEPTH: usize = 3;
const BASES: [&str; 3] = ["/api/", "/v1.0/security/", "/beta/security/"];

/// First match wins.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(Family::Xdr, "GET", &["incidents", "*"], per(100, 1500)),
    row(Family::Xdr, "GET", &["incidents"], per(50, 1500)),
    row(Family::Xdr, "PATCH", &["incidents"], per(50, 1500)),
    unlimited(Family::Xdr, &["incidents"]),
    // More in larger tenants, which nothing tells; and a CPU quota besides, which no count can foresee.
    row(Family::Xdr, "POST", &["advancedhunting", "run"], per_minute(45)),
    row(Family::Endpoint, "POST", &["advancedqueries", "run"], per(45, 1500)),
    row(Family::Endpoint, "POST", &["alerts", "batchupdate"], per(10, 500)),
    row(Family::Endpoint, "POST", &["alerts", "createalertbyreference"], per_minute(15)),
    row(Family::Endpoint, ANY, &["alerts"], per(100, 1500)),
    row(Family::Endpoint, "POST", &["machines", "*", "runliveresponse"], per_minute(10)),
    row(Family::Endpoint, "GET", &["machines", "softwarevulnerabilitiesbymachine"], per(30, 1000)),
    row(Family::Endpoint, "GET", &["machines", "secureconfigurationsassessmentbymachine"], per(30, 1000)),
    row(Family::Endpoint, "GET", &["machines", "softwarevulnerabilitychangesbymachine"], per(30, 1000)),
    row(Family::Endpoint, "GET", &["machines", "softwarevulnerabilitiesexport"], per(5, 20)),
    row(Family::Endpoint, "GET", &["machines", "secureconfigurationsassessmentexport"], per(5, 20)),
    row(Family::Endpoint, "GET", &["machines", "infogatheringexport"], per(30, 1000)),
    row(Family::Endpoint, ANY, &["machines"], per(100, 1500)),
    row(Family::Endpoint, "GET", &["machineactions", "*", "getpackageuri"], per(2, 120)),
    row(Family::Endpoint, ANY, &["machineactions"], per(100, 1500)),
    row(Family::Endpoint, "POST", &["indicators", "import"], per_minute(30)),
    row(Family::Endpoint, "POST", &["indicators", "batchdelete"], per(30, 1500)),
    row(Family::Endpoint, ANY, &["indicators"], per(100, 1500)),
    row(Family::Endpoint, ANY, &["libraryfiles"], per(100, 1500)),
    row(Family::Endpoint, ANY, &["investigations"], per(100, 1500)),
    row(Family::Endpoint, "GET", &["deviceavinfo"], per(30, 1000)),
    unlimited(Family::Endpoint, &["vulnerabilities"]),
    unlimited(Family::Endpoint, &["recommendations"]),
    unlimited(Family::Endpoint, &["software"]),
    unlimited(Family::Endpoint, &["files"]),
    unlimited(Family::Endpoint, &["domains"]),
    unlimited(Family::Endpoint, &["ips"]),
    unlimited(Family::Endpoint, &["users"]),
    unlimited(Family::Endpoint, &["remediationtasks"]),
    row(Family::Graph, "POST", &[HUNTING], per_minute(45)),
    unlimited(Family::Graph, &["alerts_v2"]),
    unlimited(Family::Graph, &["alerts"]),
    unlimited(Family::Graph, &["incidents"]),
    unlimited(Family::Graph, &["securescores"]),
    unlimited(Family::Graph, &["threatintelligence"]),
    unlimited(Family::Graph, &["cases"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sandbox::documented_limit, target};

    fn class(method: &Method, path: &str) -> Class {
        let path = target::canonical(path);
        Class::of(Family::of(&path), method, &path)
    }

    /// Of the same numbers there are two tables, made apart from each other: here, and in the stand-ins.
    #[test]
    fn documented_numbers_by_path() {
        let list = "/api/machines/SoftwareVulnerabilitiesByMachine";
        for (method, path, limit) in [
            ("GET", "/api/incidents", Some(per(50, 1500))),
            ("HEAD", "/api/incidents", Some(per(50, 1500))),
            ("GET", "/API/v1.0/Incidents/$count", Some(per(50, 1500))),
            ("GET", "/api/v1.0/Incidents/12", Some(per(100, 1500))),
            ("GET", "/api/incidents(12)", Some(per(100, 1500))),
            ("GET", "/api/incidents%2812%29", Some(per(100, 1500))),
            ("PATCH", "/api/incidents/12", Some(per(50, 1500))),
            ("POST", "/api/advancedhunting/run", Some(per_minute(45))),
            ("POST", "/api/AdvancedQueries/run", Some(per(45, 1500))),
            ("GET", "/api/alerts", Some(per(100, 1500))),
            ("PATCH", "/api/alerts/7", Some(per(100, 1500))),
            ("POST", "/api/alerts/batchUpdate", Some(per(10, 500))),
            (
                "POST",
                "/api/alerts/CreateAlertByReference",
                Some(per_minute(15)),
            ),
            (
                "GET",
                "/api/machines/findbyip(ip='10.0.0.1')",
                Some(per(100, 1500)),
            ),
            ("POST", "/api/machines/1f/isolate", Some(per(100, 1500))),
            (
                "POST",
                "/api/machines/1f/runliveresponse",
                Some(per_minute(10)),
            ),
            (
                "GET",
                "/api/machineactions/1/getPackageUri",
                Some(per(2, 120)),
            ),
            ("GET", "/api/machineactions/1", Some(per(100, 1500))),
            ("POST", "/api/indicators/import", Some(per_minute(30))),
            ("POST", "/api/indicators/BatchDelete", Some(per(30, 1500))),
            ("POST", "/api/indicators", Some(per(100, 1500))),
            ("POST", "/api/libraryfiles", Some(per(100, 1500))),
            ("GET", "/api/investigations", Some(per(100, 1500))),
            ("GET", list, Some(per(30, 1000))),
            (
                "GET",
                "/api/machines/SoftwareVulnerabilitiesExport",
                Some(per(5, 20)),
            ),
            ("GET", "/api/deviceavinfo", Some(per(30, 1000))),
            (
                "POST",
                "/v1.0/security/runHuntingQuery",
                Some(per_minute(45)),
            ),
            (
                "POST",
                "/beta/security/microsoft.graph.security.runHuntingQuery",
                Some(per_minute(45)),
            ),
            ("GET", "/v1.0/security/alerts_v2", None),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let ours = class(&method, path).limit();
            assert_eq!(ours, limit, "{method} {path}");
            assert_eq!(
                documented_limit(&method, path),
                limit,
                "the stand-in: {method} {path}"
            );
        }
        for path in [
            "/api/vulnerabilities",
            "/api/recommendations/x",
            "/api/never/heard/of",
            "/v1.0/users",
            "/",
        ] {
            assert_eq!(class(&Method::GET, path).limit(), None, "{path}");
        }
    }

    #[test]
    fn no_pattern_is_longer_than_what_is_kept_of_a_path() {
        assert!(TABLE.iter().all(|row| row.path.len() <= DEPTH));
    }

    #[test]
    fn one_class_does_not_stop_another() {
        let (get, post) = (Method::GET, Method::POST);
        assert_eq!(
            class(&get, "/api/alerts"),
            class(&get, "/api/v1.0/ALERTS/7")
        );
        assert_eq!(
            class(&get, "/api/machines"),
            class(&post, "/api/machines/1f/isolate")
        );
        assert_ne!(class(&get, "/api/alerts"), class(&get, "/api/machines"));
        assert_ne!(
            class(&get, "/api/files/x"),
            class(&get, "/api/vulnerabilities")
        );
        assert_ne!(
            class(&post, "/v1.0/security/runHuntingQuery"),
            class(&get, "/v1.0/security/alerts_v2")
        );
        assert_eq!(class(&get, "/api/invented1"), class(&get, "/api/invented2"));
        assert_eq!(
            class(&post, "/v1.0/security/notrunhuntingquery"),
            Class::OTHER
        );
    }
}
