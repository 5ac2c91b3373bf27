//! Application roles: which calls need which, and which the sandbox's application has.

use http::Method;

use super::family::Family;

/// Any one of these roles allows the call; empty when it needs none. Paths the table does not name
/// need none either: the API answers 404 for most of them.
pub(crate) fn needed(family: Family, method: &Method, path: &str) -> &'static [&'static str] {
    let path = path.to_ascii_lowercase();
    let reads = method == Method::GET || method == Method::HEAD;
    RULES
        .iter()
        .filter(|rule| rule.family == family)
        .find(|rule| rule.matches(&path))
        .map_or(&[], |rule| if reads { rule.read } else { rule.write })
}

/// Every role of a family: what the application is granted unless the `roles` setting says
/// otherwise.
pub(crate) fn all(family: Family) -> Vec<String> {
    let mut roles: Vec<String> = RULES
        .iter()
        .filter(|rule| rule.family == family)
        .flat_map(|rule| rule.read.iter().chain(rule.write))
        .map(|role| (*role).to_owned())
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

struct Rule {
    family: Family,
    /// The collection, a whole lower-case path segment.
    collection: &'static str,
    /// The last segment, or any.
    action: Option<&'static str>,
    read: &'static [&'static str],
    write: &'static [&'static str],
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let mut segments = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .skip(1)
            .peekable();
        // `/api/v1.0/…` and `/v1.0/security/…` both have one more segment in front.
        if matches!(segments.peek(), Some(&("v1.0" | "security"))) {
            segments.next();
        }
        let collection = segments.next().unwrap_or_default();
        let last = segments.last().unwrap_or_default();
        collection == self.collection && self.action.is_none_or(|action| last == action)
    }
}

const fn rule(
    family: Family,
    collection: &'static str,
    read: &'static [&'static str],
    write: &'static [&'static str],
) -> Rule {
    Rule {
        family,
        collection,
        action: None,
        read,
        write,
    }
}

const fn machine(action: &'static str, roles: &'static [&'static str]) -> Rule {
    Rule {
        family: Family::Endpoint,
        collection: "machines",
        action: Some(action),
        read: roles,
        write: roles,
    }
}

const ALERT_READ: &[&str] = &["Alert.Read.All", "Alert.ReadWrite.All"];
const ALERT_WRITE: &[&str] = &["Alert.ReadWrite.All"];
const MACHINE_READ: &[&str] = &["Machine.Read.All", "Machine.ReadWrite.All"];
const MACHINE_WRITE: &[&str] = &["Machine.ReadWrite.All"];
const VULNERABILITY: &[&str] = &["Vulnerability.Read.All"];
const INDICATOR: &[&str] = &["Ti.ReadWrite", "Ti.ReadWrite.All"];
const LIBRARY: &[&str] = &["Library.Manage"];
const HUNTING: &[&str] = &["AdvancedHunting.Read.All"];
const QUERY: &[&str] = &["AdvancedQuery.Read.All"];
const GRAPH_HUNTING: &[&str] = &["ThreatHunting.Read.All"];
const SOFTWARE: &[&str] = &["Software.Read.All"];
const RECOMMENDATION: &[&str] = &["SecurityRecommendation.Read.All"];

/// First match wins, so actions stand before the collection they belong to.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule(Family::Xdr, "incidents", &["Incident.Read.All", "Incident.ReadWrite.All"], &["Incident.ReadWrite.All"]),
    rule(Family::Xdr, "advancedhunting", HUNTING, HUNTING),
    rule(Family::Endpoint, "alerts", ALERT_READ, ALERT_WRITE),
    rule(Family::Endpoint, "investigations", ALERT_READ, ALERT_WRITE),
    rule(Family::Endpoint, "advancedqueries", QUERY, QUERY),
    machine("isolate", &["Machine.Isolate"]),
    machine("unisolate", &["Machine.Isolate"]),
    machine("runantivirusscan", &["Machine.Scan"]),
    machine("offboard", &["Machine.Offboard"]),
    machine("collectinvestigationpackage", &["Machine.CollectForensics"]),
    machine("restrictcodeexecution", &["Machine.RestrictExecution"]),
    machine("unrestrictcodeexecution", &["Machine.RestrictExecution"]),
    machine("stopandquarantinefile", &["Machine.StopAndQuarantine"]),
    machine("runliveresponse", &["Machine.LiveResponse"]),
    machine("alerts", ALERT_READ),
    rule(Family::Endpoint, "machines", MACHINE_READ, MACHINE_WRITE),
    Rule {
        family: Family::Endpoint, collection: "machineactions", action: Some("getpackageuri"),
        read: &["Machine.CollectForensics"], write: &["Machine.CollectForensics"],
    },
    rule(Family::Endpoint, "machineactions", MACHINE_READ, MACHINE_WRITE),
    rule(Family::Endpoint, "deviceavinfo", MACHINE_READ, MACHINE_READ),
    rule(Family::Endpoint, "vulnerabilities", VULNERABILITY, VULNERABILITY),
    rule(Family::Endpoint, "software", SOFTWARE, SOFTWARE),
    rule(Family::Endpoint, "recommendations", RECOMMENDATION, RECOMMENDATION),
    rule(Family::Endpoint, "indicators", INDICATOR, INDICATOR),
    rule(Family::Endpoint, "libraryfiles", LIBRARY, LIBRARY),
    rule(Family::Endpoint, "files", &["File.Read.All"], &["File.Read.All"]),
    rule(Family::Endpoint, "domains", &["Url.Read.All"], &["Url.Read.All"]),
    rule(Family::Endpoint, "ips", &["Ip.Read.All"], &["Ip.Read.All"]),
    rule(Family::Endpoint, "users", &["User.Read.All"], &["User.Read.All"]),
    rule(Family::Graph, "incidents", &["SecurityIncident.Read.All", "SecurityIncident.ReadWrite.All"], &["SecurityIncident.ReadWrite.All"]),
    rule(Family::Graph, "alerts_v2", &["SecurityAlert.Read.All", "SecurityAlert.ReadWrite.All"], &["SecurityAlert.ReadWrite.All"]),
    rule(Family::Graph, "alerts", &["SecurityEvents.Read.All", "SecurityEvents.ReadWrite.All"], &["SecurityEvents.ReadWrite.All"]),
    rule(Family::Graph, "runhuntingquery", GRAPH_HUNTING, GRAPH_HUNTING),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_need_the_roles_of_their_page() {
        for (family, method, path, roles) in [
            (Family::Endpoint, Method::GET, "/api/machines", MACHINE_READ),
            (
                Family::Endpoint,
                Method::POST,
                "/API/v1.0/Machines/1f/Isolate",
                &["Machine.Isolate"][..],
            ),
            (
                Family::Endpoint,
                Method::POST,
                "/api/machines/1f/tags",
                MACHINE_WRITE,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/1f/alerts",
                ALERT_READ,
            ),
            (
                Family::Xdr,
                Method::PATCH,
                "/api/incidents/7",
                &["Incident.ReadWrite.All"],
            ),
            (
                Family::Graph,
                Method::POST,
                "/v1.0/security/runHuntingQuery",
                GRAPH_HUNTING,
            ),
            (Family::Endpoint, Method::GET, "/api/sandbox/echo", &[]),
        ] {
            assert_eq!(needed(family, &method, path), roles, "{method} {path}");
        }
    }

    #[test]
    fn a_family_grants_only_its_own() {
        assert!(all(Family::Xdr).contains(&"Incident.Read.All".to_owned()));
        assert!(!all(Family::Xdr).contains(&"Machine.Read.All".to_owned()));
    }
}
