//! What Entra ID's `AADSTS` numbers mean to a user of the proxy, and what helps.
//!
//! `error` says whether Entra ID is only overloaded; of what it refuses, a number that is known says most, and `error` the rest.
//! (Numbers may change, as Microsoft's documents warn: an unknown one is never taken for more than its `error` says.)

/// What can be done about a refused token request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Nothing helps until somebody changes the configuration, here or in Entra ID.
    Fatal,
    /// A person must sign in, consent or satisfy a policy.
    Interactive,
    /// It may pass by itself.
    Transient,
}

/// A number, its class, its cause in a user's words, and the next step.
#[derive(Debug)]
pub struct Advice {
    /// The `AADSTS` number.
    pub code: u32,
    /// What can be done.
    pub class: Class,
    /// The cause.
    pub cause: &'static str,
    /// The next step.
    pub next: &'static str,
}

/// The advice for a number, if it is a known one.
#[must_use]
pub fn advice(code: u32) -> Option<&'static Advice> {
    ADVICE.iter().find(|advice| advice.code == code)
}

/// The class of an OAuth `error` value (RFC 6749 §5.2 and Entra's own), with its number where that decides.
#[must_use]
pub fn class(error: &str, code: Option<u32>) -> Class {
    match (error, code.and_then(advice)) {
        ("temporarily_unavailable" | "server_error", _) => Class::Transient,
        (_, Some(advice)) => advice.class,
        (
            "invalid_grant" | "interaction_required" | "login_required" | "consent_required",
            None,
        ) => Class::Interactive,
        (_, None) => Class::Fatal,
    }
}

/// Does it help that an administrator of the tenant consents to the app?
#[must_use]
pub fn is_cured_by_consent(code: u32) -> bool {
    CURED_BY_CONSENT.contains(&code)
}

/// There is no such tenant.
pub const NO_TENANT: u32 = 90_002;
/// An app gets into a tenant by the first consent, so "unknown" and "not found" are cured as well.
const CURED_BY_CONSENT: [u32; 3] = [65_001, 700_016, 700_011];

const fn row(code: u32, class: Class, cause: &'static str, next: &'static str) -> Advice {
    Advice {
        code,
        class,
        cause,
        next,
    }
}

const NEW_SECRET: &str = "create a new client secret for the app in the Entra portal (Certificates & secrets) and \
    configure its value, not its ID";
const TENANT_AND_APP: &str =
    "compare `tenant` and `client_id` with the app's overview page in the Entra portal";
const CONSENT: &str =
    "have an administrator grant consent to the app's API permissions in this tenant";
const SIGN_IN: &str = "sign in again with `defender-proxy login`";
const POLICY: &str = "sign in by \"browser\" or \"device\", which ask for it; an application has to be exempted from the \
    policy by an administrator";
const ASSERTION: &str =
    "check the certificate or federated token file of the credential, and this machine's clock";
const API: &str =
    "check the route's `audience`: it must be the identifier of an API that exists in the tenant";
const WAIT: &str = "wait; the proxy tries again by itself";

static ADVICE: &[Advice] = &[
    row(
        7_000_215,
        Class::Fatal,
        "the client secret is wrong",
        NEW_SECRET,
    ),
    row(
        7_000_222,
        Class::Fatal,
        "the client secret has expired",
        NEW_SECRET,
    ),
    row(
        7_000_216,
        Class::Fatal,
        "no credential was sent for the app",
        "configure the identity's `credential`",
    ),
    row(
        7_000_218,
        Class::Fatal,
        "no credential was sent for the app",
        "configure the identity's `credential`",
    ),
    row(
        700_027,
        Class::Fatal,
        "the app doesn't know the certificate, or its signature is wrong",
        "upload the certificate to the app in the Entra portal (Certificates & secrets), and configure the one with its key",
    ),
    row(
        700_024,
        Class::Fatal,
        "the assertion is outside its time",
        "set this machine's clock right",
    ),
    row(
        50_012,
        Class::Fatal,
        "the app's assertion is not valid",
        ASSERTION,
    ),
    row(
        50_027,
        Class::Fatal,
        "the app's assertion is not valid",
        ASSERTION,
    ),
    row(
        700_025,
        Class::Fatal,
        "the app is a public client and must send no credential",
        "allow no public client flows for the app, or use kind = \"user\"",
    ),
    row(
        700_016,
        Class::Fatal,
        "the app doesn't exist in this tenant, or nobody consented to it there",
        TENANT_AND_APP,
    ),
    row(
        700_011,
        Class::Fatal,
        "the app was not found in this tenant",
        TENANT_AND_APP,
    ),
    row(
        7_000_112,
        Class::Fatal,
        "the app is disabled in this tenant",
        "have an administrator enable it in the Entra portal (Enterprise applications)",
    ),
    row(
        70_001,
        Class::Fatal,
        "the app is disabled or unknown in this tenant",
        TENANT_AND_APP,
    ),
    row(
        NO_TENANT,
        Class::Fatal,
        "the tenant doesn't exist in this cloud",
        "check `tenant` and `[cloud] name`",
    ),
    row(
        900_439,
        Class::Fatal,
        "the tenant belongs to a government cloud",
        "set `[cloud] name` to \"gcc-high\" or \"dod\"",
    ),
    row(
        900_144,
        Class::Fatal,
        "the token request lacks a field",
        "report this as a bug of the proxy",
    ),
    row(
        9_002_313,
        Class::Fatal,
        "the token request is malformed",
        "check `tenant`, `client_id` and the audience",
    ),
    row(
        70_021,
        Class::Fatal,
        "no federated credential of the app matches the token",
        "compare issuer, subject and audience with the app's federated credentials; a new one takes some minutes to spread, and the proxy asks again",
    ),
    row(
        500_011,
        Class::Fatal,
        "the API is not known in this tenant",
        "check the route's `audience`; the tenant may lack the Defender licence",
    ),
    row(
        50_001,
        Class::Fatal,
        "the API is not known in this tenant",
        API,
    ),
    row(70_011, Class::Fatal, "the scope is not valid", API),
    row(
        1_002_012,
        Class::Fatal,
        "the scope doesn't end in /.default",
        API,
    ),
    row(28_002, Class::Fatal, "the scope is not valid", API),
    row(
        65_001,
        Class::Interactive,
        "nobody has consented to the app's permissions",
        CONSENT,
    ),
    // An application has nobody who could sign in to satisfy the policy.
    row(
        53_003,
        Class::Fatal,
        "a Conditional Access policy blocks the sign-in",
        "have an administrator look at the sign-in log and the policy (workload identities have policies too)",
    ),
    row(
        50_076,
        Class::Interactive,
        "a second factor is required",
        POLICY,
    ),
    row(
        50_079,
        Class::Interactive,
        "a second factor must be set up",
        POLICY,
    ),
    row(
        50_158,
        Class::Interactive,
        "an external check is required",
        POLICY,
    ),
    row(
        70_000,
        Class::Interactive,
        "the sign-in is no longer valid",
        SIGN_IN,
    ),
    row(
        70_008,
        Class::Interactive,
        "the sign-in has expired",
        SIGN_IN,
    ),
    row(
        700_082,
        Class::Interactive,
        "the sign-in has expired for lack of use",
        SIGN_IN,
    ),
    row(
        70_043,
        Class::Interactive,
        "the tenant's sign-in frequency policy ended the sign-in",
        SIGN_IN,
    ),
    row(
        50_173,
        Class::Interactive,
        "the sign-in was revoked",
        SIGN_IN,
    ),
    row(
        50_126,
        Class::Interactive,
        "user name or password is wrong",
        "check user name and password, and sign in again",
    ),
    row(
        50_196,
        Class::Transient,
        "Entra ID saw too many equal requests",
        "wait five minutes; another program with the same app may ask too often",
    ),
    row(
        90_055,
        Class::Transient,
        "the tenant sends too many requests",
        WAIT,
    ),
    row(
        90_033,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
    row(
        90_006,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
    row(
        90_012,
        Class::Transient,
        "the request to Entra ID timed out",
        WAIT,
    ),
    row(
        90_024,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
    row(
        90_090,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
    row(
        50_033,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
    row(
        50_087,
        Class::Transient,
        "Entra ID is temporarily unavailable",
        WAIT,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_decides_where_the_number_is_unknown() {
        assert_eq!(class("invalid_client", None), Class::Fatal);
        assert_eq!(class("invalid_grant", Some(1)), Class::Interactive);
        assert_eq!(class("server_error", Some(1)), Class::Transient);
        assert_eq!(class("something_new", None), Class::Fatal);
    }

    #[test]
    fn a_known_number_overrules_a_vague_error() {
        assert_eq!(class("invalid_grant", Some(50_196)), Class::Transient);
        assert_eq!(class("invalid_client", Some(7_000_215)), Class::Fatal);
        assert_eq!(
            class("temporarily_unavailable", Some(90_002)),
            Class::Transient
        );
    }

    #[test]
    fn every_number_stands_once() {
        for (at, one) in ADVICE.iter().enumerate() {
            assert!(
                ADVICE[at + 1..].iter().all(|other| other.code != one.code),
                "{}",
                one.code
            );
        }
    }
}
