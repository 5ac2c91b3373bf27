//! Signing in with a browser anywhere, and a code to type in (RFC 8628).

use super::{SignInError, SigningIn};
use crate::auth::{AccessToken, user::kept::Kept};

pub(super) async fn sign_in(signing: &SigningIn<'_>) -> Result<(Kept, AccessToken), SignInError> {
    let (user, key) = (signing.user, signing.key);
    let code = signing.entra.device_code(user, key).await?;
    (signing.prompt)(&code.message());
    let granted = signing.entra.poll(user, key, &code).await?;
    signing.finish(granted, None)
}
