//! The clouds: which hosts an API family lives on, and which audience its tokens have.
//!
//! The audience follows the family, that is the *path*, and never the host: the hosts of a region
//! take the tokens of the global audience.

use std::str::FromStr;

use thiserror::Error;

use crate::auth::identity::Audience;
use crate::origin::Origin;

/// The three API families behind one origin. Their paths do not collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Defender XDR: incidents and advanced hunting.
    Xdr,
    /// Defender for Endpoint: everything else under `/api/`.
    Endpoint,
    /// The security part of Microsoft Graph.
    Graph,
}

impl Family {
    /// The family of a request path, given as received (percent-encoded, without query).
    ///
    /// Case is ignored, as the APIs do. `None` is a path of no family.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        if let Some(rest) = after(path, "/api") {
            let rest = after(rest, "/v1.0").unwrap_or(rest);
            return match rest {
                "" => None,
                _ if names(rest, "/incidents") || names(rest, "/advancedhunting") => {
                    Some(Self::Xdr)
                }
                _ => Some(Self::Endpoint),
            };
        }
        let rest = after(path, "/v1.0").or_else(|| after(path, "/beta"))?;
        names(rest, "/security").then_some(Self::Graph)
    }
}

/// One API family at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Where its requests are sent.
    pub origin: Origin,
    /// What its tokens are for.
    pub audience: Audience,
}

/// One set of hosts that belong together: where to sign in, and each API family.
#[derive(Clone, Debug)]
pub struct Cloud {
    name: CloudName,
    login: Origin,
    xdr: Api,
    endpoint: Api,
    graph: Api,
}

impl Cloud {
    /// A cloud by name, in a region of the public cloud if one is given, with single hosts
    /// replaced. Audiences stay those of the cloud, whatever host is replaced.
    ///
    /// # Errors
    ///
    /// If a region is given with another cloud than the public one, or a custom cloud has not all
    /// its hosts.
    pub fn new(
        name: CloudName,
        region: Option<Region>,
        hosts: CloudHosts,
    ) -> Result<Self, CloudError> {
        if region.is_some() && name != CloudName::Public {
            return Err(CloudError::RegionElsewhere);
        }
        let missing = hosts.missing();
        if name == CloudName::Custom && !missing.is_empty() {
            return Err(CloudError::MissingHosts(missing.join(", ")));
        }
        let row = name.row();
        let xdr = region.and_then(|r| r.0.xdr).unwrap_or(row.xdr.host);
        let endpoint = region.map_or(row.endpoint.host, |r| r.0.endpoint);
        Ok(Self {
            name,
            login: or_host(hosts.login, row.login),
            xdr: row.xdr.at(or_host(hosts.defender_xdr, xdr)),
            endpoint: row.endpoint.at(or_host(hosts.defender_endpoint, endpoint)),
            graph: row.graph.at(or_host(hosts.graph, row.graph.host)),
        })
    }

    /// The same cloud with another place to sign in.
    #[must_use]
    pub fn with_login(self, login: Origin) -> Self {
        Self { login, ..self }
    }

    /// The name used in the configuration: `public`, `gcc`, `gcc-high`, `dod` or `custom`.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Where tokens come from.
    pub fn login(&self) -> &Origin {
        &self.login
    }

    /// Place and audience of a family.
    pub fn api(&self, family: Family) -> &Api {
        match family {
            Family::Xdr => &self.xdr,
            Family::Endpoint => &self.endpoint,
            Family::Graph => &self.graph,
        }
    }
}

impl Default for Cloud {
    /// The public cloud, without a region.
    fn default() -> Self {
        let row = CloudName::Public.row();
        Self {
            name: CloudName::Public,
            login: Origin::of_host(row.login),
            xdr: row.xdr.at(Origin::of_host(row.xdr.host)),
            endpoint: row.endpoint.at(Origin::of_host(row.endpoint.host)),
            graph: row.graph.at(Origin::of_host(row.graph.host)),
        }
    }
}

/// Hosts that replace those of the named cloud.
#[derive(Clone, Debug, Default)]
pub struct CloudHosts {
    /// Where tokens come from.
    pub login: Option<Origin>,
    /// Defender XDR.
    pub defender_xdr: Option<Origin>,
    /// Defender for Endpoint.
    pub defender_endpoint: Option<Origin>,
    /// Microsoft Graph.
    pub graph: Option<Origin>,
}

impl CloudHosts {
    fn missing(&self) -> Vec<&'static str> {
        [
            ("login", &self.login),
            ("defender_xdr", &self.defender_xdr),
            ("defender_endpoint", &self.defender_endpoint),
            ("graph", &self.graph),
        ]
        .into_iter()
        .filter_map(|(key, host)| host.is_none().then_some(key))
        .collect()
    }
}

/// The clouds a configuration can name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CloudName {
    /// Microsoft's worldwide cloud.
    #[default]
    Public,
    /// US government community cloud; it signs in worldwide.
    Gcc,
    /// US government community cloud, high.
    GccHigh,
    /// US department of defense.
    Dod,
    /// Hosts of one's own, with the audiences of the public cloud.
    Custom,
}

impl CloudName {
    const ALL: [Self; 5] = [
        Self::Public,
        Self::Gcc,
        Self::GccHigh,
        Self::Dod,
        Self::Custom,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Gcc => "gcc",
            Self::GccHigh => "gcc-high",
            Self::Dod => "dod",
            Self::Custom => "custom",
        }
    }

    fn row(self) -> &'static Row {
        match self {
            Self::Public | Self::Custom => &PUBLIC,
            Self::Gcc => &GCC,
            Self::GccHigh => &GCC_HIGH,
            Self::Dod => &DOD,
        }
    }
}

impl FromStr for CloudName {
    type Err = CloudError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|name| name.as_str() == text)
            .ok_or_else(|| CloudError::Name(Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// A region of the public cloud with API hosts of its own.
#[derive(Clone, Copy, Debug)]
pub struct Region(&'static RegionRow);

impl FromStr for Region {
    type Err = CloudError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = || REGIONS.each_ref().map(|row| row.name).join(", ");
        REGIONS
            .iter()
            .find(|row| row.name == text)
            .map(Self)
            .ok_or_else(|| CloudError::Region(known()))
    }
}

/// Why the parts make no [`Cloud`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloudError {
    /// No cloud has that name; holds the names there are.
    #[error("is no cloud known here: write one of {0}")]
    Name(String),
    /// No region has that name; holds the names there are.
    #[error("is no region known here: write one of {0}, or set the hosts themselves")]
    Region(String),
    /// A region was given with another cloud than the public one.
    #[error("only the public cloud has regions: remove region, or set the hosts themselves")]
    RegionElsewhere,
    /// A custom cloud without all its hosts; holds the keys that are missing.
    #[error("a custom cloud needs all its hosts: add {0}")]
    MissingHosts(String),
}

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

/// What follows `prefix` (lower case, whole segments) in a path: nothing, or `/…`.
fn after<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = path.split_at_checked(prefix.len())?;
    let whole = rest.is_empty() || rest.starts_with('/');
    (whole && head.eq_ignore_ascii_case(prefix)).then_some(rest)
}

/// Whether a path is at or under the collection `segment`, or calls it with a key: `/incidents(7)`.
fn names(path: &str, segment: &str) -> bool {
    let Some((head, rest)) = path.split_at_checked(segment.len()) else {
        return false;
    };
    // Some clients escape the parenthesis; the API reads both alike.
    let ends = rest.is_empty() || ["/", "(", "%28"].iter().any(|end| rest.starts_with(end));
    ends && head.eq_ignore_ascii_case(segment)
}

fn or_host(origin: Option<Origin>, host: &'static str) -> Origin {
    origin.unwrap_or_else(|| Origin::of_host(host))
}

/// The hosts of a cloud.
#[derive(Debug)]
struct Row {
    login: &'static str,
    xdr: Place,
    endpoint: Place,
    graph: Place,
}

/// The host of an API, and the host that is the audience of its tokens.
#[derive(Clone, Copy, Debug)]
struct Place {
    host: &'static str,
    audience: &'static str,
}

impl Place {
    const fn new(host: &'static str, audience: &'static str) -> Self {
        Self { host, audience }
    }

    /// A host that is its own audience.
    const fn own(host: &'static str) -> Self {
        Self::new(host, host)
    }

    fn at(self, origin: Origin) -> Api {
        let audience = Audience::of_origin(&Origin::of_host(self.audience));
        Api { origin, audience }
    }
}

#[derive(Debug)]
struct RegionRow {
    name: &'static str,
    endpoint: &'static str,
    /// Defender XDR has fewer regions, and names their hosts by another pattern.
    xdr: Option<&'static str>,
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

const PUBLIC: Row = Row {
    login: "login.microsoftonline.com",
    xdr: Place::own("api.security.microsoft.com"),
    endpoint: Place::new(
        "api.security.microsoft.com",
        "api.securitycenter.microsoft.com",
    ),
    graph: Place::own("graph.microsoft.com"),
};

// The audiences of the government clouds are documented nowhere; field practice is the API host.
const GCC: Row = Row {
    login: "login.microsoftonline.com",
    xdr: Place::own("api-gcc.security.microsoft.us"),
    endpoint: Place::own("api-gcc.securitycenter.microsoft.us"),
    graph: Place::own("graph.microsoft.com"),
};

const GCC_HIGH: Row = Row {
    login: "login.microsoftonline.us",
    xdr: Place::own("api-gov.security.microsoft.us"),
    endpoint: Place::own("api-gov.securitycenter.microsoft.us"),
    graph: Place::own("graph.microsoft.us"),
};

const DOD: Row = Row {
    graph: Place::own("dod-graph.microsoft.us"),
    ..GCC_HIGH
};

static REGIONS: [RegionRow; 7] = [
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

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_path_decides_the_family() {
        let table = [
            ("/api/incidents", Some(Family::Xdr)),
            ("/API/Incidents/", Some(Family::Xdr)),
            ("/api/incidents/924565", Some(Family::Xdr)),
            ("/api/incidents(924565)", Some(Family::Xdr)),
            ("/api/incidents%28924565%29", Some(Family::Xdr)),
            ("/api/v1.0/incidents", Some(Family::Xdr)),
            ("/api/V1.0/advancedHunting/run", Some(Family::Xdr)),
            ("/api/advancedhunting/run", Some(Family::Xdr)),
            ("/api/incidentsX", Some(Family::Endpoint)),
            ("/api/incident", Some(Family::Endpoint)),
            ("/api/v1.0/incidentsX", Some(Family::Endpoint)),
            ("/api/v1.0x/incidents", Some(Family::Endpoint)),
            ("/api/machines/incidents", Some(Family::Endpoint)),
            ("/api/advancedqueries/run", Some(Family::Endpoint)),
            (
                "/api/machines/findbyip(ip='10.0.0.1')",
                Some(Family::Endpoint),
            ),
            ("/api/", Some(Family::Endpoint)),
            ("/api", None),
            ("/api/v1.0", None),
            ("/apis/machines", None),
            ("/v1.0/security/alerts_v2", Some(Family::Graph)),
            ("/Beta/Security/runHuntingQuery", Some(Family::Graph)),
            ("/v1.0/security", Some(Family::Graph)),
            ("/v1.0/securityX", None),
            ("/v1.0/users", None),
            ("/v2.0/security/alerts", None),
            ("/", None),
            ("", None),
            ("*", None),
            ("api/incidents", None),
        ];
        for (path, family) in table {
            assert_eq!(Family::of(path), family, "{path}");
        }
    }

    #[test]
    fn public_cloud_has_one_host_and_two_audiences() {
        let cloud = Cloud::default();
        let shown = |family| {
            let api = cloud.api(family);
            (api.origin.to_string(), api.audience.to_string())
        };
        let (host, legacy, graph) = (
            "https://api.security.microsoft.com".to_owned(),
            "https://api.securitycenter.microsoft.com".to_owned(),
            "https://graph.microsoft.com".to_owned(),
        );
        assert_eq!(shown(Family::Xdr), (host.clone(), host.clone()));
        assert_eq!(shown(Family::Endpoint), (host, legacy));
        assert_eq!(shown(Family::Graph), (graph.clone(), graph));
        assert_eq!(
            cloud.login().to_string(),
            "https://login.microsoftonline.com"
        );
        assert_eq!(cloud.name(), "public");
    }

    #[test]
    fn a_region_moves_hosts_and_keeps_audiences() {
        let global = Cloud::default();
        for (region, endpoint, xdr) in [
            (
                "eu",
                "eu.api.security.microsoft.com",
                "api-eu.security.microsoft.com",
            ),
            (
                "aea",
                "aea.api.security.microsoft.com",
                "api.security.microsoft.com",
            ),
        ] {
            let region: Region = region.parse().expect(region);
            let cloud = Cloud::new(CloudName::Public, Some(region), CloudHosts::default());
            let cloud = cloud.expect("a cloud");
            assert_eq!(cloud.api(Family::Endpoint).origin.host(), endpoint);
            assert_eq!(cloud.api(Family::Xdr).origin.host(), xdr);
            for family in [Family::Xdr, Family::Endpoint, Family::Graph] {
                assert_eq!(cloud.api(family).audience, global.api(family).audience);
            }
        }
    }

    #[test]
    fn regions_are_of_the_public_cloud_and_known() {
        let region: Region = "uk".parse().expect("a region");
        let error = Cloud::new(CloudName::Gcc, Some(region), CloudHosts::default());
        assert_eq!(error.expect_err("no regions"), CloudError::RegionElsewhere);
        let error = "mars".parse::<Region>().expect_err("unknown");
        assert!(error.to_string().contains("us, eu, uk, au, swa, ina, aea"));
    }

    #[test]
    fn a_custom_cloud_needs_all_its_hosts() {
        let origin = |text: &str| text.parse::<Origin>().ok();
        let mut hosts = CloudHosts {
            login: origin("https://localhost:9001"),
            defender_xdr: origin("https://localhost:9002"),
            ..CloudHosts::default()
        };
        let error = Cloud::new(CloudName::Custom, None, hosts.clone()).expect_err("missing");
        assert_eq!(
            error,
            CloudError::MissingHosts("defender_endpoint, graph".to_owned())
        );
        hosts.defender_endpoint = origin("https://localhost:9003");
        hosts.graph = origin("https://localhost:9004");
        let cloud = Cloud::new(CloudName::Custom, None, hosts).expect("complete");
        assert_eq!(cloud.login().authority(), "localhost:9001");
        assert_eq!(
            cloud.api(Family::Graph).origin.authority(),
            "localhost:9004"
        );
        let endpoint = cloud.api(Family::Endpoint);
        assert_eq!(
            endpoint.audience.as_str(),
            "https://api.securitycenter.microsoft.com"
        );
    }

    #[test]
    fn every_named_cloud_builds() {
        for (name, login, graph) in [
            (
                "public",
                "login.microsoftonline.com",
                "https://graph.microsoft.com",
            ),
            (
                "gcc",
                "login.microsoftonline.com",
                "https://graph.microsoft.com",
            ),
            (
                "gcc-high",
                "login.microsoftonline.us",
                "https://graph.microsoft.us",
            ),
            (
                "dod",
                "login.microsoftonline.us",
                "https://dod-graph.microsoft.us",
            ),
        ] {
            let parsed = name.parse().expect(name);
            let cloud = Cloud::new(parsed, None, CloudHosts::default()).expect(name);
            assert_eq!(cloud.name(), name);
            assert_eq!(cloud.login().host(), login);
            assert_eq!(cloud.api(Family::Graph).audience.as_str(), graph);
        }
        assert!("GCC".parse::<CloudName>().is_err());
    }

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

    proptest! {
        #[test]
        fn family_ignores_case_and_never_panics(path in "/(api|v1.0|beta)?/?\\PC{0,30}") {
            prop_assert_eq!(Family::of(&path), Family::of(&path.to_ascii_uppercase()));
        }
    }
}
