//! The errors of Entra ID and how each is answered.

use http::StatusCode;

use super::user_errors::{
    BAD_DEVICE_CODE, BAD_GRANT, BAD_RESPONSE_TYPE, CODE_USED, DECLINED, DEVICE_EXPIRED,
    FOREIGN_USER, GRANT_EXPIRED, LOOP, NO_PASSWORDS_THERE, NO_SESSION, PENDING, REFRESH_EXPIRED,
    REVOKED, SEVERAL_RESOURCES, UNKNOWN_REPLY, UNKNOWN_USER, WRONG_PASSWORD, WRONG_REPLY,
    WRONG_VERIFIER,
};

/// One AADSTS error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) code: u32,
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) suberror: Option<&'static str>,
    /// Whether the body has `claims`, a JSON text naming the policies that were not met.
    pub(crate) claims: bool,
    /// What the description says where nothing more precise is known.
    pub(crate) text: &'static str,
}

/// The row of an AADSTS number.
pub(crate) fn row(code: u64) -> Option<&'static Row> {
    ROWS.iter().copied().find(|row| u64::from(row.code) == code)
}

const fn client(code: u32, text: &'static str) -> Row {
    Row {
        code,
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        suberror: None,
        claims: false,
        text,
    }
}

pub(crate) const fn bad(code: u32, error: &'static str, text: &'static str) -> Row {
    Row {
        code,
        status: StatusCode::BAD_REQUEST,
        error,
        suberror: None,
        claims: false,
        text,
    }
}

pub(crate) const fn grant(
    code: u32,
    suberror: Option<&'static str>,
    claims: bool,
    text: &'static str,
) -> Row {
    Row {
        code,
        status: StatusCode::BAD_REQUEST,
        error: "invalid_grant",
        suberror,
        claims,
        text,
    }
}

const fn transient(code: u32, status: StatusCode, error: &'static str, text: &'static str) -> Row {
    Row {
        code,
        status,
        error,
        suberror: None,
        claims: false,
        text,
    }
}

pub(crate) static WRONG_SECRET: Row = client(
    7_000_215,
    "Invalid client secret provided for the application.",
);

pub(crate) static NO_CREDENTIAL: Row = client(
    7_000_216,
    "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
);

pub(crate) static BAD_ASSERTION: Row = client(
    700_027,
    "The certificate with identifier used to sign the client assertion is not registered on application.",
);

pub(crate) static NO_CREDENTIAL_OF_APP: Row = client(
    7_000_218,
    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
);

pub(crate) static PUBLIC_WITH_CREDENTIAL: Row = client(
    700_025,
    "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.",
);

pub(crate) static ASSERTION_TIME: Row = client(
    700_024,
    "Client assertion is not within its valid time range.",
);

pub(crate) static NOT_AUTHENTICATED: Row = client(50012, "Authentication failed.");

pub(crate) static BAD_JWT: Row = client(50027, "Invalid JWT token. Token format not valid.");

pub(crate) static NO_FEDERATION: Row = bad(
    70021,
    "invalid_request",
    "No matching federated identity record found for the presented assertion.",
);

pub(crate) static UNKNOWN_APP: Row = bad(
    700_016,
    "unauthorized_client",
    "The application was not found in the directory.",
);

pub(crate) static UNKNOWN_TENANT: Row = bad(
    90002,
    "invalid_request",
    "Tenant not found. Check that the tenant id is right and that it is in this cloud.",
);

pub(crate) static MISSING_FIELD: Row = bad(
    900_144,
    "invalid_request",
    "The request body must contain the following parameter: 'grant_type'.",
);

pub(crate) static POST_ONLY: Row = bad(
    900_561,
    "invalid_request",
    "The endpoint only accepts POST requests. Received a GET request.",
);

pub(crate) static BAD_GRANT_TYPE: Row = bad(
    70003,
    "unsupported_grant_type",
    "The app requested a grant type that is not supported here.",
);

pub(crate) static UNKNOWN_RESOURCE: Row = bad(
    500_011,
    "invalid_resource",
    "The resource principal was not found in the tenant.",
);

pub(crate) static BAD_SCOPE: Row = bad(
    70011,
    "invalid_scope",
    "The provided value for 'scope' is not valid.",
);

pub(crate) static SCOPE_NOT_DEFAULT: Row = bad(
    1_002_012,
    "invalid_scope",
    "The provided value for scope is not valid. Client credential flows must have a scope value with /.default \
     suffixed to the resource identifier (application ID URI).",
);

pub(crate) static MALFORMED: Row = bad(
    9_002_313,
    "invalid_request",
    "Invalid request. Request is malformed or invalid.",
);

pub(crate) static NO_CONSENT: Row = grant(
    65001,
    Some("consent_required"),
    false,
    "The user or administrator has not consented to use the application.",
);

pub(crate) static BLOCKED: Row = grant(
    53003,
    Some("message_only"),
    true,
    "Access has been blocked by Conditional Access policies.",
);

/// Every error that can be asked for.
#[rustfmt::skip]
static ROWS: &[&Row] = &[
    &WRONG_SECRET,
    &client(7_000_222, "The provided client secret keys for the app are expired."),
    &NO_CREDENTIAL,
    &NO_CREDENTIAL_OF_APP,
    &PUBLIC_WITH_CREDENTIAL,
    &BAD_ASSERTION,
    &ASSERTION_TIME,
    &NOT_AUTHENTICATED,
    &BAD_JWT,
    &UNKNOWN_APP,
    &bad(7_000_112, "unauthorized_client", "The application is disabled."),
    &bad(70001, "unauthorized_client", "The application is disabled or was not found."),
    &bad(700_011, "unauthorized_client", "The application was not found in the directory."),
    &UNKNOWN_TENANT,
    &MISSING_FIELD,
    &POST_ONLY,
    &MALFORMED,
    &NO_FEDERATION,
    &UNKNOWN_RESOURCE,
    &bad(50001, "invalid_resource", "The resource was not found or is not enabled in the tenant."),
    &BAD_SCOPE,
    &SCOPE_NOT_DEFAULT,
    &bad(28002, "invalid_scope", "The provided value for scope is not valid when requesting an access token."),
    &BAD_GRANT_TYPE,
    &SEVERAL_RESOURCES,
    &NO_CONSENT,
    &BLOCKED,
    &grant(50076, Some("basic_action"), true, "You must use multi-factor authentication to access the resource."),
    &grant(50079, Some("basic_action"), true, "You must enroll in multi-factor authentication to access the resource."),
    &BAD_GRANT,
    &GRANT_EXPIRED,
    &REFRESH_EXPIRED,
    &grant(70043, Some("token_expired"), false, "The refresh token has expired due to sign-in frequency checks."),
    &REVOKED,
    &CODE_USED,
    &WRONG_VERIFIER,
    &WRONG_REPLY,
    &UNKNOWN_REPLY,
    &WRONG_PASSWORD,
    &UNKNOWN_USER,
    &FOREIGN_USER,
    &NO_PASSWORDS_THERE,
    &DECLINED,
    &NO_SESSION,
    &BAD_RESPONSE_TYPE,
    &LOOP,
    &PENDING,
    &BAD_DEVICE_CODE,
    &DEVICE_EXPIRED,
    &bad(50158, "interaction_required", "External security challenge was not satisfied."),
    &transient(90033, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    &transient(90006, StatusCode::INTERNAL_SERVER_ERROR, "server_error", "External server retryable error."),
    &transient(90012, StatusCode::GATEWAY_TIMEOUT, "temporarily_unavailable", "The request has timed out."),
    &transient(90024, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    &transient(90090, StatusCode::INTERNAL_SERVER_ERROR, "server_error", "A transient error has occurred. Please try again."),
    &transient(50033, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    &transient(50087, StatusCode::BAD_REQUEST, "temporarily_unavailable", "A transient error has occurred during single sign-out."),
];

/// Every `error` there is, for scripts that want another than the row's.
pub(crate) const ERRORS: &[&str] = &[
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_resource",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "interaction_required",
    "login_required",
    "consent_required",
    "access_denied",
    "authorization_pending",
    "authorization_declined",
    "bad_verification_code",
    "expired_token",
    "slow_down",
    "unsupported_response_type",
    "temporarily_unavailable",
    "server_error",
];

/// Every `suberror` clients know.
pub(crate) const SUBERRORS: &[&str] = &[
    "basic_action",
    "additional_action",
    "message_only",
    "user_password_expired",
    "consent_required",
    "bad_token",
    "token_expired",
    "protection_policy_required",
    "client_mismatch",
    "device_authentication_failed",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS.iter()
                    .skip(index + 1)
                    .all(|other| other.code != row.code),
                "{}",
                row.code
            );
        }
    }
}
