//! Finds the configuration file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::{ConfigError, Env, Fault, Source};

/// What the search found.
pub(super) enum Found {
    /// A file and what it says.
    File(PathBuf, String),
    /// None of these files.
    Nothing(Vec<PathBuf>),
}

/// Looks for the file that was asked for, then for one in `folder`, then for the user's own.
///
/// A file that was asked for must be there; any file that is there must be readable.
pub(super) fn find(folder: &Path, file: Option<&Path>, env: Env<'_>) -> Result<Found, ConfigError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let asked = file.map(Path::to_owned);
    if let Some(path) = asked.or_else(|| set("DEFENDER_PROXY_CONFIG").map(PathBuf::from)) {
        return match read(&path)? {
            Some(text) => Ok(Found::File(path, text)),
            None => Err(whole(
                path,
                None,
                "does not exist: `defender-proxy init` writes one",
            )),
        };
    }
    let own = user_folder(set).map(|folder| folder.join("defender-proxy").join(NAME));
    let mut looked_for = Vec::new();
    for path in [folder.join(NAME)].into_iter().chain(own) {
        match read(&path)? {
            Some(text) => return Ok(Found::File(path, text)),
            None => looked_for.push(path),
        }
    }
    Ok(Found::Nothing(looked_for))
}

/// The text of a file, or `None` if there is no such file.
fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let message = format!("cannot be read ({error}): make it a file this user may read");
            return Err(whole(path.to_owned(), None, &message));
        }
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|&byte| byte == b'\n').count();
        whole(
            path.to_owned(),
            Some(line),
            "is not UTF-8 text: save the file as UTF-8",
        )
    })
}

/// A fault of the file as a whole.
fn whole(path: PathBuf, line: Option<usize>, message: &str) -> ConfigError {
    let fault = Fault {
        key: String::new(),
        line,
        message: message.to_owned(),
    };
    ConfigError::new(Source::File(path), vec![fault])
}

/// Where this user's programs keep their configuration.
fn user_folder(set: impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    if cfg!(windows) {
        return set("APPDATA").map(PathBuf::from);
    }
    // A relative path here is to be ignored (XDG base directory specification).
    let xdg = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    xdg.or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))
}

const NAME: &str = "proxy.toml";
