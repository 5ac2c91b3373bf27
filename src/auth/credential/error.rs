//! Why an application could not prove who it is, before Entra ID was asked.

use std::path::PathBuf;

use crate::auth::{assertion_file::AssertionFileError, certificate::CertificateError};

/// Why there is nothing to show to Entra ID. Holds nothing of what was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The certificate's file.
    #[error("the certificate in {}", file.display())]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Why it is of no use.
        source: CertificateError,
    },
    /// The file with another issuer's assertion.
    #[error(transparent)]
    AssertionFile(#[from] AssertionFileError),
}

impl ProofError {
    /// What to do about it.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Certificate {
                source: CertificateError::Expired(_),
                ..
            } => {
                "make a new certificate, upload it to the app in the Entra portal and replace the file"
            }
            Self::Certificate {
                source: CertificateError::NotYetValid(_),
                ..
            } => "check this machine's clock",
            Self::Certificate { .. } => {
                "mend the file or `certificate` in the configuration; `defender-proxy check --offline` tells whether it can be used"
            }
            Self::AssertionFile(_) => {
                "check `federated_token_file` (or AZURE_FEDERATED_TOKEN_FILE), and whether the platform still writes the file"
            }
        }
    }
}
