//! Why a token could not be had.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    aadsts::{self, Class},
    consent::Customer,
    credential::ProofError,
    managed::PlatformError,
};
use crate::{
    auth::{secret::SecretError, user::store::StoreError},
    body::BoxError,
};

/// There is no token, and nobody asks for one before `retry_in` has passed. Shared by all who wait.
#[derive(Clone, Debug)]
pub struct NoToken {
    /// Why.
    pub error: Arc<TokenError>,
    /// The hold-off that is left.
    pub retry_in: Duration,
    /// The customer that the token was for, if a partner asked.
    pub customer: Option<Arc<Customer>>,
}

impl NoToken {
    /// The page on which the customer's administrator can grant what is missing.
    #[must_use]
    pub fn consent_url(&self) -> Option<&str> {
        self.customer.as_ref()?.consent_url.as_deref()
    }

    /// What to do about it, in a user's words.
    #[must_use]
    pub fn next_step(&self) -> &str {
        match self.customer {
            Some(_) if self.consent_url().is_some() => {
                "send the consent link to an administrator of the customer's tenant, or run `defender-proxy consent`"
            }
            Some(_) if self.error.code() == Some(aadsts::NO_TENANT) => {
                "compare the customer's tenant in `customers` with its overview page in the Entra portal, and check `[cloud] name`"
            }
            Some(_) | None => self.error.next_step(),
        }
    }
}

impl fmt::Display for NoToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(customer) = &self.customer {
            write!(f, "customer '{}': ", customer.name)?;
        }
        self.error.fmt(f)
    }
}

impl std::error::Error for NoToken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Why a token could not be had. Holds no secret, and no text of Entra ID's but its short `error` and its number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Entra ID answered that it won't.
    #[error("Entra ID refused a token for identity '{identity}': {refusal}")]
    Refused {
        /// The identity's name in the configuration.
        identity: String,
        /// What Entra ID said.
        refusal: Refusal,
    },
    /// Entra ID was overloaded, or answered nonsense or nothing.
    #[error("Entra ID gave no token for identity '{identity}': {reason}")]
    Unavailable {
        /// The identity's name in the configuration.
        identity: String,
        /// What happened, in a few words.
        reason: String,
        /// How long Entra ID asked to wait.
        retry_after: Option<Duration>,
        /// The cause, when the network failed.
        source: Option<BoxError>,
    },
    /// There is no connection to Entra ID, so it was asked nothing.
    #[error("Entra ID can't be reached for a token for identity '{identity}'")]
    Unreachable {
        /// The identity's name in the configuration.
        identity: String,
        /// Why.
        source: BoxError,
    },
    /// The identity's own secret could not be read.
    #[error("the credential of identity '{identity}' can't be read")]
    Credential {
        /// The identity's name in the configuration.
        identity: String,
        /// Why.
        source: SecretError,
    },
    /// The application could not prove who it is; Entra ID was not asked.
    #[error("the credential of identity '{identity}' can't be used")]
    Proof {
        /// The identity's name in the configuration.
        identity: String,
        /// Why.
        source: ProofError,
    },
    /// The platform gave no token of its managed identity.
    #[error("identity '{identity}' has no token of a managed identity")]
    Platform {
        /// The identity's name in the configuration.
        identity: String,
        /// Why.
        source: PlatformError,
    },
    /// The proxy itself failed while it fetched.
    #[error("fetching a token for identity '{identity}' failed by a fault of the proxy")]
    Broken {
        /// The identity's name in the configuration.
        identity: String,
    },
    /// Nobody is signed in as this user.
    #[error("nobody is signed in for identity '{identity}'{}", because(ended.as_deref()))]
    NotSignedIn {
        /// The identity's name in the configuration.
        identity: String,
        /// What to do.
        next: String,
        /// Why Entra ID ended the sign-in, if it did so while this program ran.
        ended: Option<Box<Refusal>>,
    },
    /// Entra ID gives no token for this user as they are signed in; but the sign-in itself may be good.
    #[error("Entra ID refused a token for the user of identity '{identity}': {refusal}")]
    SignInRefused {
        /// The identity's name in the configuration.
        identity: String,
        /// What to do, if a new sign-in helps.
        next: String,
        /// What Entra ID said.
        refusal: Box<Refusal>,
    },
    /// A user was signed in without being asked, but not with all that is needed.
    #[error("the sign-in of identity '{identity}' is of no use: {reason}")]
    Unkept {
        /// The identity's name in the configuration.
        identity: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The sign-in can't be read or kept.
    #[error("the sign-in of identity '{identity}' can't be had")]
    Store {
        /// The identity's name in the configuration.
        identity: String,
        /// Why.
        source: StoreError,
    },
}

impl TokenError {
    /// What can be done about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unavailable { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Credential { .. }
            | Self::Proof { .. }
            | Self::Broken { .. }
            | Self::Unkept { .. } => Class::Fatal,
            Self::Platform { source, .. } => source.class(),
            Self::Refused { refusal, .. } => refusal.class(),
            Self::SignInRefused { refusal, .. } => user_class(refusal),
            Self::NotSignedIn { .. } | Self::Store { .. } => Class::Interactive,
        }
    }

    /// Is it that a user has to sign in, again or at all?
    #[must_use]
    pub fn asks_for_sign_in(&self) -> bool {
        match self {
            Self::NotSignedIn { .. } => true,
            Self::SignInRefused { .. } => self.class() == Class::Interactive,
            Self::Refused { .. }
            | Self::Unavailable { .. }
            | Self::Unreachable { .. }
            | Self::Credential { .. }
            | Self::Proof { .. }
            | Self::Platform { .. }
            | Self::Broken { .. }
            | Self::Unkept { .. }
            | Self::Store { .. } => false,
        }
    }

    /// Would it tell who reads the log nothing new after another?
    ///
    /// An outage takes many forms while it lasts; a user who has to sign in is asked for every second.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let both = |is: fn(&Self) -> bool| is(self) && is(other);
        both(|error| error.class() == Class::Transient) || both(Self::asks_for_sign_in)
    }

    /// How long nobody shall ask again, after `failures` failures in a row (this one included).
    ///
    /// About fifteen equal requests in five minutes lock an app out (AADSTS50196), whatever they were answered. Those that were never
    /// sent don't count: the connector sees to it that they are no storm either.
    #[must_use]
    pub fn hold_off(&self, failures: u32) -> Duration {
        match self {
            Self::Refused { .. } | Self::SignInRefused { .. }
                if self.code() == Some(LOOP_DETECTED) =>
            {
                Duration::from_mins(5)
            }
            // So that a new sign-in takes effect at once. Who keeps the sign-ins doesn't ask again for an old one.
            Self::SignInRefused { refusal, .. } if refusal.class() != Class::Transient => {
                Duration::from_secs(1)
            }
            Self::Refused { refusal, .. } if refusal.class() != Class::Transient => {
                Duration::from_mins(1)
            }
            Self::Refused { refusal, .. } => obey(refusal.retry_after, (quick, failures)),
            Self::SignInRefused { refusal, .. } => obey(refusal.retry_after, (quick, failures)),
            Self::Unavailable { retry_after, .. } => obey(*retry_after, (quick, failures)),
            Self::Unkept { .. } => Duration::from_mins(1),
            Self::Unreachable { .. } => AT_ONCE,
            // What Entra ID had answered by then is unknown.
            Self::Broken { .. } => slow(failures),
            // Nothing was sent to Entra ID; the pause is for the machine that reads the secret.
            Self::Credential { .. } | Self::Proof { .. } | Self::Store { .. } => {
                Duration::from_secs(5)
            }
            Self::Platform { source, .. } => obey(source.retry_after(), (slow, failures)),
            // Nor here; so that signing in takes effect at once.
            Self::NotSignedIn { .. } => Duration::from_secs(1),
        }
    }

    /// The fetch ended with the program.
    #[must_use]
    pub fn stopped(identity: &str) -> Self {
        Self::Unavailable {
            identity: identity.to_owned(),
            reason: "the proxy is stopping".to_owned(),
            retry_after: None,
            source: None,
        }
    }

    /// The fetch ended in a panic.
    #[must_use]
    pub fn broken(identity: &str) -> Self {
        Self::Broken {
            identity: identity.to_owned(),
        }
    }

    /// The `AADSTS` number, if Entra ID named one.
    #[must_use]
    pub fn code(&self) -> Option<u32> {
        self.refusal()?.code
    }

    /// What to name to Microsoft's support, if Entra ID answered.
    #[must_use]
    pub fn trace_id(&self) -> Option<&str> {
        self.refusal()?.trace_id.as_deref()
    }

    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            Self::SignInRefused { refusal, .. } => Some(refusal),
            Self::NotSignedIn { ended, .. } => ended.as_deref(),
            Self::Unavailable { .. }
            | Self::Credential { .. }
            | Self::Proof { .. }
            | Self::Platform { .. }
            | Self::Broken { .. }
            | Self::Unkept { .. }
            | Self::Unreachable { .. }
            | Self::Store { .. } => None,
        }
    }

    /// What to do about it, in a user's words.
    #[must_use]
    pub fn next_step(&self) -> &str {
        match self {
            Self::SignInRefused { refusal, next, .. }
                if refusal.code != Some(NO_CONSENT) && self.class() == Class::Interactive =>
            {
                next
            }
            Self::SignInRefused { refusal, .. } if refusal.code == Some(NO_CONSENT) => {
                "have an administrator grant consent to the app's delegated permissions; or sign in again, and consent yourself"
            }
            Self::Refused { refusal, .. } => refusal.next_step(),
            Self::SignInRefused { refusal, .. } => refusal.users_step(),
            Self::Unavailable { .. } | Self::Unreachable { .. } => {
                "check the network, the HTTP proxy and the status of Entra ID; the proxy tries again by itself"
            }
            Self::Credential { .. } => {
                "make the secret readable; `defender-proxy check` tells whether it is"
            }
            Self::Proof { source, .. } => source.next_step(),
            Self::Platform { source, .. } => source.next_step(),
            Self::Broken { .. } => {
                "report this as a bug of the proxy, with its log; it tries again by itself"
            }
            Self::NotSignedIn { next, .. } => next,
            Self::Unkept { .. } => {
                "compare `tenant` and `client_id`, and allow the app the delegated permissions openid and offline_access"
            }
            Self::Store { .. } => {
                "see to the place where the sign-in is kept; `defender-proxy check` says which it is"
            }
        }
    }
}

/// What Entra ID asks for is obeyed. But a time that is over at once, or over and over, must not turn into a storm.
fn obey(retry_after: Option<Duration>, (own, failures): (Schedule, u32)) -> Duration {
    match retry_after.filter(|wait| !wait.is_zero()) {
        Some(wait) => wait
            .max(own(failures.saturating_sub(1)))
            .max(LEAST_HOLD_OFF)
            .min(LONGEST_HOLD_OFF),
        None => own(failures),
    }
}

const LEAST_HOLD_OFF: Duration = Duration::from_secs(1);

/// How long to hold off after so many failures in a row.
type Schedule = fn(u32) -> Duration;

/// Doubling from one second, as MSAL's first retry, to 40: twelve requests in any five minutes.
fn quick(failures: u32) -> Duration {
    doubling(failures, 1, 40)
}

/// Doubling from five seconds to a minute.
fn slow(failures: u32) -> Duration {
    doubling(failures, 5, 60)
}

fn doubling(failures: u32, first: u64, last: u64) -> Duration {
    let seconds = match failures {
        0 => 0,
        n => (first << (n - 1).min(6)).min(last),
    };
    Duration::from_secs(seconds)
}

/// An error answer of the token endpoint (RFC 6749 §5.2).
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The OAuth error, such as `invalid_client`.
    pub error: String,
    /// Entra ID's own refinement of it, such as `bad_token`.
    pub suberror: Option<Box<str>>,
    /// The `AADSTS` number.
    pub code: Option<u32>,
    /// What to name to Microsoft's support.
    pub trace_id: Option<String>,
    /// How long Entra ID asked to wait.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Does it say that this very refresh token will never work again?
    ///
    /// Only then may it be forgotten: a policy or a missing consent may be mended, and then it works as before.
    #[must_use]
    pub fn ends_sign_in(&self) -> bool {
        self.error == "invalid_grant"
            && (matches!(
                self.suberror.as_deref(),
                Some("bad_token" | "token_expired")
            ) || self.code.is_some_and(|code| ENDED.contains(&code)))
    }

    /// Is it of the account and its password, whichever API the token is for?
    #[must_use]
    pub fn is_of_account(&self) -> bool {
        self.code.is_some_and(|code| ACCOUNT.contains(&code))
    }

    /// What can be done about it.
    #[must_use]
    pub fn class(&self) -> Class {
        aadsts::class(&self.error, self.code)
    }

    /// What to do about it, if it was a user who was refused.
    #[must_use]
    pub fn users_step(&self) -> &'static str {
        match self.code {
            Some(NO_CREDENTIAL | NO_CREDENTIAL_IN_BODY) => {
                "set \"Allow public client flows\" for the app in the Entra portal (Authentication): a user's app has no credential"
            }
            Some(WRONG_PASSWORD) => "check the user's name and password",
            _ => self.next_step(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self.code.and_then(aadsts::advice) {
            Some(advice) => advice.next,
            None => match self.class() {
                Class::Fatal => {
                    "look the number up in Microsoft's list of AADSTS error codes and mend the configuration"
                }
                Class::Interactive => {
                    "have the user or an administrator act; the sign-in log in the Entra portal says more"
                }
                Class::Transient => "wait; the proxy tries again by itself",
            },
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code.and_then(aadsts::advice) {
            Some(advice) => write!(
                f,
                "{} (AADSTS{}, {})",
                advice.cause, advice.code, self.error
            ),
            None => match self.code {
                Some(code) => write!(f, "AADSTS{code} ({})", self.error),
                None => f.write_str(&self.error),
            },
        }
    }
}

/// A user, unlike an app, may satisfy a Conditional Access policy by signing in.
fn user_class(refusal: &Refusal) -> Class {
    if refusal.code == Some(BLOCKED_BY_POLICY) {
        return Class::Interactive;
    }
    refusal.class()
}

fn because(ended: Option<&Refusal>) -> String {
    ended.map_or_else(String::new, |refusal| format!(" any more: {refusal}"))
}

const LOOP_DETECTED: u32 = 50_196;
const BLOCKED_BY_POLICY: u32 = 53_003;
const NO_CONSENT: u32 = 65_001;
const NO_CREDENTIAL: u32 = 7_000_216;
const NO_CREDENTIAL_IN_BODY: u32 = 7_000_218;
const WRONG_PASSWORD: u32 = 50_126;
/// Wrong password, locked, unknown user, expired password, or disabled.
const ACCOUNT: [u32; 5] = [WRONG_PASSWORD, 50_053, 50_034, 50_055, 50_057];
/// The refresh token is malformed, expired (by time, by lack of use, by the sign-in frequency), or revoked.
const ENDED: [u32; 5] = [70_000, 70_008, 700_082, 70_043, 50_173];
/// Long enough that who asks in a loop doesn't keep the proxy busy.
const AT_ONCE: Duration = Duration::from_millis(250);
/// A `Retry-After` beyond this is taken for a mistake, as Microsoft's own libraries do.
const LONGEST_HOLD_OFF: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable(retry_after: Option<u64>) -> TokenError {
        TokenError::Unavailable {
            identity: "soc".to_owned(),
            reason: "503".to_owned(),
            retry_after: retry_after.map(Duration::from_secs),
            source: None,
        }
    }

    fn refused(error: &str, code: u32) -> TokenError {
        let refusal = Refusal {
            error: error.to_owned(),
            suberror: None,
            code: Some(code),
            trace_id: None,
            retry_after: None,
        };
        TokenError::Refused {
            identity: "soc".to_owned(),
            refusal,
        }
    }

    #[test]
    fn hold_off_grows_and_obeys_retry_after() {
        for (error, failures, seconds) in [
            (unavailable(None), 1, 1),
            (unavailable(None), 2, 2),
            (unavailable(None), 9, 40),
            (unavailable(None), u32::MAX, 40),
            (unavailable(Some(7)), 1, 7),
            (unavailable(Some(0)), 1, 1),
            (unavailable(Some(1)), 1, 1),
            (unavailable(Some(1)), 4, 4),
            (unavailable(Some(999_999)), 1, 3_600),
            (refused("invalid_client", 7_000_215), 1, 60),
            (refused("invalid_grant", 50_196), 1, 300),
            (refused("temporarily_unavailable", 90_033), 1, 1),
            (TokenError::broken("soc"), 1, 5),
            (TokenError::broken("soc"), 9, 60),
        ] {
            assert_eq!(
                error.hold_off(failures),
                Duration::from_secs(seconds),
                "{error}"
            );
        }
    }

    /// Whenever the five minutes begin, and if every answer came at once.
    #[test]
    fn no_outage_makes_fifteen_requests_in_five_minutes() {
        for error in [
            unavailable(None),
            unavailable(Some(0)),
            unavailable(Some(1)),
            unavailable(Some(5)),
            refused("temporarily_unavailable", 90_033),
        ] {
            let mut asked = vec![Duration::ZERO];
            for failures in 1..100 {
                asked.push(asked[asked.len() - 1] + error.hold_off(failures));
            }
            for (first, begin) in asked.iter().enumerate() {
                let end = *begin + Duration::from_mins(5);
                let within = asked[first..].iter().filter(|at| **at < end).count();
                assert!(within < 14, "{within} from {begin:?}: {error}");
            }
        }
    }

    #[test]
    fn a_sign_in_of_no_use_waits_for_a_person() {
        let error = TokenError::Unkept {
            identity: "alice".to_owned(),
            reason: "no refresh token".to_owned(),
        };
        assert_eq!(error.class(), Class::Fatal);
        assert_eq!(error.hold_off(1), Duration::from_mins(1));
    }

    #[test]
    fn a_refusal_names_number_and_cause() {
        let text = refused("invalid_client", 7_000_215).to_string();
        assert!(
            text.contains("AADSTS7000215") && text.contains("secret is wrong"),
            "{text}"
        );
    }

    #[test]
    fn only_what_is_definitive_ends_a_sign_in() {
        let refusal = |error: &str, code, suberror: Option<&str>| Refusal {
            error: error.to_owned(),
            suberror: suberror.map(Into::into),
            code: Some(code),
            trace_id: None,
            retry_after: None,
        };
        for (error, code, suberror, ends) in [
            ("invalid_grant", 50_173, Some("bad_token"), true),
            ("invalid_grant", 1, Some("token_expired"), true),
            ("invalid_grant", 700_082, None, true),
            ("invalid_grant", 70_043, None, true),
            ("invalid_grant", 65_001, Some("consent_required"), false),
            ("invalid_grant", 53_003, Some("message_only"), false),
            ("invalid_grant", 50_076, Some("basic_action"), false),
            ("invalid_grant", 50_196, None, false),
            ("interaction_required", 50_079, None, false),
            ("server_error", 50_173, None, false),
            ("temporarily_unavailable", 90_033, None, false),
        ] {
            let refusal = refusal(error, code, suberror);
            assert_eq!(refusal.ends_sign_in(), ends, "{refusal}");
        }
    }
}
