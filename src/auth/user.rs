//! Signed-in users: one refresh token for each, which serves all audiences.

use super::{
    AccessToken, TokenKey,
    entra::{Ask, Entra, unavailable},
    error::TokenError,
    identity::User,
};

/// The sign-ins of this machine's user.
#[derive(Clone, Debug, Default)]
pub struct SignIns {}

impl SignIns {
    /// Gets a token with the stored sign-in.
    ///
    /// # Errors
    /// When nobody is signed in, or Entra ID says no.
    #[expect(clippy::unused_async, reason = "placeholder")]
    pub async fn fetch(
        &self,
        _entra: &Entra,
        _user: &User,
        key: &TokenKey,
        _ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        Err(unavailable(key, "signing in is not supported"))
    }
}
