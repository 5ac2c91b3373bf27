//! Azure Arc's challenge: the agent names a file that only administrators and members of its group can read (Azure Arc, "Authenticate
//! against Azure resources with Azure Arc-enabled servers").

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use tokio::{fs::File, io::AsyncReadExt as _};
use zeroize::Zeroizing;

use super::PlatformError;

/// What answers the challenge: a value of `Authorization`.
///
/// Whoever listens on the agent's port could name any file, so nothing is read outside the agent's own folder, links followed.
pub(super) async fn answer(
    headers: &HeaderMap,
    folder: &Path,
) -> Result<HeaderValue, PlatformError> {
    let file = realm(headers).ok_or(PlatformError::KeyFile("is not named in its challenge"))?;
    if file.extension().is_none_or(|extension| extension != "key") {
        return Err(PlatformError::KeyFile("has another name than *.key"));
    }
    let unreadable = |_| PlatformError::KeyFile("can't be read");
    let file = tokio::fs::canonicalize(file).await.map_err(unreadable)?;
    let folder = tokio::fs::canonicalize(folder).await.map_err(unreadable)?;
    if !file.starts_with(&folder) {
        return Err(PlatformError::KeyFile("lies outside its own folder"));
    }
    let mut key = Zeroizing::new(Vec::with_capacity(LIMIT + 1));
    let file = File::open(file).await.map_err(unreadable)?;
    file.take(LIMIT as u64 + 1)
        .read_to_end(&mut key)
        .await
        .map_err(unreadable)?;
    basic(&key)
}

fn basic(key: &[u8]) -> Result<HeaderValue, PlatformError> {
    let key = key.trim_ascii();
    if key.is_empty() || key.len() > LIMIT {
        return Err(PlatformError::KeyFile("is empty or too long"));
    }
    let value = Zeroizing::new([b"Basic ", key].concat());
    let mut value =
        HeaderValue::from_bytes(&value).map_err(|_| PlatformError::KeyFile("holds no key"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The file of `WWW-Authenticate: Basic realm=FILE`.
fn realm(headers: &HeaderMap) -> Option<PathBuf> {
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    let realm = challenges
        .filter_map(|value| value.to_str().ok())
        .find_map(|value| value.trim().strip_prefix("Basic realm="))?;
    Some(PathBuf::from(realm.trim_matches('"')))
}

/// The largest key file, in bytes.
const LIMIT: usize = 4096;

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn ask(realm: &str, folder: &Path) -> Result<HeaderValue, PlatformError> {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, realm.parse().unwrap());
        answer(&headers, folder).await
    }

    #[tokio::test]
    async fn a_key_in_the_folder_is_shown_and_hidden_from_logs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.key");
        fs::write(&file, "k3y\n").unwrap();
        for form in [
            format!("Basic realm={}", file.display()),
            format!("Basic realm=\"{}\"", file.display()),
        ] {
            let value = ask(&form, dir.path()).await.unwrap();
            assert_eq!(value, "Basic k3y");
            assert!(!format!("{value:?}").contains("k3y"));
        }
    }

    #[tokio::test]
    async fn no_other_file_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("tokens");
        fs::create_dir(&folder).unwrap();
        for (name, content) in [
            ("outside.key", "S3cret".to_owned()),
            ("tokens/long.key", "x".repeat(LIMIT + 1)),
            ("tokens/empty.key", String::new()),
            ("tokens/key.txt", "S3cret".to_owned()),
            ("tokens/lines.key", "a\nb".to_owned()),
        ] {
            fs::write(outer.path().join(name), content).unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(outer.path().join("outside.key"), folder.join("link.key"))
            .unwrap();
        let at = |name: &str| format!("Basic realm={}/{name}", outer.path().display());
        for realm in [
            at("outside.key"),
            at("tokens/../outside.key"),
            at("tokens/link.key"),
            at("tokens/missing.key"),
            at("tokens/long.key"),
            at("tokens/empty.key"),
            at("tokens/key.txt"),
            at("tokens/lines.key"),
            "Basic realm=".to_owned(),
            "Bearer x".to_owned(),
        ] {
            let error = ask(&realm, &folder).await.expect_err(&realm);
            assert!(matches!(error, PlatformError::KeyFile(_)), "{realm}");
        }
    }
}
