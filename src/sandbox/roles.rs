//! Application roles: which calls need which, and which the sandbox's application has.

use http::Method;

use crate::cloud::Family;

use super::path::ApiPath;

/// Any one of these roles allows the call; empty when it needs none. Paths the table does not name
/// need none either: the API answers 404 for most of them.
pub(crate) fn needed(family: Family, method: &Method, path: &ApiPath) -> &'static [&'static str] {
    let reads = method == Method::GET || method == Method::HEAD;
    RULES
        .iter()
        .find(|rule| rule.family == family && path.is_below(rule.path))
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

/// The delegated permission that lets an application do for a user what `role` lets it do for itself.
///
/// Defender leaves out the `.All`, but where a permission is about no data of the tenant; Graph has one name for both.
pub(crate) fn permission(family: Family, role: &str) -> &str {
    if family == Family::Graph || GLOBAL.contains(&role) {
        return role;
    }
    role.strip_suffix(".All").unwrap_or(role)
}

/// Every delegated permission of a family.
pub(crate) fn permissions(family: Family) -> Vec<String> {
    let mut permissions: Vec<String> = all(family)
        .iter()
        .map(|role| permission(family, role).to_owned())
        .collect();
    permissions.dedup();
    permissions
}

struct Rule {
    family: Family,
    /// As [`ApiPath::is_below`] takes it.
    path: &'static str,
    read: &'static [&'static str],
    write: &'static [&'static str],
}

const fn rule(
    family: Family,
    path: &'static str,
    read: &'static [&'static str],
    write: &'static [&'static str],
) -> Rule {
    Rule {
        family,
        path,
        read,
        write,
    }
}

/// A call of Defender for Endpoint that needs the same with every method.
const fn call(path: &'static str, roles: &'static [&'static str]) -> Rule {
    rule(Family::Endpoint, path, roles, roles)
}

const ALERT_READ: &[&str] = &["Alert.Read.All", "Alert.ReadWrite.All"];
const ALERT_WRITE: &[&str] = &["Alert.ReadWrite.All"];
const MACHINE_READ: &[&str] = &["Machine.Read.All", "Machine.ReadWrite.All"];
const MACHINE_WRITE: &[&str] = &["Machine.ReadWrite.All"];
const VULNERABILITY: &[&str] = &["Vulnerability.Read.All"];
/// Their page names the first; the second is what the same data needs elsewhere.
const CONFIGURATION: &[&str] = &["Vulnerability.Read.All", "SecurityRecommendation.Read.All"];
const INDICATOR: &[&str] = &["Ti.ReadWrite", "Ti.ReadWrite.All"];
const LIBRARY: &[&str] = &["Library.Manage"];
const HUNTING: &[&str] = &["AdvancedHunting.Read.All"];
const QUERY: &[&str] = &["AdvancedQuery.Read.All"];
const GRAPH_HUNTING: &[&str] = &["ThreatHunting.Read.All"];
const SOFTWARE: &[&str] = &["Software.Read.All"];
const RECOMMENDATION: &[&str] = &["SecurityRecommendation.Read.All"];

/// Roles whose delegated permission has the same name.
const GLOBAL: &[&str] = &[
    "File.Read.All",
    "Url.Read.All",
    "Ip.Read.All",
    "User.Read.All",
];

/// First match wins, so actions stand before the collection they belong to.
#[rustfmt::skip]
const RULES: &[Rule] = &[
    rule(Family::Xdr, "incidents", &["Incident.Read.All", "Incident.ReadWrite.All"], &["Incident.ReadWrite.All"]),
    rule(Family::Xdr, "advancedhunting", HUNTING, HUNTING),
    rule(Family::Endpoint, "alerts", ALERT_READ, ALERT_WRITE),
    rule(Family::Endpoint, "investigations", ALERT_READ, ALERT_WRITE),
    call("advancedqueries", QUERY),
    call("machines/*/isolate", &["Machine.Isolate"]),
    call("machines/*/unisolate", &["Machine.Isolate"]),
    call("machines/*/runantivirusscan", &["Machine.Scan"]),
    call("machines/*/offboard", &["Machine.Offboard"]),
    call("machines/*/collectinvestigationpackage", &["Machine.CollectForensics"]),
    call("machines/*/restrictcodeexecution", &["Machine.RestrictExecution"]),
    call("machines/*/unrestrictcodeexecution", &["Machine.RestrictExecution"]),
    call("machines/*/stopandquarantinefile", &["Machine.StopAndQuarantine"]),
    call("machines/*/runliveresponse", &["Machine.LiveResponse"]),
    call("machines/*/alerts", ALERT_READ),
    call("machines/*/vulnerabilities", VULNERABILITY),
    call("machines/*/software", SOFTWARE),
    call("machines/*/recommendations", RECOMMENDATION),
    call("machines/softwarevulnerabilitiesbymachine", VULNERABILITY),
    call("machines/softwarevulnerabilitychangesbymachine", VULNERABILITY),
    call("machines/softwarevulnerabilitiesexport", VULNERABILITY),
    call("machines/secureconfigurationsassessmentbymachine", CONFIGURATION),
    call("machines/secureconfigurationsassessmentexport", CONFIGURATION),
    rule(Family::Endpoint, "machines", MACHINE_READ, MACHINE_WRITE),
    call("machineactions/*/getpackageuri", &["Machine.CollectForensics"]),
    rule(Family::Endpoint, "machineactions", MACHINE_READ, MACHINE_WRITE),
    call("deviceavinfo", MACHINE_READ),
    call("vulnerabilities", VULNERABILITY),
    call("software", SOFTWARE),
    call("recommendations", RECOMMENDATION),
    call("indicators", INDICATOR),
    call("libraryfiles", LIBRARY),
    call("files", &["File.Read.All"]),
    call("domains", &["Url.Read.All"]),
    call("ips", &["Ip.Read.All"]),
    call("users", &["User.Read.All"]),
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
            (
                Family::Graph,
                Method::POST,
                "/v1.0/security/microsoft.graph.security.runHuntingQuery",
                GRAPH_HUNTING,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/1f/alerts/$count",
                ALERT_READ,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/$count",
                MACHINE_READ,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/1f/vulnerabilities",
                VULNERABILITY,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/SoftwareVulnerabilitiesByMachine",
                VULNERABILITY,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/SoftwareVulnerabilitiesExport",
                VULNERABILITY,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/SecureConfigurationsAssessmentByMachine",
                CONFIGURATION,
            ),
            (
                Family::Endpoint,
                Method::GET,
                "/api/machines/InfoGatheringExport",
                MACHINE_READ,
            ),
            (
                Family::Xdr,
                Method::PATCH,
                "/api/incidents(7)",
                &["Incident.ReadWrite.All"],
            ),
            (Family::Endpoint, Method::GET, "/api/sandbox/echo", &[]),
        ] {
            assert_eq!(
                needed(family, &method, &ApiPath::of(path)),
                roles,
                "{method} {path}"
            );
        }
    }

    #[test]
    fn delegated_permissions_are_named_after_the_roles() {
        for (family, role, name) in [
            (Family::Xdr, "Incident.Read.All", "Incident.Read"),
            (Family::Endpoint, "Machine.Isolate", "Machine.Isolate"),
            (Family::Endpoint, "Ip.Read.All", "Ip.Read.All"),
            (
                Family::Graph,
                "SecurityAlert.Read.All",
                "SecurityAlert.Read.All",
            ),
        ] {
            assert_eq!(permission(family, role), name);
            assert!(permissions(family).contains(&name.to_owned()));
        }
        let of_indicators = |name: &&String| *name == "Ti.ReadWrite";
        let permissions = permissions(Family::Endpoint);
        assert_eq!(permissions.iter().filter(of_indicators).count(), 1);
    }

    #[test]
    fn a_family_grants_only_its_own() {
        assert!(all(Family::Xdr).contains(&"Incident.Read.All".to_owned()));
        assert!(!all(Family::Xdr).contains(&"Machine.Read.All".to_owned()));
    }
}
