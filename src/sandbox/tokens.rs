//! Access tokens: issued, remembered, revoked.
//!
//! A token is known by being in the registry, so its signature is random bytes: to a client a token
//! is opaque anyway.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::Family;

use super::state::lock;

/// The tokens issued in this run, newest 20,000.
pub(crate) struct Tokens(Mutex<Registry>);

impl Tokens {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Registry::default()))
    }

    /// A new token, different from every other.
    pub(crate) fn issue(&self, order: Order) -> String {
        let text = if order.opaque { opaque() } else { jwt(&order) };
        let grant = Arc::new(Grant {
            family: order.family,
            audience: order.audience,
            tenant: order.tenant,
            client_id: order.client_id,
            roles: order.roles,
            not_after: Instant::now() + order.lifetime,
        });
        let mut registry = lock(&self.0);
        if registry.order.len() == CAPACITY
            && let Some(oldest) = registry.order.pop_front()
        {
            registry.grants.remove(&oldest);
        }
        registry.order.push_back(text.clone());
        registry.grants.insert(text.clone(), grant);
        text
    }

    /// What `token` allows, also when it has expired; `None` when it was never issued or has been
    /// revoked.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<Grant>> {
        lock(&self.0).grants.get(token).cloned()
    }

    /// Forgets every token issued so far.
    pub(crate) fn revoke_all(&self) {
        *lock(&self.0) = Registry::default();
    }
}

/// What a token is to hold.
pub(crate) struct Order {
    pub(crate) family: Family,
    /// The resource as the client named it.
    pub(crate) audience: String,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) roles: Vec<String>,
    pub(crate) lifetime: Duration,
    pub(crate) opaque: bool,
}

/// What an issued token allows.
pub(crate) struct Grant {
    pub(crate) family: Family,
    pub(crate) audience: String,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) roles: Vec<String>,
    not_after: Instant,
}

impl Grant {
    pub(crate) fn expired(&self) -> bool {
        Instant::now() >= self.not_after
    }
}

#[derive(Default)]
struct Registry {
    grants: HashMap<String, Arc<Grant>>,
    order: VecDeque<String>,
}

fn jwt(order: &Order) -> String {
    let now = unix_now();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5t": SIGNING_KEY, "kid": SIGNING_KEY});
    // Entra dates tokens five minutes back, for clocks that are behind.
    let issued = now.saturating_sub(300);
    let claims = json!({
        "aud": order.audience,
        "iss": format!("https://sts.windows.net/{}/", order.tenant),
        "iat": issued,
        "nbf": issued,
        "exp": now + order.lifetime.as_secs(),
        "app_displayname": "defender-proxy sandbox",
        "appid": order.client_id,
        "appidacr": "1",
        "idp": format!("https://sts.windows.net/{}/", order.tenant),
        "idtyp": "app",
        "oid": SERVICE_PRINCIPAL,
        "roles": order.roles,
        "sub": SERVICE_PRINCIPAL,
        "tid": order.tenant,
        "uti": BASE64URL.encode(Uuid::new_v4()),
        "ver": "1.0",
    });
    format!(
        "{}.{}.{}",
        encode(&header),
        encode(&claims),
        BASE64URL.encode(random::<256>())
    )
}

/// A token without visible structure, as encrypted ones are.
fn opaque() -> String {
    format!("EwB{}", BASE64URL.encode(random::<768>()))
}

fn encode(value: &Value) -> String {
    BASE64URL.encode(value.to_string())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for block in bytes.chunks_mut(16) {
        block.copy_from_slice(&Uuid::new_v4().as_bytes()[..block.len()]);
    }
    bytes
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

const CAPACITY: usize = 20_000;
const SIGNING_KEY: &str = "c2FuZGJveC1zaWduaW5nLWtleQ";
const SERVICE_PRINCIPAL: &str = "5a9db0c5-0000-4000-8000-0000000000bb";

#[cfg(test)]
mod tests {
    use super::*;

    fn order(opaque: bool) -> Order {
        Order {
            family: Family::Xdr,
            audience: "https://api.security.microsoft.com".into(),
            tenant: "t1".into(),
            client_id: "c1".into(),
            roles: vec!["Incident.Read.All".into()],
            lifetime: Duration::from_mins(1),
            opaque,
        }
    }

    #[test]
    fn a_token_is_a_jwt_with_the_claims_of_an_application() {
        let tokens = Tokens::new();
        let token = tokens.issue(order(false));
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let claims: Value = serde_json::from_slice(&BASE64URL.decode(parts[1]).unwrap()).unwrap();
        assert_eq!(claims["aud"], "https://api.security.microsoft.com");
        assert_eq!(claims["iss"], "https://sts.windows.net/t1/");
        assert_eq!(claims["appid"], "c1");
        assert_eq!(claims["roles"], json!(["Incident.Read.All"]));
        assert_eq!(
            claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(),
            360
        );
        assert_eq!(BASE64URL.decode(parts[2]).unwrap().len(), 256);
    }

    #[test]
    fn tokens_differ_expire_and_are_revoked() {
        let tokens = Tokens::new();
        let (first, second) = (tokens.issue(order(false)), tokens.issue(order(true)));
        assert_ne!(first, second);
        assert!(!second.contains('.'));
        assert!(tokens.find(&first).is_some_and(|grant| !grant.expired()));
        let dead = tokens.issue(Order {
            lifetime: Duration::ZERO,
            ..order(false)
        });
        assert!(tokens.find(&dead).is_some_and(|grant| grant.expired()));
        tokens.revoke_all();
        assert!(tokens.find(&first).is_none());
    }
}
