//! Managed identities: tokens from the platform that the proxy runs on.

use super::{
    AccessToken, TokenKey,
    entra::{Ask, unavailable},
    error::TokenError,
    identity::ManagedIdentity,
};

/// The platform's token endpoint.
#[derive(Clone, Debug)]
pub struct Platform {}

impl Platform {
    /// Finds the platform by its environment variables.
    #[must_use]
    pub fn detect() -> Self {
        Self {}
    }

    /// One token request.
    ///
    /// # Errors
    /// When there is no such platform here, or it says no.
    #[expect(clippy::unused_async, reason = "placeholder")]
    pub async fn fetch(
        &self,
        _managed: &ManagedIdentity,
        key: &TokenKey,
        _ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        Err(unavailable(key, "managed identities are not supported"))
    }
}
