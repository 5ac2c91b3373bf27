//! Why the platform gave no token.

use std::{sync::Arc, time::Duration};

use http::StatusCode;

use crate::auth::aadsts::Class;

/// Why there is no token of a managed identity. Holds no text of the platform's.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// A platform that has managed identities of a kind that is not supported.
    #[error("the managed identities of {0} are not supported")]
    Unsupported(&'static str),
    /// A variable of the platform is no URL.
    #[error("the environment variable {0} is no http:// or https:// URL")]
    Variable(&'static str),
    /// The platform's header has a line break or the like in it.
    #[error("the environment variable IDENTITY_HEADER can't stand in a header")]
    Header,
    /// A machine connected by Azure Arc has its own identity only.
    #[error("a machine connected by Azure Arc has no user-assigned identity")]
    UserAssigned,
    /// Nothing answers.
    #[error("the endpoint of {platform} can't be reached")]
    Unreachable {
        /// The platform.
        platform: &'static str,
        /// Why.
        source: Arc<crate::error::Error>,
    },
    /// It is overloaded, starting or being updated.
    #[error("the endpoint of {platform} answered with status {}", status.as_u16())]
    Busy {
        /// The platform.
        platform: &'static str,
        /// The last status.
        status: StatusCode,
        /// How long it asked to wait.
        retry_after: Option<Duration>,
    },
    /// A success that is none.
    #[error("the answer of {0} holds no usable token")]
    NoToken(&'static str),
    /// It doesn't know the API.
    #[error("the platform doesn't know the API that the token is for")]
    Resource,
    /// There is no such identity.
    #[error("the platform has no such managed identity here (status {})", .0.as_u16())]
    NoIdentity(StatusCode),
    /// It refuses for another reason.
    #[error("the platform refused (status {})", .0.as_u16())]
    Refused(StatusCode),
    /// Azure Arc's proof that we may read what administrators may read.
    #[error("the key file that Azure Arc names {0}")]
    KeyFile(&'static str),
}

impl PlatformError {
    /// What can be done about it.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } | Self::NoToken(_) => Class::Transient,
            Self::Unsupported(_)
            | Self::Variable(_)
            | Self::Header
            | Self::UserAssigned
            | Self::Resource
            | Self::NoIdentity(_)
            | Self::Refused(_)
            | Self::KeyFile(_) => Class::Fatal,
        }
    }

    /// How long the platform asked to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Busy { retry_after, .. } = self {
            *retry_after
        } else {
            None
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "configure another credential, such as a certificate",
            Self::Variable(_) | Self::Header => {
                "unset it, or set it to what the platform documents"
            }
            Self::UserAssigned => "remove the selection: `managed_identity = true`",
            Self::Unreachable { .. } => {
                "check that this machine is in Azure (or connected by Azure Arc) and has a managed identity; elsewhere configure another credential"
            }
            Self::Busy { .. } | Self::NoToken(_) => {
                "wait, the proxy tries again by itself; if it stays, check the route's `audience` and the identity of this machine in the Azure portal"
            }
            Self::Resource => "check the route's `audience`",
            Self::NoIdentity(_) => {
                "assign the identity to this machine in the Azure portal (Identity), and compare its ids with the configuration"
            }
            Self::Refused(_) => "check the identity of this machine in the Azure portal",
            Self::KeyFile(_) => {
                "run the proxy as a member of the group `himds` (on Windows: `Hybrid agent extension applications`)"
            }
        }
    }
}
