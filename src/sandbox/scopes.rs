//! What a user's token is asked for: delegated permissions of one resource, and what `OpenID` Connect adds.
//!
//! Entra ID, "Scopes and permissions in the Microsoft identity platform".

use crate::cloud::Family;

use super::aadsts::BAD_SCOPE;
use super::entra_errors::EntraError;
use super::family;
use super::issue::unknown_resource;
use super::roles;
use super::token_form::{Form, Version};
use super::user_errors::SEVERAL_RESOURCES;

/// A `scope` that can be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) family: Family,
    /// As the client named it.
    pub(crate) resource: String,
    /// Names without the resource; empty for `.default`.
    permissions: Vec<String>,
    /// An id token is wanted.
    pub(crate) openid: bool,
    /// A refresh token is wanted.
    pub(crate) offline: bool,
}

/// What to do about several resources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Several {
    Refused,
    /// The first one counts, as when a refresh token is redeemed.
    First,
}

impl Scope {
    pub(crate) fn parse(text: &str, several: Several) -> Result<Self, EntraError> {
        let (protocol, named): (Vec<&str>, Vec<&str>) = text
            .split_ascii_whitespace()
            .partition(|word| PROTOCOL.contains(word));
        let mut named: Vec<(&str, &str)> = named.into_iter().map(split).collect();
        let resource = named.first().map_or(GRAPH, |(resource, _)| resource);
        let family = family::of_resource(resource).ok_or_else(|| unknown_resource(resource))?;
        if several == Several::Refused && named.iter().any(|(other, _)| *other != resource) {
            return Err(EntraError::usual(&SEVERAL_RESOURCES));
        }
        named.retain(|(other, _)| *other == resource);
        Ok(Self {
            family,
            resource: resource.to_owned(),
            permissions: permissions(family, &named)?,
            openid: protocol.contains(&"openid"),
            offline: protocol.contains(&"offline_access"),
        })
    }

    /// What of it a user gets who has `allowed` (`None`: everything).
    pub(crate) fn granted(&self, allowed: Option<&[String]>) -> Vec<String> {
        let asked = if self.permissions.is_empty() {
            roles::permissions(self.family)
        } else {
            self.permissions.clone()
        };
        match allowed {
            Some(allowed) if self.permissions.is_empty() => allowed.to_vec(),
            Some(allowed) => {
                let allows = |name: &String| allowed.contains(name);
                asked.into_iter().filter(allows).collect()
            }
            None => asked,
        }
    }

    /// The `scope` of the answer.
    pub(crate) fn answer(&self, granted: &[String]) -> String {
        let mut names: Vec<String> = granted
            .iter()
            .map(|name| format!("{}/{name}", self.resource))
            .collect();
        if self.permissions.is_empty() {
            names.push(format!("{}/.default", self.resource));
        }
        names.join(" ")
    }
}

/// The scope that a request names; v1 names a resource instead, and has the rest without asking.
pub(crate) fn asked(version: Version, form: &Form) -> Option<String> {
    match version {
        Version::V2 => form.get("scope").map(str::to_owned),
        Version::V1 => form
            .get("resource")
            .map(|resource| format!("openid offline_access {resource}/.default")),
    }
}

fn split(word: &str) -> (&str, &str) {
    word.rsplit_once('/').unwrap_or((GRAPH, word))
}

fn permissions(family: Family, named: &[(&str, &str)]) -> Result<Vec<String>, EntraError> {
    let default = named.iter().any(|(_, name)| *name == DEFAULT);
    match named {
        [] => Ok(vec!["User.Read".to_owned()]),
        [_] if default => Ok(Vec::new()),
        _ if default => Err(invalid(
            ".default can't be combined with other permissions.",
        )),
        _ => named
            .iter()
            .map(|(_, name)| permission(family, name))
            .collect(),
    }
}

fn permission(family: Family, name: &str) -> Result<String, EntraError> {
    if family == Family::Graph && name == "User.Read" {
        return Ok(name.to_owned());
    }
    roles::permissions(family)
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .ok_or_else(|| invalid(&format!("The resource has no permission '{name}'.")))
}

fn invalid(why: &str) -> EntraError {
    let text = format!("The provided value for the input parameter 'scope' is not valid. {why}");
    EntraError::saying(&BAD_SCOPE, text)
}

/// Names without a resource are of Graph.
const GRAPH: &str = "https://graph.microsoft.com";
const DEFAULT: &str = ".default";
const PROTOCOL: &[&str] = &["openid", "profile", "email", "offline_access"];

#[cfg(test)]
mod tests {
    use super::*;

    const XDR: &str = "https://api.security.microsoft.com";

    #[test]
    fn a_scope_names_permissions_of_one_resource() {
        let text = format!("openid offline_access {XDR}/Incident.Read {XDR}/AdvancedHunting.Read");
        let scope = Scope::parse(&text, Several::Refused).ok().unwrap();
        assert!(scope.openid && scope.offline);
        let granted = scope.granted(None);
        assert_eq!(granted, ["Incident.Read", "AdvancedHunting.Read"]);
        assert_eq!(
            scope.answer(&granted),
            format!("{XDR}/Incident.Read {XDR}/AdvancedHunting.Read")
        );
        let fewer = ["Incident.Read".to_owned()];
        assert_eq!(scope.granted(Some(&fewer)), fewer);
    }

    #[test]
    fn default_is_everything_and_stands_alone() {
        let scope = Scope::parse(&format!("{XDR}//.default"), Several::Refused)
            .ok()
            .unwrap();
        assert_eq!(scope.resource, format!("{XDR}/"));
        assert!(
            scope
                .granted(None)
                .contains(&"Incident.ReadWrite".to_owned())
        );
        let mixed = format!("{XDR}/.default {XDR}/Incident.Read");
        let error = Scope::parse(&mixed, Several::Refused).err().unwrap();
        assert_eq!(error.row.code, 70011);
        let scope = Scope::parse("openid", Several::Refused).ok().unwrap();
        assert_eq!(
            (scope.family, scope.granted(None)),
            (Family::Graph, vec!["User.Read".to_owned()])
        );
    }

    #[test]
    fn of_several_resources_the_first_counts_or_none() {
        let text = format!("{XDR}/.default SecurityIncident.Read.All");
        let scope = Scope::parse(&text, Several::First).ok().unwrap();
        assert_eq!(scope.family, Family::Xdr);
        let error = Scope::parse(&text, Several::Refused).err().unwrap();
        assert_eq!(error.row.code, 28000);
        for (unknown, code) in [
            ("https://vault.example/.default", 500_011),
            ("Vault.Read", 70011),
        ] {
            let error = Scope::parse(unknown, Several::First).err().unwrap();
            assert_eq!(error.row.code, code);
        }
    }
}
