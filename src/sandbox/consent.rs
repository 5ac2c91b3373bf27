//! Which tenants let the application in.

use super::aadsts::{BLOCKED, NO_CONSENT};
use super::client_auth::unknown_app;
use super::entra_errors::EntraError;
use super::settings::Settings;

/// How a tenant stands to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    Missing,
    /// Its Conditional Access blocks the application.
    Blocked,
    /// The application is not there at all.
    AppMissing,
}

impl Consent {
    pub(crate) fn of(settings: &Settings, tenant: &str) -> Self {
        let known = settings.entra.tenants.get(&tenant.to_ascii_lowercase());
        known.copied().unwrap_or(Self::Given)
    }

    /// Refuses a client whose application the tenant doesn't have.
    pub(crate) fn has_app(self, client_id: &str, tenant: &str) -> Result<(), EntraError> {
        match self {
            Self::AppMissing => Err(unknown_app(client_id, tenant)),
            Self::Given | Self::Missing | Self::Blocked => Ok(()),
        }
    }

    /// Refuses a client, known by now, that has no consent or is blocked.
    pub(crate) fn lets_in(self) -> Result<(), EntraError> {
        match self {
            Self::Missing => Err(EntraError::usual(&NO_CONSENT)),
            Self::Blocked => Err(EntraError::usual(&BLOCKED)),
            Self::Given | Self::AppMissing => Ok(()),
        }
    }

    /// What an administrator's consent makes of it: policies still block.
    pub(crate) fn granted(self) -> Self {
        match self {
            Self::Blocked => Self::Blocked,
            Self::Given | Self::Missing | Self::AppMissing => Self::Given,
        }
    }
}
