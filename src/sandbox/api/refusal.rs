//! Why a call is refused, and the one table from that to status and code (`reference`: the common error codes).

use http::StatusCode;

use super::filter;

/// A refused call. The text is the `message` of the answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("No resource was found that matches the request URI")]
    NoSuchPath,
    #[error("The requested resource does not support http method '{method}'")]
    Method {
        method: String,
        allowed: &'static str,
    },
    #[error("{kind} {id} was not found")]
    NotFound { kind: &'static str, id: String },
    #[error("No machines were found")]
    NoMachines,
    #[error(transparent)]
    Filter(#[from] filter::Malformed),
    #[error(
        "The limit of '{cap}' for {option} query has been exceeded. The value from the incoming request is '{given}'"
    )]
    OverCap {
        option: &'static str,
        cap: u64,
        given: u64,
    },
    #[error("Invalid value '{value}' for query option {option}")]
    Option { option: String, value: String },
    #[error("Could not find a property named '{name}', which {option} names")]
    Property { option: &'static str, name: String },
    #[error("Request body is incorrect: {0}")]
    Body(String),
    #[error("Required parameter {0} is missing")]
    Missing(&'static str),
    #[error("{0}")]
    Input(String),
    #[error("The batch holds {given} items; the limit is {limit}")]
    Batch { given: usize, limit: usize },
    #[error("An active {0} request already exists for this machine")]
    Active(&'static str),
    #[error(
        "The query result size of {bytes} bytes exceeds the allowed result size of 124 MB. Limit the number of results and try again"
    )]
    ResultSize { bytes: u64 },
}

impl Refusal {
    /// The status it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NoSuchPath | Self::NotFound { .. } | Self::NoMachines => StatusCode::NOT_FOUND,
            Self::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Filter(_)
            | Self::OverCap { .. }
            | Self::Option { .. }
            | Self::Property { .. }
            | Self::Body(_)
            | Self::Missing(_)
            | Self::Input(_)
            | Self::Batch { .. }
            | Self::Active(_)
            | Self::ResultSize { .. } => StatusCode::BAD_REQUEST,
        }
    }

    /// The `code` of the answer.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::NoSuchPath => "NotFound",
            Self::NotFound { .. } | Self::NoMachines => "ResourceNotFound",
            Self::Method { .. } => "MethodNotAllowed",
            Self::Filter(_)
            | Self::OverCap { .. }
            | Self::Option { .. }
            | Self::Property { .. } => "ODataError",
            Self::Body(_) => "InvalidRequestBody",
            Self::Missing(_) => "MissingRequiredParameter",
            Self::Input(_) => "InvalidInput",
            Self::Batch { .. } => "MaximumBatchSizeExceeded",
            Self::Active(_) => "ActiveRequestAlreadyExists",
            Self::ResultSize { .. } => "BadRequest",
        }
    }
}
