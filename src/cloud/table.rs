//! The one table of hosts: clouds, regions and older names.

use crate::auth::identity::Audience;
use crate::cloud::Api;
use crate::origin::Origin;

/// Every host name an API of any cloud is or was known by: global, regional and legacy.
///
/// For links in answers, which may name another of them than was called. A host may come twice.
pub fn known_hosts() -> impl Iterator<Item = &'static str> {
    let clouds = [&PUBLIC, &GCC, &GCC_HIGH, &DOD].into_iter();
    let clouds = clouds.flat_map(|row| [row.xdr, row.endpoint, row.graph].map(|api| api.host));
    let regions = REGIONS
        .iter()
        .flat_map(|row| row.xdr.into_iter().chain([row.endpoint]));
    clouds.chain(regions).chain(LEGACY)
}

/// What Graph is known by to Entra ID, in any cloud.
pub fn graph_audiences() -> impl Iterator<Item = String> {
    let clouds = [&PUBLIC, &GCC_HIGH, &DOD].into_iter();
    clouds.map(|row| format!("https://{}", row.graph.audience))
}

/// The hosts of a cloud.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) login: &'static str,
    pub(super) xdr: Place,
    pub(super) endpoint: Place,
    pub(super) graph: Place,
}

/// The host of an API, and the host that is the audience of its tokens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) host: &'static str,
    pub(super) audience: &'static str,
}

impl Place {
    const fn new(host: &'static str, audience: &'static str) -> Self {
        Self { host, audience }
    }

    /// A host that is its own audience.
    const fn own(host: &'static str) -> Self {
        Self::new(host, host)
    }

    pub(super) fn at(self, origin: Origin) -> Api {
        let audience = Audience::of_origin(&Origin::of_host(self.audience));
        Api { origin, audience }
    }
}

#[derive(Debug)]
pub(super) struct RegionRow {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    /// Defender XDR has fewer regions, and names their hosts by another pattern.
    pub(super) xdr: Option<&'static str>,
}

impl RegionRow {
    const fn new(name: &'static str, endpoint: &'static str, xdr: Option<&'static str>) -> Self {
        Self {
            name,
            endpoint,
            xdr,
        }
    }
}

pub(super) const PUBLIC: Row = Row {
    login: "login.microsoftonline.com",
    xdr: Place::own("api.security.microsoft.com"),
    endpoint: Place::new(
        "api.security.microsoft.com",
        "api.securitycenter.microsoft.com",
    ),
    graph: Place::own("graph.microsoft.com"),
};

// The audiences of the government clouds are documented nowhere; field practice is the API host.
pub(super) const GCC: Row = Row {
    login: "login.microsoftonline.com",
    xdr: Place::own("api-gcc.security.microsoft.us"),
    endpoint: Place::own("api-gcc.securitycenter.microsoft.us"),
    graph: Place::own("graph.microsoft.com"),
};

pub(super) const GCC_HIGH: Row = Row {
    login: "login.microsoftonline.us",
    xdr: Place::own("api-gov.security.microsoft.us"),
    endpoint: Place::own("api-gov.securitycenter.microsoft.us"),
    graph: Place::own("graph.microsoft.us"),
};

pub(super) const DOD: Row = Row {
    graph: Place::own("dod-graph.microsoft.us"),
    ..GCC_HIGH
};

pub(super) static REGIONS: [RegionRow; 7] = [
    RegionRow::new(
        "us",
        "us.api.security.microsoft.com",
        Some("api-us.security.microsoft.com"),
    ),
    RegionRow::new(
        "eu",
        "eu.api.security.microsoft.com",
        Some("api-eu.security.microsoft.com"),
    ),
    RegionRow::new(
        "uk",
        "uk.api.security.microsoft.com",
        Some("api-uk.security.microsoft.com"),
    ),
    RegionRow::new("au", "au.api.security.microsoft.com", None),
    RegionRow::new("swa", "swa.api.security.microsoft.com", None),
    RegionRow::new("ina", "ina.api.security.microsoft.com", None),
    RegionRow::new("aea", "aea.api.security.microsoft.com", None),
];

/// Older names that still answer and still stand in links.
const LEGACY: [&str; 6] = [
    "api.securitycenter.microsoft.com",
    "api.securitycenter.windows.com",
    "api-us.securitycenter.microsoft.com",
    "api-eu.securitycenter.microsoft.com",
    "api-uk.securitycenter.microsoft.com",
    "api-au.securitycenter.microsoft.com",
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn knows_hosts_of_all_kinds_and_all_are_host_names() {
        let hosts: HashSet<_> = known_hosts().collect();
        for host in [
            "api.security.microsoft.com",
            "api.securitycenter.windows.com",
            "api-au.securitycenter.microsoft.com",
            "eu.api.security.microsoft.com",
            "api-uk.security.microsoft.com",
            "api-gcc.securitycenter.microsoft.us",
            "dod-graph.microsoft.us",
            "graph.microsoft.com",
        ] {
            assert!(hosts.contains(host), "{host}");
        }
        assert!(!hosts.contains("login.microsoftonline.com"));
        for host in hosts {
            let parsed: Origin = format!("https://{host}").parse().expect(host);
            assert_eq!(parsed, Origin::of_host(host));
        }
    }
}
