//! The `claims` of a token request (Entra ID, "Claims challenges, claims requests, and client capabilities"): what upstream's
//! challenge asks for, and that this client can meet challenges.

use serde_json::{Map, Value, json};

use super::identity::{Audience, Kind};
use crate::cloud::{self, Cloud, Family};

/// Which token requests declare the capability `cp1`.
///
/// Whoever declares it gets tokens that live for a day and are revoked at any time, and must handle the challenge that says so. Of
/// the APIs here only Graph does that (Entra ID, "Continuous access evaluation for workload identities"), and
/// managed identities are excepted.
#[derive(Clone, Debug)]
pub struct Capability {
    graph: [Audience; 2],
}

impl Capability {
    /// For a cloud whose Graph may be known by a host of one's own.
    #[must_use]
    pub fn of(cloud: &Cloud) -> Self {
        let graph = cloud.api(Family::Graph);
        Self {
            graph: [graph.audience.clone(), Audience::of_origin(&graph.origin)],
        }
    }

    /// The `claims` of a token request; none when there is nothing to say.
    ///
    /// `challenge` is the JSON object that upstream asked for, see [`super::challenge::claims`].
    #[must_use]
    pub fn claims(
        &self,
        kind: &Kind,
        audience: &Audience,
        challenge: Option<&str>,
    ) -> Option<String> {
        match kind {
            Kind::Managed { .. } => None,
            Kind::Application { .. } | Kind::User(_) | Kind::Partner(_)
                if self.covers(audience) =>
            {
                Some(declared(challenge))
            }
            Kind::Application { .. } | Kind::User(_) | Kind::Partner(_) => {
                challenge.map(str::to_owned)
            }
        }
    }

    fn covers(&self, audience: &Audience) -> bool {
        let same = |known: &str| {
            let asked = audience.as_str().trim_end_matches('/');
            asked.eq_ignore_ascii_case(known)
        };
        self.graph.iter().any(|own| same(own.as_str()))
            || cloud::graph_audiences().any(|known| same(&known))
    }
}

/// The challenge's claims with the capability among them, as Microsoft's libraries merge them.
fn declared(challenge: Option<&str>) -> String {
    let mut claims: Map<String, Value> = challenge
        .and_then(|challenge| serde_json::from_str(challenge).ok())
        .unwrap_or_default();
    let access = claims.entry("access_token").or_insert(Value::Null);
    if !access.is_object() {
        *access = json!({});
    }
    access["xms_cc"] = json!({"values": ["cp1"]});
    Value::Object(claims).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::ManagedIdentity;

    const NBF: &str = r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}"#;
    const CP1: &str = r#"{"access_token":{"xms_cc":{"values":["cp1"]}}}"#;

    #[test]
    fn a_challenge_and_the_capability_stand_side_by_side() {
        for (challenge, expected) in [
            (None, CP1),
            (Some("{}"), CP1),
            (Some(r#"{"access_token":null}"#), CP1),
            (
                Some(NBF),
                r#"{"access_token":{"nbf":{"essential":true,"value":"1604106651"},"xms_cc":{"values":["cp1"]}}}"#,
            ),
            (
                Some(r#"{"id_token":{"acrs":null},"access_token":{"xms_cc":{"values":["x"]}}}"#),
                r#"{"id_token":{"acrs":null},"access_token":{"xms_cc":{"values":["cp1"]}}}"#,
            ),
        ] {
            assert_eq!(declared(challenge), expected);
        }
    }

    #[test]
    fn declared_for_graph_of_every_cloud_alone() {
        let capability = Capability::of(&Cloud::default());
        for (audience, covered) in [
            ("https://graph.microsoft.com", true),
            ("https://Graph.microsoft.com/", true),
            ("https://graph.microsoft.us", true),
            ("https://dod-graph.microsoft.us", true),
            ("https://api.security.microsoft.com", false),
            ("https://graph.microsoft.com.contoso.example", false),
            ("api://graph.microsoft.com", false),
        ] {
            assert_eq!(
                capability.covers(&audience.parse().unwrap()),
                covered,
                "{audience}"
            );
        }
    }

    #[test]
    fn a_managed_identity_is_asked_nothing() {
        let capability = Capability::of(&Cloud::default());
        let kind = Kind::Managed {
            tenant: "contoso.example".parse().unwrap(),
            managed: ManagedIdentity::SystemAssigned,
        };
        let graph = "https://graph.microsoft.com".parse().unwrap();
        assert_eq!(capability.claims(&kind, &graph, Some(NBF)), None);
        assert_eq!(capability.claims(&kind, &graph, None), None);
    }
}
