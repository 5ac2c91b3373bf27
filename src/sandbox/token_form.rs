//! Token requests as they come: the path, the form, the credentials.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use url::form_urlencoded;

use super::aadsts::MISSING_FIELD;
use super::counters::{Arrival, TokenRequest};
use super::entra_errors::EntraError;

/// An endpoint of a tenant that takes forms.
pub(crate) struct Endpoint {
    /// As it is named in the path, in lower case.
    pub(crate) tenant: String,
    pub(crate) version: Version,
    pub(crate) purpose: Purpose,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Token,
    DeviceCode,
}

impl Endpoint {
    pub(crate) fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        let (tenant, version, last) = match segments.as_slice() {
            [tenant, "oauth2", "v2.0", last] => (tenant, Version::V2, last),
            [tenant, "oauth2", last] => (tenant, Version::V1, last),
            _ => return None,
        };
        let purpose = match *last {
            "token" => Purpose::Token,
            "devicecode" => Purpose::DeviceCode,
            _ => return None,
        };
        Some(Self {
            tenant: tenant.to_ascii_lowercase(),
            version,
            purpose,
        })
    }
}

impl Endpoint {
    /// The addresses under which it may be meant: with the tenant as it was named, or its id.
    pub(crate) fn addresses(&self, origin: &str, tenant: &str) -> Vec<String> {
        let version = match self.version {
            Version::V1 => "",
            Version::V2 => "/v2.0",
        };
        [self.tenant.as_str(), tenant]
            .map(|tenant| format!("{origin}/{tenant}/oauth2{version}/token"))
            .to_vec()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// A token request: the form, and the client's credentials wherever they stand.
pub(crate) struct Form {
    fields: Vec<(String, String)>,
    pub(crate) client_id: Option<String>,
    pub(crate) secret: Option<String>,
}

impl Form {
    /// Anything but a form has no fields, as for Entra.
    pub(crate) fn parse(headers: &HeaderMap, body: &[u8]) -> Self {
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| {
                kind.to_ascii_lowercase()
                    .starts_with("application/x-www-form-urlencoded")
            });
        let fields = if is_form {
            form_urlencoded::parse(body).into_owned().collect()
        } else {
            Vec::new()
        };
        let mut form = Self::of(fields);
        let basic = headers.get(AUTHORIZATION).and_then(basic);
        let (id, secret) = basic.map_or((None, None), |(id, secret)| (Some(id), Some(secret)));
        form.client_id = form.client_id.or(id);
        form.secret = form.secret.or(secret);
        form
    }

    /// Parameters that stand in the address.
    pub(crate) fn of_query(query: &str) -> Self {
        Self::of(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    fn of(fields: Vec<(String, String)>) -> Self {
        let mut form = Self {
            fields,
            client_id: None,
            secret: None,
        };
        form.client_id = form.get("client_id").map(str::to_owned);
        form.secret = form.get("client_secret").map(str::to_owned);
        form
    }

    /// The code that a device polls with; v1 calls it `code`.
    pub(crate) fn device_code(&self) -> Option<&str> {
        match self.get("grant_type") {
            Some(DEVICE_CODE | DEVICE_CODE_V1) => {
                self.get("device_code").or_else(|| self.get("code"))
            }
            Some(_) | None => None,
        }
    }

    /// A field that is there and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, value)| field == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, EntraError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// What is counted of it.
    pub(crate) fn arrival(&self, endpoint: &Endpoint) -> Arrival {
        Arrival {
            request: self.key(endpoint),
            grant: self.get("grant_type").and_then(known_grant),
            claims: self.get("claims").map(str::to_owned),
        }
    }

    fn key(&self, endpoint: &Endpoint) -> TokenRequest {
        let scope = match endpoint.version {
            Version::V2 => self.get("scope"),
            Version::V1 => self.get("resource"),
        };
        TokenRequest {
            tenant: endpoint.tenant.clone(),
            client_id: self.client_id.clone().unwrap_or_default(),
            scope: scope.unwrap_or_default().to_owned(),
        }
    }
}

/// The grant types there are.
const GRANTS: &[&str] = &[
    CLIENT_CREDENTIALS,
    "authorization_code",
    "refresh_token",
    "password",
    DEVICE_CODE,
    DEVICE_CODE_V1,
];

/// This grant type, if there is such.
pub(crate) fn known_grant(name: &str) -> Option<&'static str> {
    GRANTS.iter().copied().find(|known| *known == name)
}

pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Its name at v1, which v2 takes too.
pub(crate) const DEVICE_CODE_V1: &str = "device_code";
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

pub(crate) fn missing(name: &str) -> EntraError {
    let text = format!("The request body must contain the following parameter: '{name}'.");
    EntraError::saying(&MISSING_FIELD, text)
}

/// Id and secret of HTTP Basic, each form-encoded (RFC 6749 section 2.3.1).
fn basic(value: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let decode = |text: &str| {
        // The two characters that would end a field may come unencoded.
        let field = text.replace('&', "%26").replace('=', "%3D");
        form_urlencoded::parse(field.as_bytes())
            .next()
            .map(|(text, _)| text.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_form_decoded() {
        for (plain, id, secret) in [
            ("id:secret", "id", "secret"),
            ("id:a%2Bb+c", "id", "a+b c"),
            ("id:a=b&c:d", "id", "a=b&c:d"),
        ] {
            let value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(plain))).unwrap();
            assert_eq!(
                basic(&value),
                Some((id.to_owned(), secret.to_owned())),
                "{plain}"
            );
        }
        assert_eq!(basic(&HeaderValue::from_static("Bearer x")), None);
    }

    #[test]
    fn endpoints_are_known_by_their_path() {
        assert!(
            Endpoint::of("/t/oauth2/v2.0/token")
                .is_some_and(|endpoint| endpoint.version == Version::V2)
        );
        assert!(Endpoint::of("/T/oauth2/token").is_some_and(|endpoint| endpoint.tenant == "t"));
        assert!(Endpoint::of("/t/oauth2/v2.0/authorize").is_none());
    }
}
