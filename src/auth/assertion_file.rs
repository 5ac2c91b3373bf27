//! Workload identity federation: a file with an assertion that another issuer signed.
//!
//! The platform replaces the file long before the assertion in it ends, so it is read at each token request and never kept.

use std::{
    io,
    path::{Path, PathBuf},
};

use tokio::fs::File;

use super::secret::{self, Secret};
use crate::{config::Guarded, loose};

/// Reads the assertion as it is now, without white space around it.
///
/// # Errors
/// When the file can't be read, or what is in it is no JWT (RFC 7519 §3: three parts with dots between).
pub async fn read(file: &Path) -> Result<Secret, AssertionFileError> {
    let unreadable = |source| AssertionFileError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).await.map_err(unreadable)?;
    loose::warn_of(Guarded::Secret(file));
    let bytes = secret::read_bounded(opened).await.map_err(unreadable)?;
    let text = bytes
        .as_deref()
        .and_then(|bytes| str::from_utf8(bytes).ok());
    let text = text.map(str::trim).filter(|text| is_jwt(text));
    text.map(|text| Secret::from(text.to_owned()))
        .ok_or_else(|| AssertionFileError::NoAssertion {
            file: file.to_owned(),
        })
}

fn is_jwt(text: &str) -> bool {
    let part = |part: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !part.is_empty() && part.bytes().all(allowed)
    };
    text.split('.').count() == 3 && text.split('.').all(part)
}

/// Why the file gives no assertion. Holds nothing of its content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssertionFileError {
    /// It could not be read.
    #[error("the federated token file {} can't be read", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("the federated token file {} holds no signed token (JWT)", file.display())]
    NoAssertion {
        /// The file.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn read_text(text: &str) -> Result<Secret, AssertionFileError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        fs::write(&file, text).unwrap();
        read(&file).await
    }

    #[tokio::test]
    async fn white_space_around_it_is_dropped() {
        let read = read_text("\n eyJh.eyJi.c-_9\r\n").await.unwrap();
        assert_eq!(read.expose(), "eyJh.eyJi.c-_9");
    }

    #[tokio::test]
    async fn anything_but_a_jwt_is_refused_without_being_shown() {
        for text in [
            "",
            "opaque",
            "a.b",
            "a..c",
            "a.b.c.d",
            "a.b.c d",
            "{\"token\": \"a.b.c\"}",
        ] {
            let error = read_text(text).await.unwrap_err();
            assert!(
                matches!(error, AssertionFileError::NoAssertion { .. }),
                "{text}"
            );
        }
        let shown = read_text("S3cret").await.unwrap_err().to_string();
        assert!(!shown.contains("S3cret"), "{shown}");
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = read(Path::new("/nowhere/token")).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/token"));
    }
}
