//! What clients ask the login host before they ask for tokens: `OpenID` metadata and instance
//! discovery.

use http::{StatusCode, Uri};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::aadsts::Row;
use super::answers::json as json_answer;
use super::api::Answer;
use super::entra::Caller;
use super::entra_errors::EntraError;
use super::federation;
use super::state::State;

/// Answers everything on the login host that is no token request; 404 for what Entra has and this
/// does not.
pub(crate) fn answer(state: &State, uri: &Uri, caller: &Caller) -> Answer {
    let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
    match segments.as_slice() {
        ["federation", ".well-known", "openid-configuration"] => {
            json_answer(StatusCode::OK, &federation::metadata(state))
        }
        ["federation", "discovery", "keys"] => {
            json_answer(StatusCode::OK, &state.keys.federation.set())
        }
        [tenant, "v2.0", ".well-known", "openid-configuration"] => {
            openid(state, tenant, "/v2.0", caller)
        }
        [tenant, ".well-known", "openid-configuration"] => openid(state, tenant, "", caller),
        [_, "discovery", "v2.0", "keys"] | [_, "discovery", "keys"] => {
            json_answer(StatusCode::OK, &state.keys.tokens.set())
        }
        ["common", "userrealm", user] => json_answer(StatusCode::OK, &realm(user)),
        ["common", "discovery", "instance"] => json_answer(StatusCode::OK, &instance(state)),
        _ => Answer::without_body(StatusCode::NOT_FOUND),
    }
}

fn openid(state: &State, tenant: &str, version: &str, caller: &Caller) -> Answer {
    let alias = ["common", "organizations", "consumers"].contains(&tenant);
    // Entra puts the id in the place of a domain.
    let (tenant, issuer_tenant) = match state.options.tenant_named(tenant) {
        _ if alias => (tenant, "{tenantid}"),
        Some(id) => (id, id),
        None => return caller.refuse(&EntraError::usual(&INVALID_TENANT), &state.settings()),
    };
    let origin = &state.origins.entra;
    let issuer = match version {
        "" => format!("https://sts.windows.net/{issuer_tenant}/"),
        _ => format!("{origin}/{issuer_tenant}/v2.0"),
    };
    let body = json!({
        "token_endpoint": format!("{origin}/{tenant}/oauth2{version}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": format!("{origin}/{tenant}/discovery{version}/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "response_types_supported": ["code"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "preferred_username", "name", "tid", "oid", "ver"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": issuer,
        "authorization_endpoint": format!("{origin}/{tenant}/oauth2{version}/authorize"),
        "device_authorization_endpoint": format!("{origin}/{tenant}/oauth2{version}/devicecode"),
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
        "cloud_graph_host_name": "graph.windows.net",
        "msgraph_host": "graph.microsoft.com",
    });
    json_answer(StatusCode::OK, &body)
}

/// Every user's account is kept here, and not by another identity provider.
fn realm(user: &str) -> Value {
    // A name in a path is encoded like one in a form.
    let user = form_urlencoded::parse(user.as_bytes()).next();
    let user = user.map(|(name, _)| name).unwrap_or_default();
    let domain = user.rsplit_once('@').map_or("", |(_, domain)| domain);
    json!({
        "ver": "1.0",
        "account_type": "Managed",
        "domain_name": domain,
        "cloud_instance_name": "microsoftonline.com",
        "cloud_audience_urn": "urn:federation:MicrosoftOnline",
    })
}

/// One cloud with one host: this one.
fn instance(state: &State) -> Value {
    let origin = &state.origins.entra;
    let host = origin.strip_prefix("https://").unwrap_or(origin);
    let tenant = &state.options.tenant;
    json!({
        "tenant_discovery_endpoint": format!("{origin}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    })
}

/// Metadata for an unknown tenant has an error word of its own.
static INVALID_TENANT: Row = Row {
    code: 90002,
    status: StatusCode::BAD_REQUEST,
    error: "invalid_tenant",
    suberror: None,
    claims: false,
    text: "Tenant not found. Check that the tenant id is right and that it is in this cloud.",
};
