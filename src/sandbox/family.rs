//! API families: which audience a path wants (defender-api facts: the path decides, not the host).

use super::settings::Links;
use super::state::Listener;

/// A group of paths that share an audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// Incidents and advanced hunting of Defender XDR.
    Xdr,
    /// Every other `/api/` path: Defender for Endpoint.
    Endpoint,
    /// The security part of Microsoft Graph.
    Graph,
}

impl Family {
    /// The family of a request path, or `None` where the real host has nothing. Case does not
    /// matter.
    pub(crate) fn of(listener: Listener, path: &str) -> Option<Self> {
        let path = path.to_ascii_lowercase();
        match listener {
            Listener::Entra => None,
            Listener::Defender => path.strip_prefix("/api/").map(|rest| {
                let rest = rest.strip_prefix("v1.0/").unwrap_or(rest);
                match rest.split('/').next() {
                    Some("incidents" | "advancedhunting") => Self::Xdr,
                    Some(_) | None => Self::Endpoint,
                }
            }),
            Listener::Graph => (path.starts_with("/v1.0/security/")
                || path.starts_with("/beta/security/"))
            .then_some(Self::Graph),
        }
    }

    /// The family whose resource `identifier` names; one trailing slash and case do not matter.
    pub(crate) fn of_resource(identifier: &str) -> Option<Self> {
        let identifier = identifier.strip_suffix('/').unwrap_or(identifier);
        [Self::Xdr, Self::Endpoint, Self::Graph]
            .into_iter()
            .find(|family| {
                family
                    .identifiers()
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(identifier))
            })
    }

    /// Name in the control answers; the same words as the `[cloud]` keys.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Xdr => "defender_xdr",
            Self::Endpoint => "defender_endpoint",
            Self::Graph => "graph",
        }
    }

    /// Host links in answers name, unless the stand-in's own origin is asked for.
    pub(crate) fn link_origin(self, links: Links) -> Option<&'static str> {
        match (self, links) {
            (_, Links::Own) => None,
            (Self::Graph, Links::Global | Links::Regional | Links::Legacy) => {
                Some("https://graph.microsoft.com")
            }
            (Self::Xdr, Links::Global) => Some("https://api.security.microsoft.com"),
            (Self::Endpoint, Links::Global) => Some("https://api.securitycenter.microsoft.com"),
            (Self::Xdr, Links::Regional) => Some("https://api-eu.security.microsoft.com"),
            (Self::Endpoint, Links::Regional) => Some("https://eu.api.security.microsoft.com"),
            (Self::Xdr | Self::Endpoint, Links::Legacy) => {
                Some("https://api.securitycenter.windows.com")
            }
        }
    }

    /// Resource identifiers Entra knows it by; the application id comes last.
    fn identifiers(self) -> &'static [&'static str] {
        match self {
            Self::Xdr => &[
                "https://api.security.microsoft.com",
                "https://security.microsoft.com/mtp",
                "8ee8fdad-f234-4243-8f3b-15c294843740",
            ],
            Self::Endpoint => &[
                "https://api.securitycenter.microsoft.com",
                "https://securitycenter.onmicrosoft.com/windowsatpservice",
                "fc780465-2017-40d4-a0c5-307022471b92",
            ],
            Self::Graph => &[
                "https://graph.microsoft.com",
                "00000003-0000-0000-c000-000000000000",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides() {
        for (listener, path, family) in [
            (Listener::Defender, "/api/incidents", Some(Family::Xdr)),
            (
                Listener::Defender,
                "/API/V1.0/Incidents/7",
                Some(Family::Xdr),
            ),
            (
                Listener::Defender,
                "/api/advancedhunting/run",
                Some(Family::Xdr),
            ),
            (
                Listener::Defender,
                "/api/advancedqueries/run",
                Some(Family::Endpoint),
            ),
            (
                Listener::Defender,
                "/api/incidentsish",
                Some(Family::Endpoint),
            ),
            (Listener::Defender, "/apix", None),
            (
                Listener::Graph,
                "/beta/Security/alerts_v2",
                Some(Family::Graph),
            ),
            (Listener::Graph, "/v1.0/users", None),
            (Listener::Entra, "/api/incidents", None),
        ] {
            assert_eq!(Family::of(listener, path), family, "{path}");
        }
    }

    #[test]
    fn every_identifier_names_its_resource() {
        for (identifier, family) in [
            ("https://api.security.microsoft.com", Some(Family::Xdr)),
            ("https://security.microsoft.com/mtp/", Some(Family::Xdr)),
            (
                "https://SecurityCenter.onmicrosoft.com/windowsatpservice",
                Some(Family::Endpoint),
            ),
            ("https://graph.microsoft.com//", None),
            ("https://vault.azure.net", None),
        ] {
            assert_eq!(Family::of_resource(identifier), family, "{identifier}");
        }
    }
}
