//! Who has signed in: the claims of the ID token (`OpenID` Connect Core 1.0 §2).
//!
//! Its signature is not checked: it comes straight from the token endpoint over TLS, which the specification takes for as good
//! (§3.1.3.7, number 6). Nothing else is made of it than the name that is shown, and the check that it answers this sign-in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

use crate::auth::identity::User;

/// A signed-in user, for a person to read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The sign-in name, such as `alice@contoso.example`; empty if Entra ID didn't say.
    pub name: String,
    /// The id of the tenant; empty if Entra ID didn't say.
    pub tenant: String,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    exp: u64,
    nonce: Option<String>,
    tid: Option<String>,
    preferred_username: Option<String>,
    upn: Option<String>,
}

/// Checks that the ID token is for this user's client and tenant and, if there is one, answers this nonce.
///
/// # Errors
/// When it is not, or is none: what it is, as the end of a sentence.
pub fn check(id_token: &str, user: &User, nonce: Option<&str>) -> Result<Account, &'static str> {
    let claims = decode(id_token).ok_or("is not readable")?;
    if claims.aud != user.client_id.as_str() {
        return Err("is for another app");
    }
    let answered = claims.nonce.unwrap_or_default();
    if nonce.is_some_and(|nonce| !bool::from(nonce.as_bytes().ct_eq(answered.as_bytes()))) {
        return Err("answers another sign-in");
    }
    // An end beyond all reckoning is none that has passed.
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp).saturating_add(LEEWAY));
    if end.is_some_and(|end| end < SystemTime::now()) {
        return Err("has ended already, says this machine's clock");
    }
    let tenant = claims.tid.unwrap_or_default();
    // A tenant that is configured by a domain name can't be compared; Entra ID was asked for no other.
    let is_id = !user.tenant.as_str().contains('.');
    if is_id && !tenant.eq_ignore_ascii_case(user.tenant.as_str()) {
        return Err("is of another tenant");
    }
    Ok(Account {
        name: shown(claims.preferred_username.or(claims.upn)),
        tenant: shown(Some(tenant)),
    })
}

fn decode(id_token: &str) -> Option<Claims> {
    let payload = id_token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// As a terminal may show it: of bounded length and without control characters.
fn shown(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    text.chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect()
}

/// How wrong this machine's clock may be.
const LEEWAY: Duration = Duration::from_mins(5);
/// In characters. Entra ID's sign-in names have at most 113.
const LONGEST: usize = 200;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::auth::identity::{SignIn, StoreConfig};

    const CLIENT: &str = "5a9db0c5-0000-4000-8000-0000000000cc";
    const TENANT: &str = "5a9db0c5-0000-4000-8000-000000000001";

    fn checked(claims: &Value, tenant: &str) -> Result<Account, &'static str> {
        let user = User {
            tenant: tenant.parse().unwrap(),
            client_id: CLIENT.parse().unwrap(),
            sign_in: SignIn::Browser,
            store: StoreConfig::Memory,
        };
        let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()));
        check(&token, &user, Some("n"))
    }

    fn claims() -> Value {
        json!({"aud": CLIENT, "exp": 9_999_999_999_u64, "nonce": "n", "tid": TENANT,
            "preferred_username": "alice@contoso.example\u{1b}"})
    }

    #[test]
    fn says_who() {
        let account = checked(&claims(), TENANT).unwrap();
        assert_eq!(account.name, "alice@contoso.example");
        assert_eq!(account.tenant, TENANT);
        assert!(checked(&claims(), "contoso.example").is_ok());
        let mut endless = claims();
        endless["exp"] = json!(u64::MAX);
        assert!(checked(&endless, TENANT).is_ok());
    }

    #[test]
    fn one_for_somebody_else_is_refused() {
        for (claim, value) in [
            ("aud", json!("another")),
            ("nonce", json!("another")),
            ("nonce", json!(null)),
            ("tid", json!("5a9db0c5-0000-4000-8000-000000000002")),
            ("exp", json!(1)),
        ] {
            let mut claims = claims();
            claims[claim] = value;
            assert!(checked(&claims, TENANT).is_err(), "{claims}");
        }
    }
}
