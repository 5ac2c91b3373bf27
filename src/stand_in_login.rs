//! The login of `listen.stand_in_login`: satisfies tools that insist on signing in before their first call.
//!
//! It answers token requests like Entra ID and the managed identity of a platform would, for any tenant, client and scope, with a
//! token that opens nothing: the proxy strips it from every request and attaches its own. So what a client sends here
//! is neither checked nor kept nor logged: it may be the secret of another system.

mod metadata;
mod tokens;

use std::time::Duration;

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA},
};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Value, json};

use crate::{body::BoxError, error::Error, guard::Visitor};

/// What a client that signs in asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The endpoints of a tenant (`OpenID` Connect Discovery 1.0 §4).
    Metadata(Endpoint),
    /// Which hosts are one cloud (what MSAL asks of a login host that it doesn't know).
    Instance,
    /// How a user signs in (what MSAL asks before it sends a password).
    Realm,
    /// The keys that sign tokens (RFC 7517 §5).
    Keys,
    /// A token (RFC 6749 §3.2).
    Token(Endpoint),
    /// A token for the managed identity of a virtual machine.
    MachineToken,
    /// A token for the managed identity of an App Service.
    ServiceToken,
}

/// A tenant's endpoints of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    tenant: String,
    version: Version,
}

/// The versions differ in paths, and in whether numbers are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

impl Question {
    /// What a request asks the login for; `None` if it is for an API.
    #[must_use]
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let path = request.uri().path().to_ascii_lowercase();
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let (tenant, _) = segments.split_first()?;
        if tenant.is_empty() || RESERVED.contains(tenant) {
            return None;
        }
        match *request.method() {
            Method::GET => Self::got(&segments),
            Method::POST => Self::posted(&segments),
            _ => None,
        }
    }

    fn got(segments: &[&str]) -> Option<Self> {
        Some(match segments {
            ["metadata", "identity", "oauth2", "token"] => Self::MachineToken,
            ["msi", "token"] => Self::ServiceToken,
            [tenant, ".well-known", "openid-configuration"] => {
                Self::Metadata(Endpoint::new(tenant, Version::V1))
            }
            [tenant, "v2.0", ".well-known", "openid-configuration"] => {
                Self::Metadata(Endpoint::new(tenant, Version::V2))
            }
            [_, "discovery", "instance"] => Self::Instance,
            [_, "discovery", "keys"] | [_, "discovery", "v2.0", "keys"] => Self::Keys,
            [_, "userrealm", _] => Self::Realm,
            _ => return None,
        })
    }

    fn posted(segments: &[&str]) -> Option<Self> {
        match segments {
            [tenant, "oauth2", "token"] => Some(Self::Token(Endpoint::new(tenant, Version::V1))),
            [tenant, "oauth2", "v2.0", "token"] => {
                Some(Self::Token(Endpoint::new(tenant, Version::V2)))
            }
            _ => None,
        }
    }

    /// The answer for a client that the guard let near.
    ///
    /// # Errors
    /// `BadRequest` or `BrokenBody` when the body is too large or ends early.
    pub async fn answer<B, T>(self, visitor: Visitor<B>) -> Result<Response<T>, Error>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>>,
        T: From<Vec<u8>>,
    {
        let (request, origin) = visitor.into_parts();
        let (head, body) = request.into_parts();
        Ok(match self {
            Self::Metadata(endpoint) => ok(&metadata::of_tenant(&origin, &endpoint)),
            Self::Instance => ok(&metadata::of_instance(&origin)),
            Self::Realm => ok(&metadata::realm(&origin)),
            Self::Keys => ok(&json!({"keys": []})),
            Self::Token(endpoint) => {
                let form = read(body).await?;
                ok(&tokens::of_tenant(&origin, &endpoint, &form))
            }
            Self::MachineToken if !head.headers.contains_key("metadata") => {
                refused(&json!({"error": "invalid_request",
                    "error_description": "Required metadata header not specified"}))
            }
            Self::MachineToken => ok(&tokens::of_machine(&origin, head.uri.query())),
            Self::ServiceToken if !head.headers.contains_key("x-identity-header") => {
                refused(&json!({"statusCode": 400, "message": "X-IDENTITY-HEADER is missing"}))
            }
            Self::ServiceToken => ok(&tokens::of_service(&origin, head.uri.query())),
        })
    }
}

impl Endpoint {
    fn new(tenant: &str, version: Version) -> Self {
        Self {
            tenant: tenant.to_owned(),
            version,
        }
    }

    fn issuer(&self, origin: &str) -> String {
        match self.version {
            Version::V1 => format!("{origin}/{}/", self.tenant),
            Version::V2 => format!("{origin}/{}/v2.0", self.tenant),
        }
    }
}

async fn read<B>(body: B) -> Result<Bytes, Error>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let whole = Limited::new(body, LARGEST).collect();
    let Ok(read) = tokio::time::timeout(PATIENCE, whole).await else {
        return Err(Error::BadRequest("a token request takes too long"));
    };
    match read {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Error::BadRequest(
            "a token request of more than 64 KiB is refused",
        )),
        Err(error) => Err(Error::BrokenBody(error)),
    }
}

fn ok<T: From<Vec<u8>>>(answer: &Value) -> Response<T> {
    let mut response = Response::new(T::from(answer.to_string().into_bytes()));
    for (name, value) in [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (PRAGMA, "no-cache"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    // No error, but the proxy's own as well (RFC 9209 §2): nobody shall take it for Entra ID's.
    let own = HeaderValue::from_static("defender-proxy; details=\"stand-in login\"");
    response.headers_mut().insert("proxy-status", own);
    response
}

fn refused<T: From<Vec<u8>>>(answer: &Value) -> Response<T> {
    let mut response = ok(answer);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// The first segments of paths that belong to APIs and customers, and so are no tenant's.
const RESERVED: [&str; 4] = ["api", "beta", "t", "v1.0"];
/// The largest token request that is read, in bytes. One with an assertion is a few KiB.
const LARGEST: usize = 64 * 1024;
/// How long a client may take to send it.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn question(method: Method, path: &str) -> Option<Question> {
        let request = Request::builder().method(method).uri(path);
        Question::of(&request.body(()).unwrap())
    }

    #[test]
    fn token_paths_of_any_tenant() {
        let endpoint = |tenant, version| Some(Question::Token(Endpoint::new(tenant, version)));
        for (path, expected) in [
            (
                "/contoso.example/oauth2/v2.0/token",
                endpoint("contoso.example", Version::V2),
            ),
            (
                "/Common/OAuth2/Token?api-version=1.0",
                endpoint("common", Version::V1),
            ),
            ("/t/oauth2/token", None),
            ("/t/contoso/oauth2/v2.0/token", None),
            ("/api/oauth2/token", None),
            ("//oauth2/token", None),
            ("/oauth2/token", None),
            ("/contoso.example/oauth2/v2.0/token/", None),
            ("/contoso.example/oauth2/v2.0/authorize", None),
            ("/api/machines", None),
            ("/", None),
        ] {
            assert_eq!(question(Method::POST, path), expected, "{path}");
            assert_eq!(question(Method::PUT, path), None, "{path}");
        }
        assert_eq!(question(Method::GET, "/common/oauth2/token"), None);
    }

    #[test]
    fn what_libraries_ask_first() {
        for (path, expected) in [
            ("/common/discovery/instance", Some(Question::Instance)),
            (
                "/common/UserRealm/alice@contoso.example",
                Some(Question::Realm),
            ),
            ("/contoso.example/discovery/v2.0/keys", Some(Question::Keys)),
            (
                "/metadata/identity/oauth2/token",
                Some(Question::MachineToken),
            ),
            ("/msi/token", Some(Question::ServiceToken)),
            ("/v1.0/security/alerts", None),
            ("/api/discovery/keys", None),
        ] {
            assert_eq!(question(Method::GET, path), expected, "{path}");
            assert_eq!(question(Method::POST, path), None, "{path}");
        }
    }
}
