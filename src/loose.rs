//! Warns of files that hold secrets, or decide where they go, and that other users of the machine may read or change.
//!
//! A warning and not a refusal: in a container or on a mounted volume the modes are often not the user's to choose.

#[cfg(unix)]
use std::path::Path;
use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use crate::config::{Config, Guarded};

/// Warns of every file of a configuration, once in this process for each finding.
pub fn warn_of_all(config: &Config) {
    config.files().into_iter().for_each(warn_of);
}

/// Warns of one file. One that doesn't exist is left to whoever will open it.
pub fn warn_of(file: Guarded<'_>) {
    for finding in findings(file) {
        if is_first(&finding) {
            tracing::warn!("{finding}");
        }
    }
}

/// What others may do, and the command that ends it.
#[cfg(unix)]
fn findings(file: Guarded<'_>) -> Vec<String> {
    match file {
        Guarded::Secret(path) => of_file(path, READ | WRITE)
            .chain(of_folders(path))
            .collect(),
        Guarded::Rule(path) => of_file(path, WRITE).chain(of_folders(path)).collect(),
        Guarded::Socket(path) => of_socket(path).into_iter().collect(),
    }
}

/// Access lists of this system aren't looked at.
#[cfg(not(unix))]
fn findings(_: Guarded<'_>) -> Vec<String> {
    Vec::new()
}

#[cfg(unix)]
fn of_file(path: &Path, forbidden: u32) -> impl Iterator<Item = String> {
    use std::os::unix::fs::MetadataExt;

    let shown = path.display();
    // Links are followed, as whoever reads the file does.
    let meta = path.metadata().ok();
    let mode = meta.as_ref().map_or(0, MetadataExt::mode) & forbidden;
    let me = rustix::process::geteuid().as_raw();
    let owner = meta
        .map(|meta| meta.uid())
        .filter(|uid| ![0, me].contains(uid));
    [
        (mode & READ != 0)
            .then(|| format!("other users may read {shown}, which holds a secret: chmod 600 {shown}")),
        (mode & WRITE != 0).then(|| {
            format!("other users may change {shown}, and with it who gets credentials: chmod go-w {shown}")
        }),
        owner.map(|uid| {
            format!("{shown} belongs to user {uid}, who may change it: chown {me} {shown}")
        }),
    ]
    .into_iter()
    .flatten()
}

/// Who may write to a folder on the way may put another file there; in one with the sticky bit only where there is none.
#[cfg(unix)]
fn of_folders(path: &Path) -> Option<String> {
    // Of a link and of what it points to.
    let places = [std::path::absolute(path).ok()?, path.canonicalize().ok()?];
    let mut folders = places.iter().flat_map(|place| place.ancestors().skip(1));
    let folder = folders.find(|folder| {
        let mode = mode(folder);
        mode & WRITE != 0 && mode & STICKY == 0
    })?;
    let folder = folder.display();
    let shown = path.display();
    Some(format!(
        "other users may put another file in the place of {shown}: chmod go-w {folder}"
    ))
}

/// While the proxy isn't running there is no socket, so the sticky bit helps nobody.
#[cfg(unix)]
fn of_socket(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors()
        .skip(1)
        .find(|folder| mode(folder) & WRITE != 0)
        .map(|folder| {
            let (shown, folder) = (path.display(), folder.display());
            format!(
                "other users may put a socket of theirs at {shown}, as they may write to {folder}: \
             use a folder that only you may enter"
            )
        })
}

/// 0 if there is nothing.
#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    path.metadata().map_or(0, |meta| meta.mode())
}

/// Files of secrets are looked at whenever they are read.
fn is_first(finding: &str) -> bool {
    static SEEN: Mutex<Option<HashSet<String>>> = Mutex::new(None);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get_or_insert_default().insert(finding.to_owned())
}

/// By group or others.
#[cfg(unix)]
const READ: u32 = 0o044;
#[cfg(unix)]
const WRITE: u32 = 0o022;
#[cfg(unix)]
const STICKY: u32 = 0o1000;

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        (folder, path)
    }

    #[test]
    fn modes_of_files() {
        let (_folder, path) = file();
        for (mode, of_secret, of_rule) in [
            (0o600, 0, 0),
            (0o400, 0, 0),
            (0o711, 0, 0),
            (0o640, 1, 0),
            (0o604, 1, 0),
            (0o644, 1, 0),
            (0o620, 1, 1),
            (0o602, 1, 1),
            (0o666, 2, 1),
        ] {
            set(&path, mode);
            let secret = findings(Guarded::Secret(&path));
            let rule = findings(Guarded::Rule(&path));
            assert_eq!(
                (secret.len(), rule.len()),
                (of_secret, of_rule),
                "{mode:o} {secret:?}"
            );
            let named = |finding: &String| finding.contains(&format!(" {}", path.display()));
            assert!(secret.iter().all(named), "{secret:?}");
        }
    }

    #[test]
    fn modes_of_folders() {
        let (folder, path) = file();
        set(&path, 0o600);
        for (mode, of_file, of_socket) in [
            (0o700, 0, 0),
            (0o755, 0, 0),
            (0o777, 1, 1),
            (0o770, 1, 1),
            (0o703, 1, 1),
            (0o1777, 0, 1),
        ] {
            set(folder.path(), mode);
            let found = findings(Guarded::Secret(&path));
            assert_eq!(found.len(), of_file, "{mode:o} {found:?}");
            // The system's folder for what is temporary is everybody's itself.
            let socket = findings(Guarded::Socket(&path)).concat();
            let own = socket.contains(&format!("write to {}:", folder.path().display()));
            assert_eq!(usize::from(own), of_socket, "{mode:o} {socket}");
        }
    }

    #[test]
    fn links_are_followed_and_missing_files_passed_over() {
        let ((far, path), (near, _)) = (file(), file());
        let link = near.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        set(&path, 0o600);
        assert_eq!(findings(Guarded::Secret(&link)), [""; 0]);
        set(&path, 0o644);
        assert_eq!(findings(Guarded::Secret(&link)).len(), 1);
        set(far.path(), 0o777);
        assert_eq!(findings(Guarded::Rule(&link)).len(), 1);
        set(far.path(), 0o700);
        set(near.path(), 0o777);
        assert_eq!(findings(Guarded::Rule(&link)).len(), 1);
        assert_eq!(
            findings(Guarded::Secret(&near.path().join("none"))),
            [""; 0]
        );
    }

    #[test]
    fn a_finding_is_told_once() {
        assert!(is_first("a file that no other test has"));
        assert!(!is_first("a file that no other test has"));
    }
}
