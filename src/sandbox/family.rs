//! API families as the stand-ins know them: host, resource identifiers, names.

use crate::cloud::Family;
use crate::target;

use super::settings::Links;
use super::state::Listener;

/// The family of a request path, or `None` where the real host has nothing.
pub(crate) fn of(listener: Listener, path: &str) -> Option<Family> {
    let family = Family::of(&target::canonical(path))?;
    let home = match family {
        Family::Xdr | Family::Endpoint => Listener::Defender,
        Family::Graph => Listener::Graph,
    };
    (home == listener).then_some(family)
}

/// The family whose resource `identifier` names; one trailing slash and case do not matter.
pub(crate) fn of_resource(identifier: &str) -> Option<Family> {
    let identifier = identifier.strip_suffix('/').unwrap_or(identifier);
    [Family::Xdr, Family::Endpoint, Family::Graph]
        .into_iter()
        .find(|family| {
            identifiers(*family)
                .iter()
                .any(|known| known.eq_ignore_ascii_case(identifier))
        })
}

/// Name in the control answers; the same words as the `[cloud]` keys.
pub(crate) fn name(family: Family) -> &'static str {
    match family {
        Family::Xdr => "defender_xdr",
        Family::Endpoint => "defender_endpoint",
        Family::Graph => "graph",
    }
}

/// Host links in answers name, unless the stand-in's own origin is asked for.
pub(crate) fn link_origin(family: Family, links: Links) -> Option<&'static str> {
    match (family, links) {
        (_, Links::Own) => None,
        (Family::Graph, Links::Global | Links::Regional | Links::Legacy) => {
            Some("https://graph.microsoft.com")
        }
        (Family::Xdr, Links::Global) => Some("https://api.security.microsoft.com"),
        (Family::Endpoint, Links::Global) => Some("https://api.securitycenter.microsoft.com"),
        (Family::Xdr, Links::Regional) => Some("https://api-eu.security.microsoft.com"),
        (Family::Endpoint, Links::Regional) => Some("https://eu.api.security.microsoft.com"),
        (Family::Xdr | Family::Endpoint, Links::Legacy) => {
            Some("https://api.securitycenter.windows.com")
        }
    }
}

/// Resource identifiers Entra knows a family by; the application id comes last.
fn identifiers(family: Family) -> &'static [&'static str] {
    match family {
        Family::Xdr => &[
            "https://api.security.microsoft.com",
            "https://security.microsoft.com/mtp",
            "8ee8fdad-f234-4243-8f3b-15c294843740",
        ],
        Family::Endpoint => &[
            "https://api.securitycenter.microsoft.com",
            "https://securitycenter.onmicrosoft.com/windowsatpservice",
            "fc780465-2017-40d4-a0c5-307022471b92",
        ],
        Family::Graph => &[
            "https://graph.microsoft.com",
            "00000003-0000-0000-c000-000000000000",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_decides_on_its_own_host() {
        use Listener::{Defender, Entra, Graph};
        for (listener, path, family) in [
            (Defender, "/api/incidents", Some(Family::Xdr)),
            (Defender, "/API/V1.0/Incidents/7", Some(Family::Xdr)),
            (Defender, "/api/incidents(7)", Some(Family::Xdr)),
            (Defender, "/api/%69ncidents", Some(Family::Xdr)),
            (Defender, "/api//incidents;v=1", Some(Family::Xdr)),
            (Defender, "/api/advancedhunting/run", Some(Family::Xdr)),
            (Defender, "/api/advancedqueries/run", Some(Family::Endpoint)),
            (Defender, "/api/incidentsish", Some(Family::Endpoint)),
            (Defender, "/apix", None),
            (Defender, "/v1.0/security/incidents", None),
            (Graph, "/beta/Security/alerts_v2", Some(Family::Graph)),
            (Graph, "/v1.0/users", None),
            (Graph, "/api/incidents", None),
            (Entra, "/api/incidents", None),
        ] {
            assert_eq!(of(listener, path), family, "{path}");
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
            assert_eq!(of_resource(identifier), family, "{identifier}");
        }
    }
}
