//! The clouds: which hosts an API family lives on, and which audience its tokens have.
//!
//! The audience follows the family, that is the *path*, and never the host: the hosts of a region
//! take the tokens of the global audience.

mod family;
mod table;

use std::str::FromStr;

use thiserror::Error;

use crate::auth::identity::Audience;
use crate::origin::Origin;

pub use family::Family;
pub use table::{graph_audiences, known_hosts};

use table::{DOD, GCC, GCC_HIGH, PUBLIC, REGIONS, RegionRow, Row};

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

fn or_host(origin: Option<Origin>, host: &'static str) -> Origin {
    origin.unwrap_or_else(|| Origin::of_host(host))
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
