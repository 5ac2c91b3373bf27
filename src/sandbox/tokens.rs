//! Access tokens: issued, remembered, revoked.
//!
//! The APIs know a token by its being in the registry. Its signature is real, for clients that verify it all the same.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cloud::Family;

use super::claims::Claims;
use super::signing::SigningKey;
use super::state::lock;
use super::users::SandboxUser;

/// The tokens issued in this run, newest 20,000.
pub(crate) struct Tokens {
    key: SigningKey,
    registry: Mutex<Registry>,
}

impl Tokens {
    pub(crate) fn new(key: SigningKey) -> Self {
        Self {
            key,
            registry: Mutex::new(Registry::default()),
        }
    }

    /// A new token, different from every other.
    pub(crate) fn issue(&self, order: Order) -> String {
        // Signing takes about a millisecond, so it is done before the lock is taken.
        let text = if order.opaque {
            opaque()
        } else {
            self.key.sign(&claims(&order))
        };
        let grant = Arc::new(Grant {
            family: order.family,
            audience: order.audience,
            tenant: order.tenant,
            client_id: order.client_id,
            roles: order.roles,
            user: order.user,
            takes_challenges: order.claims.takes_challenges,
            not_after: Instant::now() + order.lifetime,
            revoked_at: AtomicU64::new(0),
        });
        let mut registry = lock(&self.registry);
        if registry.order.len() == CAPACITY
            && let Some(oldest) = registry.order.pop_front()
        {
            registry.grants.remove(&oldest);
        }
        registry.order.push_back(text.clone());
        registry.grants.insert(text.clone(), grant);
        text
    }

    /// What `token` allows, also when it has expired or was revoked by [`Self::revoke`]; `None` when it was never issued or has
    /// been forgotten.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<Grant>> {
        lock(&self.registry).grants.get(token).cloned()
    }

    /// Forgets every token issued so far.
    pub(crate) fn revoke_all(&self) {
        *lock(&self.registry) = Registry::default();
    }

    /// Revokes the tokens issued so far to one user, or to the applications themselves (`None`). Returns how many.
    pub(crate) fn revoke(&self, user: Option<&SandboxUser>) -> usize {
        let now = unix_now();
        let registry = lock(&self.registry);
        let revoked = registry
            .grants
            .values()
            .filter(|grant| grant.user.as_deref() == user)
            .map(|grant| grant.revoked_at.store(now, Ordering::Relaxed));
        revoked.count()
    }
}

/// What a token is to hold.
pub(crate) struct Order {
    pub(crate) family: Family,
    /// The resource as the client named it.
    pub(crate) audience: String,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    /// The roles of an application, or the delegated permissions of a user.
    pub(crate) roles: Vec<String>,
    /// Whom the application acts for; `None`: for itself.
    pub(crate) user: Option<Arc<SandboxUser>>,
    pub(crate) proof: Proof,
    /// What the request asked for by `claims`.
    pub(crate) claims: Claims,
    pub(crate) lifetime: Duration,
    pub(crate) opaque: bool,
}

/// How a client proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A public client proves nothing.
    Nothing,
    Secret,
    /// A certificate, or the token of another issuer.
    Assertion,
}

/// What an issued token allows.
pub(crate) struct Grant {
    pub(crate) family: Family,
    pub(crate) audience: String,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    /// The roles of an application, or the delegated permissions of a user.
    pub(crate) roles: Vec<String>,
    /// Whom the application acts for; `None`: for itself.
    pub(crate) user: Option<Arc<SandboxUser>>,
    /// Whether the client declared `cp1`: that it understands claims challenges.
    pub(crate) takes_challenges: bool,
    not_after: Instant,
    /// Unix time in seconds; 0 while it holds.
    revoked_at: AtomicU64,
}

impl Grant {
    pub(crate) fn expired(&self) -> bool {
        Instant::now() >= self.not_after
    }

    /// When it was revoked, as Unix time in seconds: tokens must be newer.
    pub(crate) fn revoked_at(&self) -> Option<u64> {
        Some(self.revoked_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }
}

#[derive(Default)]
struct Registry {
    grants: HashMap<String, Arc<Grant>>,
    order: VecDeque<String>,
}

fn claims(order: &Order) -> Value {
    let now = unix_now();
    // Entra dates tokens five minutes back, for clocks that are behind.
    let begins = now
        .saturating_sub(300)
        .max(order.claims.not_before.unwrap_or_default());
    let issuer = format!("https://sts.windows.net/{}/", order.tenant);
    let mut claims = json!({
        "aud": order.audience,
        "iss": issuer,
        "iat": begins,
        "nbf": begins,
        "exp": now + order.lifetime.as_secs(),
        "app_displayname": "defender-proxy sandbox",
        "appid": order.client_id,
        "appidacr": match order.proof {
            Proof::Nothing => "0",
            Proof::Secret => "1",
            Proof::Assertion => "2",
        },
        "idp": issuer,
        "tid": order.tenant,
        "uti": BASE64URL.encode(Uuid::new_v4()),
        "ver": "1.0",
    });
    let subject = match &order.user {
        Some(user) => json!({
            "idtyp": "user",
            "oid": user.object_id,
            "sub": user.object_id,
            "scp": order.roles.join(" "),
            "upn": user.name,
            "unique_name": user.name,
        }),
        None => json!({
            "idtyp": "app",
            "oid": SERVICE_PRINCIPAL,
            "sub": SERVICE_PRINCIPAL,
            "roles": order.roles,
        }),
    };
    if let (Value::Object(claims), Value::Object(subject)) = (&mut claims, subject) {
        claims.extend(subject);
    }
    if order.claims.takes_challenges {
        claims["xms_cc"] = json!(["cp1"]);
    }
    claims
}

/// A token without visible structure, as encrypted ones are.
fn opaque() -> String {
    format!("EwB{}", random_text::<768>())
}

/// A text that nobody guesses, of a length that is usual for Entra.
pub(crate) fn random_text<const N: usize>() -> String {
    BASE64URL.encode(random::<N>())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    for block in bytes.chunks_mut(16) {
        block.copy_from_slice(&Uuid::new_v4().as_bytes()[..block.len()]);
    }
    bytes
}

/// Seconds.
pub(crate) fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

const CAPACITY: usize = 20_000;
const SERVICE_PRINCIPAL: &str = "5a9db0c5-0000-4000-8000-0000000000bb";

#[cfg(test)]
mod tests {
    use super::super::signing::Keys;
    use super::*;

    fn tokens() -> Tokens {
        Tokens::new(Keys::read().unwrap().tokens)
    }

    fn order(opaque: bool) -> Order {
        Order {
            family: Family::Xdr,
            audience: "https://api.security.microsoft.com".into(),
            tenant: "t1".into(),
            client_id: "c1".into(),
            roles: vec!["Incident.Read.All".into()],
            user: None,
            proof: Proof::Secret,
            claims: Claims::default(),
            lifetime: Duration::from_mins(1),
            opaque,
        }
    }

    #[test]
    fn a_token_is_a_jwt_with_the_claims_of_an_application() {
        let tokens = tokens();
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
        let tokens = tokens();
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
