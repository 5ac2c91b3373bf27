//! A sign-in in an encrypted file.
//!
//! The new content goes to a file beside it, to the disk, and then takes its place in one step: whenever the process is killed, there
//! is the old file or the new one. All this under the sign-in's lock.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    StoreError, failed, folder,
    sealed::{self, Unopened},
};
use crate::auth::user::kept::Bytes;

/// The content; `None` if there is no file, or it was damaged and has been set aside.
pub(super) fn read(path: &Path, passphrase: &str) -> Result<Option<Bytes>, StoreError> {
    let sealed = match fs::read(path) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path, source)),
    };
    warn_if_loose(path);
    match sealed::open(passphrase, &sealed) {
        Ok(content) => Ok(Some(content)),
        Err(Unopened::WrongKey) => Err(StoreError::WrongKey {
            path: path.to_owned(),
        }),
        Err(Unopened::Damaged) => set_aside(path).map(|()| None),
    }
}

/// Replaces the content.
pub(super) fn write(path: &Path, passphrase: &str, content: &[u8]) -> Result<(), StoreError> {
    let sealed = sealed::seal(passphrase, content).map_err(|_| StoreError::Sealing)?;
    replace(path, &sealed).map_err(|source| failed("write", path, source))
}

/// Removes the content. Tells whether there was any.
pub(super) fn remove(path: &Path) -> Result<bool, StoreError> {
    // A process that was killed may have left a sealed sign-in here.
    let left = remove_one(&beside(path, ".new"))?;
    Ok(remove_one(path)? || left)
}

fn remove_one(path: &Path) -> Result<bool, StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("remove", path, source)),
    }
}

/// What was set aside of it, for a person to remove.
pub(super) fn set_aside_before(path: &Path) -> Vec<PathBuf> {
    let Some(name) = path.file_name() else {
        return Vec::new();
    };
    let damaged = format!("{}{DAMAGED}", name.to_string_lossy());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let entries = fs::read_dir(folder.unwrap_or_else(|| Path::new(".")));
    let entries = entries.into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&damaged))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The path with something behind its name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    folder::make(path)?;
    let new = beside(path, ".new");
    // One that was killed before it could rename has left its own behind.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = folder::private().create_new(true).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    if cfg!(unix) {
        // The new name has to reach the disk as well.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

fn set_aside(path: &Path) -> Result<(), StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let aside = beside(
        path,
        &format!("{DAMAGED}{}", now.unwrap_or_default().as_secs()),
    );
    fs::rename(path, &aside).map_err(|source| failed("set aside", path, source))?;
    tracing::warn!(path = %path.display(), aside = %aside.display(),
        "the file of a sign-in was damaged and has been set aside: sign in again");
    Ok(())
}

#[cfg(unix)]
fn warn_if_loose(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let loose = fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o077 != 0);
    if loose {
        tracing::warn!(path = %path.display(), "the file of a sign-in is open to other users: chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_loose(_: &Path) {}

/// Behind the name of a file, before the seconds since 1970.
const DAMAGED: &str = ".damaged-";

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn content_is_kept_replaced_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/alice.sign-in");
        assert!(read(&path, "key").unwrap().is_none());
        for content in [&b"one"[..], b"two"] {
            write(&path, "key", content).unwrap();
            assert_eq!(**read(&path, "key").unwrap().unwrap(), *content);
        }
        assert_eq!(names(path.parent().unwrap()), ["alice.sign-in"]);
        assert!(remove(&path).unwrap());
        assert!(!remove(&path).unwrap());
    }

    #[test]
    fn a_left_behind_new_file_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(beside(&path, ".new"), "half of somethi").unwrap();
        write(&path, "key", b"one").unwrap();
        assert_eq!(**read(&path, "key").unwrap().unwrap(), *b"one");
        assert_eq!(names(dir.path()), ["a"]);
    }

    #[test]
    fn removing_leaves_no_half_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(beside(&path, ".new"), "a whole one, not yet renamed").unwrap();
        assert!(remove(&path).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_wrong_key_destroys_nothing_and_damage_is_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        write(&path, "key", b"one").unwrap();
        let error = read(&path, "other").unwrap_err();
        assert!(matches!(error, StoreError::WrongKey { .. }), "{error:?}");
        assert_eq!(**read(&path, "key").unwrap().unwrap(), *b"one");

        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..40]).unwrap();
        assert!(read(&path, "key").unwrap().is_none());
        let names = names(dir.path());
        assert!(
            names.len() == 1 && names[0].starts_with("a.damaged-"),
            "{names:?}"
        );
        let aside = dir.path().join(&names[0]);
        assert_eq!(fs::read(&aside).unwrap(), whole[..40]);
        assert_eq!(set_aside_before(&path), [aside]);
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/a");
        write(&path, "key", b"one").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }
}
