//! Where this user's programs keep their state.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The file of this name in the program's state folder. `None` if the environment names no folder.
pub(super) fn file(name: &str) -> Option<PathBuf> {
    Some(state_folder()?.join("defender-proxy").join(name))
}

/// The base folder: `$XDG_STATE_HOME` or `~/.local/state` (XDG base directory specification), `~/Library/Application Support`,
/// or `%LOCALAPPDATA%`.
fn state_folder() -> Option<PathBuf> {
    let set = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            // A relative path here is to be ignored, says the specification.
            .filter(|path| path.is_absolute())
    };
    if cfg!(windows) {
        return set("LOCALAPPDATA");
    }
    if cfg!(target_os = "macos") {
        return set("HOME").map(|home| home.join("Library/Application Support"));
    }
    set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")))
}

/// Makes the folder of a file, for this user alone, if it isn't there.
pub(super) fn make(file: &Path) -> io::Result<()> {
    let Some(folder) = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    else {
        return Ok(());
    };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Options that make a new file for this user alone.
pub(super) fn private() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}
