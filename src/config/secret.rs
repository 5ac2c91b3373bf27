//! Reads where a secret is kept, and refuses the secret itself.

use std::path::Path;

use crate::auth::secret::SecretSource;
use crate::config::reader::Table;
use crate::config::value::Value;

/// Reads `{ env = … }`, `{ file = … }`, `{ command = […] }` or `{ keyring = … }`.
pub(super) fn read(value: &Value<'_>) -> Option<SecretSource> {
    if value.text().is_some() {
        value.fault(format!("{LITERAL}: write {FORMS}"));
        return None;
    }
    let mut table = value.table()?;
    let env = table.take("env");
    let file = table.take("file");
    let command = table.take("command");
    let keyring = table.take("keyring");
    let sources = match (env, file, command, keyring) {
        (Some(name), None, None, None) => variable(&name).map(SecretSource::Env),
        (None, Some(path), None, None) => path.file().map(SecretSource::File),
        (None, None, Some(argv), None) => program(&argv).map(SecretSource::Command),
        (None, None, None, Some(name)) => entry(&name).map(SecretSource::Keyring),
        (None, None, None, None) => {
            table.fault(format!("says not where the secret is kept: write {FORMS}"));
            None
        }
        _ => {
            table.fault(format!("must have exactly one key: write {FORMS}"));
            None
        }
    };
    table.finish();
    sources
}

/// Refuses keys under which people write the secret itself.
pub(super) fn refuse_literals(table: &mut Table<'_>, keys: &[&'static str], instead: &str) {
    for key in keys {
        table.mistake(key, &format!("does not stand here: write {instead}"));
    }
}

/// The name of a variable. A stricter rule than the system's keeps a secret, written here by
/// mistake, out of the messages that name the variable.
fn variable(value: &Value<'_>) -> Option<String> {
    let name = value.string()?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.bytes().all(valid)
    {
        value.fault("must be the name of an environment variable: letters, digits and _");
        return None;
    }
    if !value.document().has_variable(name) {
        // By key and not by name: some people write the secret where its name should stand.
        tracing::warn!(
            key = value.path(),
            line = value.line(),
            "the configuration names an environment variable that is not set"
        );
    }
    Some(name.to_owned())
}

/// The user name of a keyring's entry; as strict a rule as for variables, for the same reason.
fn entry(value: &Value<'_>) -> Option<String> {
    let name = value.string()?;
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"-_.@/".contains(&b);
    if name.is_empty() || !name.bytes().all(valid) {
        value.fault(
            "must be the user name of an entry in the keyring, whose service is defender-proxy: letters, digits and - _ . @ /",
        );
        return None;
    }
    Some(name.to_owned())
}

/// A program and its arguments. A program with a folder in its name is relative to the document.
fn program(value: &Value<'_>) -> Option<Vec<String>> {
    const FORM: &str = "must be a list of program and arguments, like [\"vault\", \"read\"]: no \
                        shell takes it apart";
    if value.text().is_some() {
        value.fault(FORM);
        return None;
    }
    let words: Option<Vec<_>> = value.elements()?.iter().map(Value::string).collect();
    let mut words: Vec<_> = words?.into_iter().map(str::to_owned).collect();
    if words.first().is_none_or(String::is_empty) || words.iter().any(|w| w.contains('\0')) {
        value.fault(FORM);
        return None;
    }
    if Path::new(&words[0]).components().count() > 1 {
        // The folder may be no UTF-8; then the name stays relative to the working directory.
        let resolved = value.document().resolve(&words[0]);
        if let Ok(resolved) = resolved.into_os_string().into_string() {
            words[0] = resolved;
        }
    }
    Some(words)
}

const LITERAL: &str = "must not hold the secret itself, which never stands in this file";
const FORMS: &str = "{ env = \"NAME\" }, { file = \"path\" }, { command = [\"program\", \"argument\"] } or { keyring = \"name\" }";
