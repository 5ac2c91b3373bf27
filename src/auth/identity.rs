//! Who the proxy signs in as: tenant, application and credential, and what a token is for.
//!
//! Getting a token is not here; these are the names and checked texts it is asked for with.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;
use uuid::Uuid;

use crate::auth::secret::SecretSource;
use crate::origin::{Origin, is_dns_name};

/// Someone the proxy can sign in as, under the name the configuration gives it.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The name of its `[identity.…]` table; letters, digits, `-` and `_`.
    pub name: Arc<str>,
    /// How it signs in.
    pub kind: Kind,
}

impl Identity {
    /// The application that upstream sees: its id, or the identity's own name where only the platform knows the id.
    #[must_use]
    pub fn application(&self) -> &str {
        match &self.kind {
            Kind::Application { client_id, .. }
            | Kind::User(User { client_id, .. })
            | Kind::Partner(Partner { client_id, .. })
            | Kind::Managed {
                managed: ManagedIdentity::ClientId(client_id),
                ..
            } => client_id.as_str(),
            Kind::Managed { .. } => &self.name,
        }
    }
}

/// The ways to sign in.
#[derive(Clone, Debug)]
pub enum Kind {
    /// An application in its own tenant, by the client credentials grant (RFC 6749 §4.4).
    Application {
        /// The tenant asked for a token.
        tenant: TenantId,
        /// The application that asks.
        client_id: ClientId,
        /// How it proves to be that application.
        credential: Credential,
    },
    /// An application whose tokens come from the platform it runs on, not from Entra ID's token endpoint.
    Managed {
        /// The tenant it is in, as the configuration says; only a name, as the platform knows by itself.
        tenant: TenantId,
        /// Which of the machine's identities.
        managed: ManagedIdentity,
    },
    /// One signed-in user.
    User(User),
    /// One multi-tenant application, with a token for each customer's tenant.
    Partner(Partner),
}

impl Kind {
    /// The tenant whose tokens it gets; none for a partner, which has one for each customer.
    #[must_use]
    pub fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Application { tenant, .. } | Self::Managed { tenant, .. } => Some(tenant),
            Self::User(user) => Some(&user.tenant),
            Self::Partner(_) => None,
        }
    }

    /// The tenants whose tokens it gets: its own, or those of a partner's customers in their order. Never empty.
    #[must_use]
    pub fn tenants(&self) -> Vec<&TenantId> {
        match self {
            Self::Application { tenant, .. } | Self::Managed { tenant, .. } => vec![tenant],
            Self::User(user) => vec![&user.tenant],
            Self::Partner(partner) => {
                let customers = partner.customers.iter();
                customers.map(|(_, tenant)| tenant).collect()
            }
        }
    }
}

/// How an application proves who it is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A client secret.
    Secret(SecretSource),
    /// A certificate whose private key signs an assertion (RFC 7523).
    Certificate(Certificate),
    /// A file with an assertion that another issuer signed (workload identity federation). Read at every token request.
    FederatedTokenFile(PathBuf),
    /// A managed identity, whose own token is the assertion.
    ManagedIdentity(ManagedIdentity),
}

/// Where a certificate is kept, and how it signs.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// PEM with certificate and key, or PKCS#12.
    pub file: PathBuf,
    /// What the key or the PKCS#12 file is encrypted with.
    pub password: Option<SecretSource>,
    /// How assertions are signed.
    pub algorithm: AssertionAlgorithm,
}

/// The two forms of assertion that Entra ID takes ("Certificate credentials").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AssertionAlgorithm {
    /// PS256, the certificate named by its SHA-256 (`x5t#S256`).
    #[default]
    Ps256,
    /// RS256, the certificate named by its SHA-1 (`x5t`), as older libraries do.
    Rs256,
}

/// Which of a machine's managed identities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ManagedIdentity {
    /// The one that belongs to the machine itself.
    #[default]
    SystemAssigned,
    /// A user-assigned one, by its client id.
    ClientId(ClientId),
    /// A user-assigned one, by its object (principal) id.
    ObjectId(String),
    /// A user-assigned one, by its Azure resource id.
    ResourceId(String),
}

/// A user, how they sign in, and where the sign-in is kept.
#[derive(Clone, Debug)]
pub struct User {
    /// The tenant they sign in to.
    pub tenant: TenantId,
    /// The public client (native app) they sign in with. It has no secret.
    pub client_id: ClientId,
    /// How they sign in.
    pub sign_in: SignIn,
    /// Where the refresh token is kept.
    pub store: StoreConfig,
}

/// How a user signs in.
#[derive(Clone, Debug)]
pub enum SignIn {
    /// In a browser on this machine: authorization code with PKCE (RFC 8252).
    Browser,
    /// In a browser anywhere, with a code to type in (RFC 8628).
    Device,
    /// With the password itself (RFC 6749 §4.3). No second factor is possible.
    Password {
        /// The user's sign-in name.
        username: String,
        /// Where the password is.
        password: SecretSource,
    },
}

/// Where a sign-in is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// The operating system's keyring.
    Keyring,
    /// An encrypted file.
    File {
        /// The file; `None` for one named after the identity in the user's state directory.
        path: Option<PathBuf>,
        /// Where the key it is encrypted with is.
        key: SecretSource,
    },
    /// Nowhere but in the running proxy.
    Memory,
}

/// A multi-tenant application and the customers it may act for.
#[derive(Clone, Debug)]
pub struct Partner {
    /// The application.
    pub client_id: ClientId,
    /// How it proves to be that application.
    pub credential: Credential,
    /// The customers.
    pub customers: Customers,
    /// Where an administrator's browser goes after consenting.
    pub consent_redirect: String,
}

/// The customers of a partner: their names and tenants, in the order of the file. Never empty.
#[derive(Clone, Debug)]
pub struct Customers {
    list: Vec<(Arc<str>, TenantId)>,
    /// Where in the list a customer stands, by name in lower case and by tenant.
    places: HashMap<Box<str>, usize>,
}

impl Customers {
    /// The list; `None` if it is empty, or if a name or a tenant is in it twice.
    #[must_use]
    pub fn new(list: Vec<(Arc<str>, TenantId)>) -> Option<Self> {
        let mut places = HashMap::with_capacity(2 * list.len());
        for (place, (name, tenant)) in list.iter().enumerate() {
            places.insert(name.to_ascii_lowercase().into(), place);
            places.insert(tenant.as_str().into(), place);
        }
        let unique = places.len() == 2 * list.len();
        (unique && !list.is_empty()).then_some(Self { list, places })
    }

    /// All of them.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &TenantId)> {
        self.list.iter().map(|(name, tenant)| (name, tenant))
    }

    /// The place in the list of the customer with this name or tenant, in any case.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.places.get(&*name.to_ascii_lowercase()).copied();
        }
        self.places.get(name).copied()
    }

    /// Name and tenant of the customer at a place that [`find`](Self::find) told.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<(&Arc<str>, &TenantId)> {
        self.list.get(place).map(|(name, tenant)| (name, tenant))
    }

    /// Every text that [`find`](Self::find) knows, in lower case.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(AsRef::as_ref)
    }
}

/// Defines a checked text that is cheap to clone; what may be in it is its `FromStr`.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

checked_text! {
    /// An Entra tenant: its id (a GUID) or one of its DNS domain names, in lower case.
    TenantId
}

impl TenantId {
    /// The tenant of a managed identity, which only the platform knows. A name for people; no request can be made with it.
    pub(crate) fn of_platform() -> Self {
        Self("(the platform's)".into())
    }
}

impl FromStr for TenantId {
    type Err = TenantIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        match text.as_str() {
            "common" => Err(TenantIdError::Alias("common")),
            "organizations" => Err(TenantIdError::Alias("organizations")),
            "consumers" => Err(TenantIdError::Alias("consumers")),
            _ if is_guid(&text) => Ok(Self(text.into())),
            _ if text.contains('.') && is_dns_name(&text) => Ok(Self(text.into())),
            _ => Err(TenantIdError::Malformed),
        }
    }
}

/// Why a text is no [`TenantId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TenantIdError {
    /// A sign-in alias, which stands for no tenant in particular.
    #[error(
        "`{0}` names no tenant, and a token for an application exists only in one: write the \
         tenant's id or domain name"
    )]
    Alias(&'static str),
    /// Neither a GUID nor a domain name.
    #[error(
        "must be the tenant's id, like 00000000-0000-0000-0000-000000000000, or one of its domain \
         names, like contoso.example"
    )]
    Malformed,
}

checked_text! {
    /// The application (client) id: a GUID in lower case.
    ClientId
}

impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !is_guid(text) {
            return Err(ClientIdError);
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

/// The text is no [`ClientId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "must be the application (client) id of the app registration, like \
     11111111-1111-1111-1111-111111111111"
)]
pub struct ClientIdError;

checked_text! {
    /// What a token is for: the identifier of an API, without the `/.default` of a scope.
    ///
    /// Kept as written, because Entra compares identifiers by character.
    Audience
}

impl Audience {
    /// The audience of an API that is known by its own origin.
    pub(crate) fn of_origin(origin: &Origin) -> Self {
        Self(origin.to_string().into())
    }

    /// The scope that asks for every permission the application was granted.
    ///
    /// An identifier that ends in `/` rightly gets two slashes: Entra takes off `/.default` only.
    #[must_use]
    pub fn scope(&self) -> String {
        format!("{}/.default", self.0)
    }
}

impl FromStr for Audience {
    type Err = AudienceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.ends_with("/.default") {
            return Err(AudienceError::Scope);
        }
        let rest = ["https://", "api://", "urn:"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(AudienceError::Scheme)?;
        let plain = |b: u8| b.is_ascii_graphic() && !br#""<>\^`{|}?#@"#.contains(&b);
        if !rest.bytes().all(plain) || !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(AudienceError::Malformed);
        }
        Ok(Self(text.into()))
    }
}

/// Why a text is no [`Audience`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AudienceError {
    /// It is a scope: it ends in `/.default`.
    #[error("must not end in /.default, which the proxy adds itself: remove it")]
    Scope,
    /// It begins like no identifier of an API.
    #[error(
        "must be the identifier of the API, like https://api.securitycenter.microsoft.com \
         (https://, api:// or urn:)"
    )]
    Scheme,
    /// It holds a character that no identifier has, or nothing at all.
    #[error("must be the identifier of the API, without spaces, query, fragment or user name")]
    Malformed,
}

/// Whether a text is a GUID in its one registry form, `8-4-4-4-12`.
pub(crate) fn is_guid(text: &str) -> bool {
    // The length rules out the braced, URN and simple forms, which Entra does not take.
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &str = "ABCDEF00-0000-0000-0000-000000000001";

    #[test]
    fn tenants() {
        let ok = [
            (GUID, GUID.to_lowercase()),
            ("Contoso.Example", "contoso.example".to_owned()),
        ];
        for (text, kept) in ok {
            assert_eq!(text.parse::<TenantId>().expect(text).as_str(), kept);
        }
        for alias in ["common", "Organizations", "consumers"] {
            let error = alias.parse::<TenantId>().expect_err(alias);
            assert!(matches!(error, TenantIdError::Alias(_)), "{alias}");
            assert!(error.to_string().contains(&alias.to_lowercase()));
        }
        for text in [
            "",
            "contoso",
            "contoso.example/",
            "a b.example",
            "../common",
            "{…}",
        ] {
            assert_eq!(
                text.parse::<TenantId>(),
                Err(TenantIdError::Malformed),
                "{text}"
            );
        }
    }

    #[test]
    fn client_ids() {
        assert_eq!(
            GUID.parse::<ClientId>().expect(GUID).as_str(),
            GUID.to_lowercase()
        );
        let braced = format!("{{{GUID}}}");
        let simple = GUID.replace('-', "");
        for text in ["", "contoso.example", &braced, &simple] {
            assert_eq!(text.parse::<ClientId>(), Err(ClientIdError), "{text}");
        }
    }

    #[test]
    fn audiences_and_their_scopes() {
        let table = [
            (
                "https://graph.microsoft.com",
                "https://graph.microsoft.com/.default",
            ),
            (
                "https://security.microsoft.com/mtp/",
                "https://security.microsoft.com/mtp//.default",
            ),
            (
                "api://contoso.example/reports",
                "api://contoso.example/reports/.default",
            ),
            ("urn:contoso:reports", "urn:contoso:reports/.default"),
        ];
        for (text, scope) in table {
            assert_eq!(text.parse::<Audience>().expect(text).scope(), scope);
        }
    }

    #[test]
    fn refuses_what_is_no_audience() {
        let table = [
            ("https://graph.microsoft.com/.default", AudienceError::Scope),
            ("graph.microsoft.com", AudienceError::Scheme),
            ("http://graph.microsoft.com", AudienceError::Scheme),
            ("", AudienceError::Scheme),
            ("https://", AudienceError::Malformed),
            ("https:///x", AudienceError::Malformed),
            ("https://a b", AudienceError::Malformed),
            ("https://user@contoso.example", AudienceError::Malformed),
            ("https://contoso.example?x", AudienceError::Malformed),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Audience>(), Err(error), "{text}");
        }
    }
}
