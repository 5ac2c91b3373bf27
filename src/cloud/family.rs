//! Which API a path belongs to.

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

#[cfg(test)]
mod tests {
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

    proptest! {
        #[test]
        fn family_ignores_case_and_never_panics(path in "/(api|v1.0|beta)?/?\\PC{0,30}") {
            prop_assert_eq!(Family::of(&path), Family::of(&path.to_ascii_uppercase()));
        }
    }
}
