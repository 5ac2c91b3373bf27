//! Signing in with the password itself (RFC 6749 §4.3), as old documents show it.

use super::{SignInError, SigningIn};
use crate::auth::{AccessToken, error::TokenError, secret::SecretSource, user::kept::Kept};

pub(super) async fn sign_in(
    signing: &SigningIn<'_>,
    username: &str,
    password: &SecretSource,
) -> Result<(Kept, AccessToken), SignInError> {
    let identity = &signing.key.identity;
    tracing::warn!(identity = %identity,
        "sign_in = \"password\" allows no second factor, and Microsoft advises against it: prefer \"browser\" or \"device\"");
    let password = password
        .read()
        .await
        .map_err(|source| TokenError::Credential {
            identity: identity.to_string(),
            source,
        })?;
    let granted = signing
        .entra
        .password(
            signing.user,
            signing.key,
            (username, &password, signing.ask),
        )
        .await?;
    signing.finish(granted, None)
}
