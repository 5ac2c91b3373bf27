//! Tokens that open nothing, in the shapes that clients parse.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Endpoint, Version};

/// The answer of a token endpoint, in the shape of its version: v1 writes numbers as texts.
pub(super) fn of_tenant(origin: &str, endpoint: &Endpoint, form: &[u8]) -> Value {
    let form = Fields(form);
    let audience = form.audience();
    let token = Token::new(endpoint.issuer(origin), &audience, &endpoint.tenant);
    let mut answer = match endpoint.version {
        Version::V1 => json!({
            "token_type": "Bearer",
            "expires_in": LIFE.to_string(),
            "ext_expires_in": LIFE.to_string(),
            "expires_on": token.end().to_string(),
            "not_before": token.now.to_string(),
            "resource": audience,
        }),
        Version::V2 => json!({
            "token_type": "Bearer",
            "expires_in": LIFE,
            "ext_expires_in": LIFE,
        }),
    };
    answer["access_token"] = token.text().into();
    // An application has neither (RFC 6749 §4.4.3), and MSAL looks for both where there is a user.
    if form.get("grant_type").as_deref() != Some("client_credentials") {
        answer["scope"] = form.get("scope").unwrap_or_default().into();
        answer["refresh_token"] = WORTHLESS.into();
        answer["id_token"] = token
            .of_user(&form.get("client_id").unwrap_or_default())
            .into();
        if form.get("client_info").as_deref() == Some("1") {
            let info = json!({"uid": NOBODY, "utid": NOBODY});
            answer["client_info"] = encoded(&info).into();
        }
    }
    answer
}

/// The answer of a virtual machine (Entra ID, "How to use managed identities for Azure resources on an Azure VM to acquire an
/// access token"): all numbers are texts.
pub(super) fn of_machine(origin: &str, query: Option<&str>) -> Value {
    let token = of_platform(origin, query);
    json!({
        "access_token": token.text(),
        "client_id": NOBODY,
        "expires_in": LIFE.to_string(),
        "expires_on": token.end().to_string(),
        "ext_expires_in": LIFE.to_string(),
        "not_before": token.now.to_string(),
        "resource": token.audience,
        "token_type": "Bearer",
        "refresh_token": "",
    })
}

/// The answer of an App Service (Azure, "How to use managed identities for App Service and Azure Functions"): no `expires_in`.
pub(super) fn of_service(origin: &str, query: Option<&str>) -> Value {
    let token = of_platform(origin, query);
    json!({
        "access_token": token.text(),
        "client_id": NOBODY,
        "expires_on": token.end().to_string(),
        "resource": token.audience,
        "token_type": "Bearer",
    })
}

fn of_platform(origin: &str, query: Option<&str>) -> Token {
    let audience = Fields(query.unwrap_or_default().as_bytes()).audience();
    Token::new(format!("{origin}/{NOBODY}/"), &audience, NOBODY)
}

/// The fields of a form or a query. Only the few that shape the answer are looked up.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let mut fields = form_urlencoded::parse(self.0);
        let (_, value) = fields.find(|(field, _)| field == name)?;
        Some(value.into_owned())
    }

    /// The API that the token would be for: `resource`, or the first scope of one.
    fn audience(&self) -> String {
        if let Some(resource) = self.get("resource") {
            return resource;
        }
        let scope = self.get("scope").unwrap_or_default();
        let mut scopes = scope.split_ascii_whitespace();
        let api = scopes.find_map(|scope| Some(scope.rsplit_once('/')?.0));
        api.unwrap_or_default().to_owned()
    }
}

/// A text that looks like a signed token (RFC 7519) and says that it is none.
struct Token {
    issuer: String,
    audience: String,
    tenant: String,
    now: u64,
}

impl Token {
    fn new(issuer: String, audience: &str, tenant: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            issuer,
            audience: audience.to_owned(),
            tenant: tenant.to_owned(),
            now: now.map_or(0, |time| time.as_secs()),
        }
    }

    fn end(&self) -> u64 {
        self.now + LIFE
    }

    fn text(&self) -> String {
        self.signed_by_nobody(&self.audience)
    }

    /// The token that tells the client `client_id` who signed in: nobody.
    fn of_user(&self, client_id: &str) -> String {
        self.signed_by_nobody(client_id)
    }

    fn signed_by_nobody(&self, audience: &str) -> String {
        let header = json!({"typ": "JWT", "alg": "none"});
        let claims = json!({
            "note": WORTHLESS,
            "iss": self.issuer,
            "aud": audience,
            "iat": self.now,
            "nbf": self.now,
            "exp": self.end(),
            "tid": self.tenant,
            "oid": NOBODY,
            "sub": NOBODY,
            "name": "nobody",
            "preferred_username": "nobody@stand-in.invalid",
            "ver": "2.0",
        });
        format!("{}.{}.no-signature", encoded(&header), encoded(&claims))
    }
}

fn encoded(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

/// What the access token says of itself, and all that the refresh token is.
const WORTHLESS: &str = "worthless-token-of-defender-proxy-stand-in-login";
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";
/// Seconds; as long as Entra ID's longest, so that clients seldom ask again.
const LIFE: u64 = 86_399;
