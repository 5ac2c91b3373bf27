//! The keys of Azure Arc: who can read the agent's folder may have tokens.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::sandbox::state::{guid, lock};

/// The keys that nobody has used yet, newest last.
#[derive(Default)]
pub(super) struct Keys(Mutex<VecDeque<Key>>);

struct Key {
    file: PathBuf,
    content: String,
}

impl Keys {
    /// A new key in `folder`: its file.
    pub(super) fn issue(&self, folder: &Path) -> io::Result<PathBuf> {
        let key = Key {
            file: folder.join(format!("{}.key", guid())),
            content: BASE64.encode(guid()),
        };
        write(&key)?;
        let file = key.file.clone();
        let mut keys = lock(&self.0);
        keys.push_back(key);
        if keys.len() > MOST {
            keys.pop_front().iter().for_each(remove);
        }
        Ok(file)
    }

    /// Whether `content` is that of a key; it is good once.
    pub(super) fn redeem(&self, content: &str) -> bool {
        let mut keys = lock(&self.0);
        let found = keys.iter().position(|key| key.content == content);
        let used = found.and_then(|place| keys.remove(place));
        used.iter().for_each(remove);
        used.is_some()
    }
}

fn write(key: &Key) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(&key.file)?, key.content.as_bytes())
}

/// A file that stays behind opens nothing any more.
fn remove(key: &Key) {
    let _ = fs::remove_file(&key.file);
}

/// Keys that may wait at a time.
const MOST: usize = 16;
