//! The three endpoints: paths, what proves that a request comes from this machine, and the words for what is wrong.

use http::StatusCode;

use super::Call;

/// Who hands out the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// The instance metadata service of a virtual machine.
    Imds,
    AppService,
    Arc,
}

impl Source {
    /// The endpoint at `path`.
    pub(super) fn of(path: &str) -> Option<Self> {
        [Self::Imds, Self::AppService, Self::Arc]
            .into_iter()
            .find(|source| source.path() == path)
    }

    /// Its path; Arc has a prefix of its own here, as one server stands in for all.
    fn path(self) -> &'static str {
        match self {
            Self::Imds => "/metadata/identity/oauth2/token",
            Self::AppService => "/msi/token",
            Self::Arc => "/arc/metadata/identity/oauth2/token",
        }
    }

    /// Name in the control answers.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Imds => "imds",
            Self::AppService => "app_service",
            Self::Arc => "arc",
        }
    }

    /// Refuses a request that a web page or another machine could have been talked into.
    pub(super) fn check(self, call: &Call<'_>) -> Result<(), Refusal> {
        match self {
            Self::Imds | Self::Arc => call
                .header("metadata")
                .is_some_and(|value| value.eq_ignore_ascii_case("true"))
                .then_some(())
                .ok_or(Refusal::NoMetadata),
            Self::AppService => (call.header("x-identity-header") == Some(IDENTITY_HEADER))
                .then_some(())
                .ok_or(Refusal::WrongHeader),
        }
    }
}

/// Why there is no token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("Required metadata header not specified")]
    NoMetadata,
    #[error("X-IDENTITY-HEADER is missing or wrong.")]
    WrongHeader,
    #[error("Only GET is allowed.")]
    Method,
    #[error("The query parameter '{0}' is missing.")]
    Missing(&'static str),
    #[error("Only one of the parameters that select an identity may be given.")]
    TwoSelectors,
    #[error("Identity not found")]
    UnknownIdentity,
    #[error("AADSTS500011: The resource principal named {0} was not found in the tenant.")]
    UnknownResource(String),
    #[error("This machine is not connected to Azure Arc: the sandbox has no folder for its keys.")]
    NoArc,
    #[error("Unauthorized")]
    WrongKey,
}

impl Refusal {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoMetadata
            | Self::Missing(_)
            | Self::TwoSelectors
            | Self::UnknownIdentity
            | Self::UnknownResource(_) => StatusCode::BAD_REQUEST,
            Self::WrongHeader | Self::WrongKey => StatusCode::UNAUTHORIZED,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NoArc => StatusCode::NOT_FOUND,
        }
    }

    /// `error` of the metadata service and of Arc.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoMetadata => "bad_request_102",
            Self::UnknownResource(_) => "invalid_resource",
            Self::WrongHeader | Self::WrongKey => "unauthorized_client",
            Self::NoArc => "not_found",
            Self::Method | Self::Missing(_) | Self::TwoSelectors | Self::UnknownIdentity => {
                "invalid_request"
            }
        }
    }
}

/// What App Service puts into `IDENTITY_HEADER`. Published, so it protects nothing.
const IDENTITY_HEADER: &str = "sandbox-identity-header";
