//! ID tokens, of the token endpoint.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use defender_proxy::auth::{
    identity::{SignIn, StoreConfig, User},
    user::id_token,
};
use serde_json::Value;

/// No claims panic; what is accepted is for this app, tenant and sign-in, and its name can be shown on a terminal.
pub(crate) fn id_token(claims: &[u8]) {
    let token = format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims));
    let Ok(account) = id_token::check(&token, &USER, Some(NONCE)) else {
        return;
    };
    // A claim that nobody reads may hold what is no text.
    let Ok(claims) = serde_json::from_slice::<Value>(claims) else {
        return;
    };
    let claim = |name: &str| claims[name].as_str().unwrap_or_default();
    assert_eq!(claim("aud"), CLIENT);
    assert_eq!(claim("nonce"), NONCE);
    assert!(claim("tid").eq_ignore_ascii_case(TENANT));
    assert!(account.name.chars().count() <= 200);
    assert!(!account.name.contains(char::is_control), "{account:?}");
}

/// Text of any kind in the place of a token is none, or one of those.
pub(crate) fn any_token(token: &str) {
    let _ = id_token::check(token, &USER, None);
}

const CLIENT: &str = "5a9db0c5-0000-4000-8000-0000000000cc";
const TENANT: &str = "5a9db0c5-0000-4000-8000-000000000001";
const NONCE: &str = "n";

static USER: LazyLock<User> = LazyLock::new(|| User {
    tenant: TENANT.parse().expect("a tenant"),
    client_id: CLIENT.parse().expect("a client"),
    sign_in: SignIn::Browser,
    store: StoreConfig::Memory,
});
