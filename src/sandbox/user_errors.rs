//! The errors of Entra ID that users and their sign-in meet.

use super::aadsts::{Row, bad, grant};

pub(crate) static SEVERAL_RESOURCES: Row = bad(
    28000,
    "invalid_scope",
    "Provided value for the input parameter scope is not valid because it contains more than one resource.",
);

pub(crate) static BAD_GRANT: Row = grant(
    70000,
    None,
    false,
    "The provided grant is invalid or malformed.",
);

/// Entra has no number of its own for a client that redeems another's token.
pub(crate) static WRONG_CLIENT: Row = grant(
    70000,
    Some("client_mismatch"),
    false,
    "The provided grant was issued to another client.",
);

/// Only with strict rotation, which Entra doesn't have.
pub(crate) static SPENT: Row = grant(
    70000,
    Some("bad_token"),
    false,
    "The provided grant was used before.",
);

pub(crate) static GRANT_EXPIRED: Row = grant(
    70008,
    Some("token_expired"),
    false,
    "The provided authorization code or refresh token has expired due to inactivity.",
);

pub(crate) static REFRESH_EXPIRED: Row = grant(
    700_082,
    Some("token_expired"),
    false,
    "The refresh token has expired due to inactivity.",
);

pub(crate) static REVOKED: Row = grant(
    50173,
    Some("bad_token"),
    false,
    "The provided grant has expired due to it being revoked, a fresh auth token is needed.",
);

pub(crate) static CODE_USED: Row = grant(
    54005,
    None,
    false,
    "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.",
);

pub(crate) static WRONG_VERIFIER: Row = grant(
    501_481,
    None,
    false,
    "The Code_Verifier does not match the code_challenge supplied in the authorization request.",
);

pub(crate) static WRONG_REPLY: Row = bad(
    500_112,
    "invalid_client",
    "The reply address does not match the reply address provided when requesting Authorization code.",
);

pub(crate) static UNKNOWN_REPLY: Row = bad(
    50011,
    "invalid_request",
    "The redirect URI specified in the request does not match the redirect URIs configured for the application.",
);

pub(crate) static WRONG_PASSWORD: Row = grant(
    50126,
    None,
    false,
    "Error validating credentials due to invalid username or password.",
);

pub(crate) static UNKNOWN_USER: Row = grant(
    50034,
    None,
    false,
    "The user account does not exist in the directory. To sign into this application, the account must be added to it.",
);

/// As the redirect says it.
pub(crate) static FOREIGN_USER: Row = bad(
    50020,
    "access_denied",
    "The user account does not exist in the tenant and cannot access the application in that tenant.",
);

pub(crate) static NO_PASSWORDS_THERE: Row = bad(
    9_001_023,
    "invalid_request",
    "The grant type is not supported over the /common or /consumers endpoints. Please use the /organizations or \
     tenant-specific endpoint.",
);

pub(crate) static DECLINED: Row = bad(
    65004,
    "access_denied",
    "User declined to consent to access the app.",
);

pub(crate) static NO_SESSION: Row = bad(
    50058,
    "login_required",
    "A silent sign-in request was sent but no user is signed in.",
);

pub(crate) static BAD_RESPONSE_TYPE: Row = bad(
    700_054,
    "unsupported_response_type",
    "The response_type is not enabled for the application.",
);

pub(crate) static LOOP: Row = grant(
    50196,
    None,
    false,
    "The server terminated the operation because it found a client request loop.",
);

pub(crate) static PENDING: Row = bad(
    70016,
    "authorization_pending",
    "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
);

/// Entra doesn't document it; RFC 8628 section 3.5 does.
pub(crate) static SLOW_DOWN: Row = Row {
    error: "slow_down",
    ..PENDING
};

pub(crate) static BAD_DEVICE_CODE: Row =
    bad(70018, "bad_verification_code", "Bad verification code.");

pub(crate) static DEVICE_EXPIRED: Row = bad(
    70019,
    "expired_token",
    "The verification code has expired. Please try signing in again.",
);

pub(crate) static DEVICE_DECLINED: Row = Row {
    error: "authorization_declined",
    ..DECLINED
};
