//! Authorization codes (RFC 6749 section 4.1) with proof keys (RFC 7636).

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::digest::{SHA256, digest};

use super::aadsts::Row;
use super::entra_errors::EntraError;
use super::state::lock;
use super::tokens::random_text;
use super::user_errors::{BAD_GRANT, CODE_USED, GRANT_EXPIRED, WRONG_REPLY, WRONG_VERIFIER};
use super::users::SandboxUser;

/// What a code stands for.
#[derive(Debug, Clone)]
pub(crate) struct Authorized {
    pub(crate) user: Arc<SandboxUser>,
    pub(crate) client_id: String,
    /// As the client wrote it.
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: Option<Challenge>,
}

/// What the client must prove to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Plain(String),
    /// Base64url of its SHA-256.
    Sha256(String),
}

impl Challenge {
    fn met_by(&self, verifier: Option<&str>) -> bool {
        let Some(verifier) = verifier.filter(|text| (43..=128).contains(&text.len())) else {
            return false;
        };
        match self {
            Self::Plain(text) => text == verifier,
            Self::Sha256(text) => *text == BASE64URL.encode(digest(&SHA256, verifier.as_bytes())),
        }
    }
}

/// What a client shows with a code.
pub(crate) struct Shown<'a> {
    pub(crate) client_id: &'a str,
    pub(crate) redirect_uri: &'a str,
    pub(crate) verifier: Option<&'a str>,
}

/// The codes issued so far; those that ended are forgotten when there are many.
pub(crate) struct Codes(Mutex<HashMap<String, Code>>);

impl Codes {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn issue(&self, authorized: Authorized, lifetime: Duration) -> String {
        let text = format!("1.{}", random_text::<480>());
        let now = Instant::now();
        let mut codes = lock(&self.0);
        if codes.len() >= CAPACITY {
            codes.retain(|_, code| code.ends > now);
        }
        let code = Code {
            authorized,
            ends: now + lifetime,
            used: false,
        };
        codes.insert(text.clone(), code);
        text
    }

    /// What `code` stands for, once.
    pub(crate) fn redeem(&self, code: &str, shown: &Shown<'_>) -> Result<Authorized, EntraError> {
        let mut codes = lock(&self.0);
        let code = codes
            .get_mut(code)
            .filter(|code| code.authorized.client_id == shown.client_id)
            .ok_or_else(|| EntraError::usual(&BAD_GRANT))?;
        if let Some(row) = code.fault(shown) {
            return Err(EntraError::usual(row));
        }
        code.used = true;
        Ok(code.authorized.clone())
    }
}

struct Code {
    authorized: Authorized,
    ends: Instant,
    used: bool,
}

impl Code {
    /// Why it can't be redeemed.
    fn fault(&self, shown: &Shown<'_>) -> Option<&'static Row> {
        let challenge = self.authorized.challenge.as_ref();
        if self.used {
            Some(&CODE_USED)
        } else if Instant::now() >= self.ends {
            Some(&GRANT_EXPIRED)
        } else if self.authorized.redirect_uri != shown.redirect_uri {
            Some(&WRONG_REPLY)
        } else if challenge.is_some_and(|challenge| !challenge.met_by(shown.verifier)) {
            Some(&WRONG_VERIFIER)
        } else {
            None
        }
    }
}

/// Entra ID, "Microsoft identity platform and OAuth 2.0 authorization code flow": about ten minutes.
pub(crate) const CODE_LIFETIME: Duration = Duration::from_mins(10);
const CAPACITY: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

    fn authorized(challenge: Challenge) -> Authorized {
        Authorized {
            user: Arc::new(SandboxUser::new("alice", "a1")),
            client_id: "c".into(),
            redirect_uri: "http://localhost:1".into(),
            scope: "openid".into(),
            nonce: None,
            challenge: Some(challenge),
        }
    }

    #[test]
    fn a_code_needs_its_verifier_in_time_and_once() {
        let codes = Codes::new();
        // The example of RFC 7636 appendix B.
        let challenge = Challenge::Sha256("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into());
        let code = codes.issue(authorized(challenge.clone()), CODE_LIFETIME);
        let late = codes.issue(authorized(challenge), Duration::ZERO);
        let plain = codes.issue(authorized(Challenge::Plain(VERIFIER.into())), CODE_LIFETIME);
        let redeem = |code: &str, client_id, redirect_uri, verifier| {
            let shown = Shown {
                client_id,
                redirect_uri,
                verifier,
            };
            codes
                .redeem(code, &shown)
                .map(|_| ())
                .map_err(|error| error.row.code)
        };
        let right = ("c", "http://localhost:1", Some(VERIFIER));
        for (code, (client, uri, verifier), result) in [
            (&code, ("other", right.1, right.2), Err(70000)),
            (
                &code,
                (right.0, "http://localhost:1/", right.2),
                Err(500_112),
            ),
            (&code, (right.0, right.1, None), Err(501_481)),
            (
                &code,
                (
                    right.0,
                    right.1,
                    Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXX"),
                ),
                Err(501_481),
            ),
            (&code, right, Ok(())),
            (&code, right, Err(54005)),
            (&late, right, Err(70008)),
            (&plain, right, Ok(())),
        ] {
            assert_eq!(redeem(code, client, uri, verifier), result);
        }
    }
}
