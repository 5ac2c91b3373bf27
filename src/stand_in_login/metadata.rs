//! What libraries read before they ask for a token. Every URL leads back to the origin by which the client came.

use serde_json::{Value, json};

use super::{Endpoint, Version};

/// The endpoints of a tenant (`OpenID` Connect Discovery 1.0 §3).
pub(super) fn of_tenant(origin: &str, endpoint: &Endpoint) -> Value {
    let tenant = format!("{origin}/{}", endpoint.tenant);
    let (oauth, keys) = match endpoint.version {
        Version::V1 => ("oauth2", "discovery/keys"),
        Version::V2 => ("oauth2/v2.0", "discovery/v2.0/keys"),
    };
    json!({
        "issuer": endpoint.issuer(origin),
        "authorization_endpoint": format!("{tenant}/{oauth}/authorize"),
        "token_endpoint": format!("{tenant}/{oauth}/token"),
        "device_authorization_endpoint": format!("{tenant}/{oauth}/devicecode"),
        "jwks_uri": format!("{tenant}/{keys}"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code"],
        "subject_types_supported": ["pairwise"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "id_token_signing_alg_values_supported": ["none"],
    })
}

/// The cloud that the login belongs to: itself alone.
pub(super) fn of_instance(origin: &str) -> Value {
    let host = authority(origin);
    json!({
        "tenant_discovery_endpoint": format!("{origin}/common/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    })
}

/// Every user signs in here, none elsewhere.
pub(super) fn realm(origin: &str) -> Value {
    json!({
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": "stand-in.invalid",
        "cloud_instance_name": authority(origin),
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    })
}

fn authority(origin: &str) -> &str {
    origin
        .split_once("://")
        .map_or(origin, |(_, authority)| authority)
}
