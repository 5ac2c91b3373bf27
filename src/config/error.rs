//! What is wrong with a configuration: all of it at once.

use std::fmt;

use crate::config::Source;

/// Everything that is wrong with a configuration; at least one fault.
///
/// Its `Display` is one line per fault: `proxy.toml:12: identity.soc.tenant: …`.
#[derive(Clone, Debug)]
pub struct ConfigError {
    origin: Source,
    faults: Vec<Fault>,
}

impl ConfigError {
    /// Sorts the faults by line; those of no line come first.
    pub(super) fn new(origin: Source, mut faults: Vec<Fault>) -> Self {
        faults.sort_by_key(|fault| fault.line);
        Self { origin, faults }
    }

    /// The faults in the order of their lines.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match fault.line {
                Some(line) => write!(f, "{}:{line}: {fault}", self.origin)?,
                None => write!(f, "{}: {fault}", self.origin)?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The dotted path of the key (`route[0].prefix`) or the environment variable; empty for the
    /// file as a whole.
    pub key: String,
    /// The line in the file, from 1.
    pub line: Option<usize>,
    /// What is wrong and what to do. It never repeats a value that could be a secret.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}
