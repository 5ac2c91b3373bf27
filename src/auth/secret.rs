//! Secrets: where they are kept, and the value while it is in use.
//!
//! A value is read at each use, so a rotated secret works at once, and is wiped when dropped.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time;
use tokio::{fs::File, sync::Semaphore};
use zeroize::Zeroizing;

use super::keyring::{self, KeyringError};
use crate::{config::Guarded, loose};

/// A secret in the clear. It is wiped from memory when dropped.
///
/// Deliberately without `Display`, `Serialize`, `Clone` and `==`: each would let the value out, into
/// a message, a file, a second copy or a timing.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// The value, for the one place that sends or compares it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Where a secret is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// The environment variable of this name.
    Env(String),
    /// The content of a file.
    File(PathBuf),
    /// What a program writes to its standard output: the program and its arguments. No shell reads
    /// them, and the program gets no standard input.
    Command(Vec<String>),
    /// An entry of the operating system's keyring: its user (account) name. Its service is `defender-proxy`.
    Keyring(String),
}

impl SecretSource {
    /// Reads the value as it is now, without one newline at its end.
    ///
    /// Dropping the future kills the program and leaves nothing behind.
    ///
    /// # Errors
    ///
    /// If the value cannot be had (a program gets 30 seconds), is empty, is not UTF-8 or is longer
    /// than 64 KiB.
    pub async fn read(&self) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::Env(variable) => read_variable(variable)?,
            Self::File(path) => read_file(path).await?,
            Self::Command(argv) => run(argv, COMMAND_TIME).await?,
            Self::Keyring(name) => read_keyring(name).await?,
        };
        let place = || self.to_string();
        let text = str::from_utf8(&bytes).map_err(|_| SecretError::NotText { place: place() })?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            return Err(SecretError::Empty { place: place() });
        }
        Ok(Secret::from(text.to_owned()))
    }
}

impl fmt::Display for SecretSource {
    /// Names the place in a sentence, without the arguments of a program.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "the environment variable {variable}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            Self::Command(argv) => write!(f, "the output of {}", program(argv)),
            Self::Keyring(name) => write!(f, "the entry {name} of the keyring"),
        }
    }
}

impl fmt::Debug for SecretSource {
    // As `Display`: the arguments of a program may be secrets themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretSource({self})")
    }
}

/// Why a secret could not be read. No message holds any part of the value.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The environment variable does not exist.
    #[error("the environment variable {variable} is not set: set it to the secret")]
    Unset {
        /// Its name.
        variable: String,
    },
    /// The file could not be read.
    #[error("cannot read the secret in the file {}: make it readable for this user", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The program could not be started, or its output not be read.
    #[error("cannot run {program} for its secret: check that it is installed and in PATH")]
    Start {
        /// The program, without its arguments.
        program: String,
        /// What the system says.
        source: io::Error,
    },
    /// The program says that it failed.
    #[error("{program} gave no secret but failed ({status}): run it by hand to see why")]
    Failed {
        /// The program, without its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The program did not end in time.
    #[error(
        "{program} gave no secret within {} s: it must answer without asking anyone", time.as_secs()
    )]
    Slow {
        /// The program, without its arguments.
        program: String,
        /// The time it had.
        time: Duration,
    },
    /// The keyring can't be used.
    #[error("cannot read the secret in the entry {name} of the keyring")]
    Keyring {
        /// The entry's user name.
        name: String,
        /// Why.
        source: KeyringError,
    },
    /// The keyring has no such entry.
    #[error(
        "the keyring has no entry with the service {} and the user name {name}: put the secret there",
        keyring::SERVICE
    )]
    NoEntry {
        /// The entry's user name.
        name: String,
    },
    /// There is nothing there but perhaps a newline.
    #[error("{place} is empty: put the secret there")]
    Empty {
        /// Where, in words.
        place: String,
    },
    /// More than 64 KiB.
    #[error("{place} is longer than 64 KiB, which no secret is: put the secret alone there")]
    Long {
        /// Where, in words.
        place: String,
    },
    /// The value is not UTF-8.
    #[error("{place} is not text in UTF-8: put the secret there as text")]
    NotText {
        /// Where, in words.
        place: String,
    },
}

pub(super) type Bytes = Zeroizing<Vec<u8>>;

fn read_variable(variable: &str) -> Result<Bytes, SecretError> {
    // A name with one of these can not exist; asking for it may panic.
    let exists = !variable.is_empty() && !variable.contains(['=', '\0']);
    match exists.then(|| std::env::var_os(variable)).flatten() {
        Some(value) => Ok(Zeroizing::new(value.into_encoded_bytes())),
        None => Err(SecretError::Unset {
            variable: variable.to_owned(),
        }),
    }
}

pub(super) async fn read_file(path: &Path) -> Result<Bytes, SecretError> {
    let failed = |source| SecretError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).await.map_err(failed)?;
    loose::warn_of(Guarded::Secret(path));
    let bytes = read_bounded(file).await.map_err(failed)?;
    bytes.ok_or_else(|| SecretError::Long {
        place: SecretSource::File(path.to_owned()).to_string(),
    })
}

/// Off the runtime, as a keyring may wait for the person who unlocks it.
async fn read_keyring(name: &str) -> Result<Bytes, SecretError> {
    // One at a time: who doesn't unlock it holds a thread for as long as they like.
    static TURN: Semaphore = Semaphore::const_new(1);
    let owned = name.to_owned();
    let read = async {
        let turn = TURN.acquire().await;
        tokio::task::spawn_blocking(move || {
            let read = keyring::read(&owned);
            drop(turn);
            read
        })
        .await
    };
    let unusable = |why: &str| Err(KeyringError::Unusable(why.to_owned()));
    let read = match time::timeout(KEYRING_TIME, read).await {
        Ok(Ok(read)) => read,
        Ok(Err(_)) => unusable("the program is stopping"),
        Err(_) => unusable("nobody has unlocked it"),
    };
    let name = || name.to_owned();
    match read {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(SecretError::NoEntry { name: name() }),
        Err(source) => Err(SecretError::Keyring {
            name: name(),
            source,
        }),
    }
}

async fn run(argv: &[String], limit: Duration) -> Result<Bytes, SecretError> {
    let program = || program(argv).to_owned();
    match time::timeout(limit, output(argv)).await {
        Err(_) => Err(SecretError::Slow {
            program: program(),
            time: limit,
        }),
        Ok(Err(source)) => Err(SecretError::Start {
            program: program(),
            source,
        }),
        Ok(Ok(None)) => Err(SecretError::Long {
            place: format!("the output of {}", program()),
        }),
        Ok(Ok(Some((status, _)))) if !status.success() => Err(SecretError::Failed {
            program: program(),
            status,
        }),
        Ok(Ok(Some((_, bytes)))) => Ok(bytes),
    }
}

/// How a program ended and what it wrote; `None` if that was too much, and then it is killed.
async fn output(argv: &[String]) -> io::Result<Option<(ExitStatus, Bytes)>> {
    let mut child = Command::new(program(argv))
        .args(argv.iter().skip(1))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // It may repeat the secret or the arguments, and ours is the log.
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    match read_bounded(stdout).await? {
        Some(bytes) => Ok(Some((child.wait().await?, bytes))),
        None => Ok(None),
    }
}

/// All that a reader gives, or `None` if that is more than [`LIMIT`].
pub(super) async fn read_bounded(reader: impl AsyncRead + Unpin) -> io::Result<Option<Bytes>> {
    // All the room at once: a vector that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(vec![0; LIMIT + 1]);
    let mut reader = reader;
    let mut length = 0;
    while length < bytes.len() {
        match reader.read(&mut bytes[length..]).await? {
            0 => {
                bytes.truncate(length);
                return Ok(Some(bytes));
            }
            read => length += read,
        }
    }
    Ok(None)
}

/// The program of a command; an empty command names none, and so can't be started.
fn program(argv: &[String]) -> &str {
    argv.first().map_or("", String::as_str)
}

const LIMIT: usize = 64 * 1024;
const COMMAND_TIME: Duration = Duration::from_secs(30);
/// A person may have to type a password.
const KEYRING_TIME: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    const VALUE: &str = "kept~value";

    fn file(content: impl AsRef<[u8]>) -> (tempfile::TempDir, SecretSource) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, content).expect("a file");
        (folder, SecretSource::File(path))
    }

    fn command(argv: &[&str]) -> SecretSource {
        SecretSource::Command(argv.iter().map(|&word| word.into()).collect())
    }

    /// An error's whole chain, which must never hold the value.
    fn chain(error: &SecretError) -> String {
        let mut text = format!("{error} {error:?}");
        let mut next = std::error::Error::source(error);
        while let Some(error) = next {
            text += &error.to_string();
            next = error.source();
        }
        assert!(!text.contains(VALUE), "{text}");
        text
    }

    #[tokio::test]
    async fn one_newline_is_not_part_of_the_value() {
        for (content, value) in [
            (VALUE.to_owned(), VALUE.to_owned()),
            (format!("{VALUE}\n"), VALUE.to_owned()),
            (format!("{VALUE}\r\n"), VALUE.to_owned()),
            (format!("{VALUE}\n\n"), format!("{VALUE}\n")),
            (format!(" {VALUE} "), format!(" {VALUE} ")),
        ] {
            let (_folder, source) = file(&content);
            assert_eq!(
                source.read().await.expect("a secret").expose(),
                value,
                "{content:?}"
            );
        }
    }

    #[tokio::test]
    async fn a_changed_file_is_a_changed_secret() {
        let (folder, source) = file("one");
        assert_eq!(source.read().await.expect("a secret").expose(), "one");
        std::fs::write(folder.path().join("secret"), "two").expect("a file");
        assert_eq!(source.read().await.expect("a secret").expose(), "two");
    }

    #[tokio::test]
    async fn files_that_hold_no_secret() {
        for content in ["", "\n", "\r\n"] {
            let (_folder, source) = file(content);
            let error = source.read().await.expect_err("empty");
            assert!(matches!(error, SecretError::Empty { .. }), "{error:?}");
        }
        let (_folder, source) = file([VALUE.as_bytes(), &[0xff]].concat());
        let error = source.read().await.expect_err("not text");
        assert!(
            matches!(error, SecretError::NotText { .. }),
            "{}",
            chain(&error)
        );

        let (_folder, source) = file("x".repeat(LIMIT));
        assert_eq!(
            source
                .read()
                .await
                .expect("just short enough")
                .expose()
                .len(),
            LIMIT
        );
        let (_folder, source) = file("x".repeat(LIMIT + 1));
        let error = source.read().await.expect_err("too long");
        assert!(matches!(error, SecretError::Long { .. }), "{error:?}");

        let source = SecretSource::File("no/such/file".into());
        let error = source.read().await.expect_err("absent");
        assert!(chain(&error).contains("no/such/file"));
    }

    #[tokio::test]
    async fn variables() {
        let source = SecretSource::Env("CARGO_PKG_NAME".to_owned());
        assert_eq!(
            source.read().await.expect("set by cargo").expose(),
            "defender-proxy"
        );
        for name in ["DEFENDER_PROXY_NEVER_SET", "", "A=B", "A\0B"] {
            let error = SecretSource::Env(name.to_owned()).read().await;
            let error = error.expect_err(name);
            assert!(matches!(error, SecretError::Unset { .. }), "{error:?}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn programs() {
        let secret = command(&["printf", "%s\\n", VALUE]).read().await;
        assert_eq!(secret.expect("a secret").expose(), VALUE);
        // No shell: nothing is expanded. No standard input: it ends at once.
        let secret = command(&["printf", "%s", "$HOME;x"]).read().await;
        assert_eq!(secret.expect("a secret").expose(), "$HOME;x");
        let error = command(&["cat"]).read().await.expect_err("no input");
        assert!(matches!(error, SecretError::Empty { .. }), "{error:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn programs_that_give_no_secret() {
        let script = format!("echo {VALUE}; echo {VALUE} >&2; exit 3");
        let error = command(&["sh", "-c", &script])
            .read()
            .await
            .expect_err("exit 3");
        let text = chain(&error);
        assert!(
            text.contains("sh gave no secret") && text.contains('3'),
            "{text}"
        );

        for argv in [&["no-such-program-here", VALUE][..], &[]] {
            let error = command(argv).read().await.expect_err("absent");
            assert!(
                matches!(error, SecretError::Start { .. }),
                "{}",
                chain(&error)
            );
        }

        let error = command(&["yes", VALUE]).read().await.expect_err("endless");
        assert!(
            matches!(error, SecretError::Long { .. }),
            "{}",
            chain(&error)
        );

        let argv = ["tail", "-f", "/dev/null"].map(String::from);
        let error = run(&argv, Duration::from_millis(20))
            .await
            .expect_err("silent");
        assert!(matches!(error, SecretError::Slow { .. }), "{error:?}");
    }

    #[test]
    fn nothing_shows_the_value_or_the_arguments() {
        assert_eq!(format!("{:?}", Secret::from(VALUE.to_owned())), "Secret(…)");
        let source = command(&["vault", VALUE]);
        assert_eq!(source.to_string(), "the output of vault");
        assert_eq!(format!("{source:?}"), "SecretSource(the output of vault)");
    }
}
