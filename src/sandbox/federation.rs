//! The other issuers whose tokens the application accepts in place of a secret: one like the service accounts of a Kubernetes
//! cluster, and Entra itself for a managed identity.

use std::time::Duration;

use serde_json::{Value, json};

use crate::jwt::PublicKey;

use super::state::{State, guid};
use super::tokens::unix_now;

/// The one audience that such a token must have.
pub(crate) const AUDIENCE: &str = "api://AzureADTokenExchange";

/// Object id of the machine's own managed identity.
pub(crate) const MANAGED_IDENTITY: &str = "5a9db0c5-0000-4000-8000-0000000000ee";

/// A federated credential of the application: whose tokens about whom it accepts.
pub(crate) struct Trusted<'a> {
    pub(crate) issuer: String,
    pub(crate) subject: &'a str,
    pub(crate) key: &'a PublicKey,
}

pub(crate) fn trusted(state: &State) -> [Trusted<'_>; 3] {
    [
        Trusted {
            issuer: issuer(state),
            subject: &state.options.federated_subject,
            key: state.keys.federation.public(),
        },
        Trusted {
            issuer: directory(state),
            subject: MANAGED_IDENTITY,
            key: state.keys.tokens.public(),
        },
        Trusted {
            issuer: directory(state),
            subject: &state.options.managed_object_id,
            key: state.keys.tokens.public(),
        },
    ]
}

/// A token of the other issuer about `subject`, valid for ten minutes.
pub(crate) fn token(state: &State, subject: &str) -> String {
    let claims = claims(&issuer(state), subject, Duration::from_mins(10));
    state.keys.federation.sign(&claims)
}

/// The token that the managed identity of this object id gets for [`AUDIENCE`].
pub(crate) fn managed_identity_token(state: &State, object_id: &str, lifetime: Duration) -> String {
    let mut claims = claims(&directory(state), object_id, lifetime);
    claims["oid"] = object_id.into();
    claims["tid"] = state.options.tenant.as_str().into();
    state.keys.tokens.sign(&claims)
}

/// What the other issuer publishes about itself.
pub(crate) fn metadata(state: &State) -> Value {
    let issuer = issuer(state);
    json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/discovery/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn claims(issuer: &str, subject: &str, lifetime: Duration) -> Value {
    let now = unix_now();
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": AUDIENCE,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime.as_secs(),
        "jti": guid(),
    })
}

fn issuer(state: &State) -> String {
    format!("{}/federation", state.origins.entra)
}

fn directory(state: &State) -> String {
    format!("{}/{}/v2.0", state.origins.entra, state.options.tenant)
}
