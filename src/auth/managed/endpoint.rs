//! Which platform this is, and how its tokens are asked for (Entra ID, "How managed identities for Azure resources work").

use std::path::{Path, PathBuf};

use http::{HeaderValue, Request, request};
use url::Url;

use super::PlatformError;
use crate::auth::identity::{Audience, ManagedIdentity};

/// The token endpoint of the platform that the proxy runs on.
#[derive(Clone, Debug)]
pub enum Endpoint {
    /// App Service, Functions, Container Apps.
    AppService {
        /// `IDENTITY_ENDPOINT`.
        url: Url,
        /// `IDENTITY_HEADER`, which shows that we run inside.
        header: HeaderValue,
    },
    /// A machine connected by Azure Arc.
    Arc {
        /// The agent's endpoint.
        url: Url,
        /// The folder that its key files must lie in.
        keys: PathBuf,
    },
    /// The instance metadata service of a virtual machine, or what stands in for it in a cluster.
    Imds {
        /// The endpoint.
        url: Url,
    },
    /// There is none that can be used.
    Unusable(PlatformError),
}

impl Endpoint {
    /// Finds the platform by its variables, in the order that Microsoft's own libraries have.
    #[must_use]
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let get = |name: &str| env(name).filter(|value| !value.is_empty());
        let identity = get("IDENTITY_ENDPOINT");
        match (identity, get("IDENTITY_HEADER")) {
            (Some(_), Some(_)) if get("IDENTITY_SERVER_THUMBPRINT").is_some() => {
                Self::Unusable(PlatformError::Unsupported("Service Fabric"))
            }
            (Some(url), Some(header)) => Self::app_service(&url, &header),
            _ if get("MSI_ENDPOINT").is_some() && get("MSI_SECRET").is_some() => {
                Self::Unusable(PlatformError::Unsupported("Azure Machine Learning"))
            }
            _ if get("MSI_ENDPOINT").is_some() => {
                Self::Unusable(PlatformError::Unsupported("Cloud Shell"))
            }
            (Some(url), None) if get("IMDS_ENDPOINT").is_some() => Self::arc(&url, arc_keys(&env)),
            _ if Path::new(ARC_AGENT).exists() => Self::arc(ARC_URL, arc_keys(&env)),
            _ => Self::imds(get(IMDS_HOST).as_deref()),
        }
    }

    fn app_service(url: &str, header: &str) -> Self {
        let Some(url) = parse(url) else {
            return Self::Unusable(PlatformError::Variable("IDENTITY_ENDPOINT"));
        };
        let Ok(mut header) = HeaderValue::from_str(header) else {
            return Self::Unusable(PlatformError::Header);
        };
        header.set_sensitive(true);
        Self::AppService { url, header }
    }

    /// Azure Arc's agent at `url`, whose key files lie in `keys`.
    #[must_use]
    pub fn arc(url: &str, keys: PathBuf) -> Self {
        match parse(url) {
            Some(url) => Self::Arc { url, keys },
            None => Self::Unusable(PlatformError::Variable("IDENTITY_ENDPOINT")),
        }
    }

    fn imds(host: Option<&str>) -> Self {
        let host = host.unwrap_or("http://169.254.169.254");
        let url = format!(
            "{}/metadata/identity/oauth2/token",
            host.trim_end_matches('/')
        );
        match parse(&url) {
            Some(url) => Self::Imds { url },
            None => Self::Unusable(PlatformError::Variable(IMDS_HOST)),
        }
    }

    /// The platform, in words.
    #[must_use]
    pub fn platform(&self) -> &'static str {
        match self {
            Self::AppService { .. } => "App Service (IDENTITY_ENDPOINT)",
            Self::Arc { .. } => "Azure Arc",
            Self::Imds { .. } => "the instance metadata service (IMDS)",
            Self::Unusable(_) => "this platform",
        }
    }

    /// One token request, without a body.
    pub(super) fn request(
        &self,
        managed: &ManagedIdentity,
        audience: &Audience,
    ) -> Result<request::Builder, PlatformError> {
        let (url, version, names) = match self {
            Self::AppService { url, .. } => (url, "2019-08-01", APP_SERVICE_NAMES),
            Self::Arc { .. } if *managed != ManagedIdentity::SystemAssigned => {
                return Err(PlatformError::UserAssigned);
            }
            Self::Arc { url, .. } => (url, "2020-06-01", IMDS_NAMES),
            Self::Imds { url } => (url, "2018-02-01", IMDS_NAMES),
            Self::Unusable(error) => return Err(error.clone()),
        };
        let mut url = url.clone();
        url.query_pairs_mut()
            .append_pair("api-version", version)
            // The identifier alone: `/.default` belongs to scopes.
            .append_pair("resource", audience.as_str())
            .extend_pairs(selector(managed, names));
        let request = Request::get(url.as_str());
        Ok(match self {
            Self::AppService { header, .. } => request.header("x-identity-header", header.clone()),
            Self::Arc { .. } | Self::Imds { .. } | Self::Unusable(_) => {
                request.header("metadata", "true")
            }
        })
    }
}

/// The parameter that names a user-assigned identity.
fn selector<'m>(
    managed: &'m ManagedIdentity,
    names: [&'static str; 3],
) -> Option<(&'static str, &'m str)> {
    let [client, object, resource] = names;
    match managed {
        ManagedIdentity::SystemAssigned => None,
        ManagedIdentity::ClientId(id) => Some((client, id.as_str())),
        ManagedIdentity::ObjectId(id) => Some((object, id)),
        ManagedIdentity::ResourceId(id) => Some((resource, id)),
    }
}

fn parse(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty();
    (plain && url.fragment().is_none()).then_some(url)
}

#[cfg(not(windows))]
fn arc_keys(_env: impl Fn(&str) -> Option<String>) -> PathBuf {
    PathBuf::from("/var/opt/azcmagent/tokens")
}

#[cfg(windows)]
fn arc_keys(env: impl Fn(&str) -> Option<String>) -> PathBuf {
    let data = env("ProgramData").unwrap_or_else(|| r"C:\ProgramData".to_owned());
    Path::new(&data)
        .join("AzureConnectedMachineAgent")
        .join("Tokens")
}

const APP_SERVICE_NAMES: [&str; 3] = ["client_id", "principal_id", "mi_res_id"];
const IMDS_NAMES: [&str; 3] = ["client_id", "object_id", "msi_res_id"];
/// Where azure-identity, too, is told of a stand-in for the metadata service.
const IMDS_HOST: &str = "AZURE_POD_IDENTITY_AUTHORITY_HOST";
const ARC_AGENT: &str = "/var/opt/azcmagent/bin/himds";
const ARC_URL: &str = "http://localhost:40342/metadata/identity/oauth2/token";

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(variables: &[(&str, &str)]) -> Endpoint {
        Endpoint::detect(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn uri(endpoint: &Endpoint, managed: &ManagedIdentity) -> String {
        let audience = "https://graph.microsoft.com".parse().unwrap();
        let request = endpoint.request(managed, &audience).unwrap();
        request.uri_ref().unwrap().to_string()
    }

    #[test]
    fn platforms_are_found_by_their_variables() {
        let here = ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token");
        let header = ("IDENTITY_HEADER", "S3cret");
        for (variables, found) in [
            (&[here, header][..], "App Service (IDENTITY_ENDPOINT)"),
            (
                &[here, ("IMDS_ENDPOINT", "http://127.0.0.1:1")],
                "Azure Arc",
            ),
            (&[], "the instance metadata service (IMDS)"),
            (&[header], "the instance metadata service (IMDS)"),
            (
                &[here, header, ("IDENTITY_SERVER_THUMBPRINT", "0")],
                "Service Fabric",
            ),
            (
                &[("MSI_ENDPOINT", "http://127.0.0.1:1"), ("MSI_SECRET", "s")],
                "Machine Learning",
            ),
            (&[("MSI_ENDPOINT", "http://127.0.0.1:1")], "Cloud Shell"),
            (
                &[("IDENTITY_ENDPOINT", "file:///x"), header],
                "Variable(\"IDENTITY_ENDPOINT\")",
            ),
            (&[(IMDS_HOST, "127.0.0.1")], "Variable(\"AZURE_POD"),
        ] {
            let endpoint = detect(variables);
            let text = format!("{} {endpoint:?}", endpoint.platform());
            assert!(text.contains(found), "{found}: {text}");
            assert!(!text.contains("S3cret"), "{text}");
        }
    }

    #[test]
    fn the_resource_is_no_scope_and_each_platform_has_its_own_parameters() {
        let imds = detect(&[(IMDS_HOST, "http://127.0.0.1:1/")]);
        assert_eq!(
            uri(&imds, &ManagedIdentity::SystemAssigned),
            "http://127.0.0.1:1/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fgraph.microsoft.com"
        );
        let app_service = detect(&[
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
            ("IDENTITY_HEADER", "h"),
        ]);
        let guid = "5a9db0c5-0000-4000-8000-0000000000dd";
        for (managed, of_imds, of_app_service) in [
            (
                ManagedIdentity::ClientId(guid.parse().unwrap()),
                "client_id",
                "client_id",
            ),
            (
                ManagedIdentity::ObjectId(guid.to_owned()),
                "object_id",
                "principal_id",
            ),
            (
                ManagedIdentity::ResourceId(guid.to_owned()),
                "msi_res_id",
                "mi_res_id",
            ),
        ] {
            assert!(uri(&imds, &managed).ends_with(&format!("&{of_imds}={guid}")));
            let uri = uri(&app_service, &managed);
            assert!(uri.ends_with(&format!("&{of_app_service}={guid}")), "{uri}");
            assert!(uri.contains("api-version=2019-08-01"), "{uri}");
        }
    }

    #[test]
    fn arc_has_the_machines_own_identity_alone() {
        let arc = Endpoint::arc(ARC_URL, PathBuf::new());
        assert!(uri(&arc, &ManagedIdentity::SystemAssigned).contains("api-version=2020-06-01"));
        let other = ManagedIdentity::ObjectId("x".to_owned());
        let audience = "https://graph.microsoft.com".parse().unwrap();
        assert!(arc.request(&other, &audience).is_err());
    }
}
