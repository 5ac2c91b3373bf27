//! Walks a TOML document and notes what is wrong, with key and line, without stopping.
//!
//! A reader returns `None` for a value it has noted a fault of, so the caller goes on with any
//! default: a document with faults never becomes a configuration. No message repeats a value.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::value::Value;
use crate::config::{Env, Fault};

/// A document being read, and the faults found so far.
pub(super) struct Document<'t> {
    /// The bytes at which lines end, so that a file of thousands of customers is not read through for each.
    line_ends: Vec<usize>,
    /// What relative paths are relative to.
    folder: &'t Path,
    env: Env<'t>,
    faults: RefCell<Vec<Fault>>,
    notes: RefCell<Vec<String>>,
}

impl<'t> Document<'t> {
    pub(super) fn new(text: &str, folder: &'t Path, env: Env<'t>) -> Self {
        Self {
            line_ends: memchr::memchr_iter(b'\n', text.as_bytes()).collect(),
            folder,
            env,
            faults: RefCell::default(),
            notes: RefCell::default(),
        }
    }

    /// Notes a fault of the key `path`, at a byte of the text if it stands anywhere.
    pub(super) fn fault(&self, path: &str, at: Option<usize>, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault {
            key: path.to_owned(),
            line: at.map(|at| self.line(at)),
            message: message.into(),
        });
    }

    /// A path of the document, from where the process runs.
    pub(super) fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// Notes what was decided of the key `path`, where the document leaves it open.
    pub(super) fn note(&self, path: &str, decision: impl Display) {
        self.notes.borrow_mut().push(format!("{path}: {decision}"));
    }

    pub(super) fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// The value of an environment variable.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// Whether an environment variable is set.
    pub(super) fn has_variable(&self, name: &str) -> bool {
        (self.env)(name).is_some()
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }

    /// The line of a byte of the text, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.line_ends.partition_point(|&end| end < at)
    }
}

/// A table whose keys are taken one by one; [`Table::finish`] reports those nobody took.
pub(super) struct Table<'t> {
    document: &'t Document<'t>,
    path: String,
    /// Where its header or brace stands; the document itself stands nowhere.
    at: Option<usize>,
    entries: &'t DeTable<'t>,
    known: Vec<&'static str>,
    /// Keys that have had their own answer, and that nobody should be advised to use.
    mistaken: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// The table at a path, with the byte it begins at.
    pub(super) fn new(
        document: &'t Document<'t>,
        path: &str,
        at: Option<usize>,
        entries: &'t DeTable<'t>,
    ) -> Self {
        Self {
            document,
            path: path.to_owned(),
            at,
            entries,
            known: Vec::new(),
            mistaken: Vec::new(),
        }
    }

    /// The value of a key, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'t>> {
        self.known.push(key);
        self.peek(key)
    }

    /// The value of a key that must be there; `how` says how to write it.
    pub(super) fn require(&mut self, key: &'static str, how: &str) -> Option<Value<'t>> {
        let value = self.take(key);
        if value.is_none() {
            let path = join(&self.path, key);
            let message = format!("is missing: write {how}");
            self.document.fault(&path, self.at, message);
        }
        value
    }

    /// Takes a text and parses it.
    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, key: &'static str) -> Option<T> {
        self.take(key)?.parse()
    }

    /// Takes a key that a later version will know.
    pub(super) fn later(&mut self, key: &'static str) {
        if let Some(value) = self.take(key) {
            value.later();
        }
    }

    /// Answers a key that is written here by mistake.
    pub(super) fn mistake(&mut self, key: &'static str, message: &str) {
        self.mistaken.push(key);
        if let Some(value) = self.peek(key) {
            value.fault(message);
        }
    }

    pub(super) fn document(&self) -> &'t Document<'t> {
        self.document
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Notes a fault of the table as a whole.
    pub(super) fn fault(&self, message: impl Into<String>) {
        self.document.fault(&self.path, self.at, message);
    }

    /// All keys and values of a table whose keys are names, in the order of the file.
    pub(super) fn into_entries(self) -> Vec<(&'t str, Value<'t>)> {
        let mut entries: Vec<_> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries
            .into_iter()
            .map(|(key, node)| (&**key.get_ref(), self.value(key.get_ref(), node)))
            .collect()
    }

    /// Reports the keys that nobody took.
    pub(super) fn finish(self) {
        for key in self.entries.keys() {
            let name = &**key.get_ref();
            if !self.known.contains(&name) && !self.mistaken.contains(&name) {
                let message = format!("is no key known here: {}", advice(name, &self.known));
                let path = join(&self.path, name);
                self.document.fault(&path, Some(key.span().start), message);
            }
        }
    }

    /// The value of a key, which somebody else takes.
    pub(super) fn peek(&self, key: &str) -> Option<Value<'t>> {
        let node = self.entries.get(key)?;
        Some(self.value(key, node))
    }

    fn value(&self, key: &str, node: &'t Spanned<DeValue<'t>>) -> Value<'t> {
        Value::new(self.document, join(&self.path, key), node)
    }
}

/// What to write instead of `wrong`: the nearest of the choices, or all if none is near.
pub(super) fn advice(wrong: &str, choices: &[&str]) -> String {
    let distance = |choice: &&&str| strsim::damerau_levenshtein(wrong, choice);
    let nearest = choices.iter().min_by_key(distance);
    match nearest {
        // Two slips, or one in three letters, is still the same word.
        Some(choice) if distance(&choice) <= 2.max(choice.len() / 3) => {
            format!("did you mean `{choice}`?")
        }
        Some(_) => format!("choose from {}", choices.join(", ")),
        None => "remove it".to_owned(),
    }
}

/// A dotted path with one more key, quoted unless it is a bare one.
fn join(path: &str, key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let key = if !key.is_empty() && key.chars().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}
