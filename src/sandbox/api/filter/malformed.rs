//! What can be wrong with a filter.

/// What a filter may be wrong about; the text says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::sandbox::api) enum Malformed {
    #[error("Syntax error at position {at} in '{text}'")]
    Syntax { at: usize, text: String },
    #[error("There is an unterminated string literal at position {at} in '{text}'")]
    Unterminated { at: usize, text: String },
    #[error("Could not find a filterable property named '{0}'")]
    Property(String),
    #[error(
        "A binary operator with incompatible types was detected. Found operand types '{left}' and '{right}'"
    )]
    Types {
        left: &'static str,
        right: &'static str,
    },
    #[error("The filter is nested too deeply")]
    TooDeep,
}

impl Malformed {
    /// A syntax error at byte `at` of `source`.
    pub(super) fn at(at: usize, source: &str) -> Self {
        Self::Syntax {
            at,
            text: source.to_owned(),
        }
    }
}
