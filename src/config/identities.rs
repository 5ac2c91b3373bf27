//! Reads `[identity.…]`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::auth::identity::{Identity, Kind, StoreConfig};
use crate::config::reader::{Document, Table, advice};
use crate::config::value::Value;
use crate::config::{application, partner, secret, user};

/// The identities of a document in the order of the file. One with a fault is kept by name, so
/// that a route which names it is not blamed.
pub(super) struct Identities<'t> {
    entries: Vec<(&'t str, Option<Arc<Identity>>)>,
}

impl<'t> Identities<'t> {
    /// Reads the table of identities; none at all is a fault.
    pub(super) fn read(document: &Document<'_>, value: Option<&Value<'t>>) -> Self {
        const NAMED: &str = "must be a table under a name of your choice: write [identity.NAME]";
        let none = Self {
            entries: Vec::new(),
        };
        let Some(value) = value else {
            let message = "there is nobody to sign in as: add a table [identity.NAME] with kind = \
                           \"application\", tenant, client_id and credential";
            document.fault("identity", None, message);
            return none;
        };
        let entries = match value.is_table().then(|| value.table()).flatten() {
            Some(table) => table.into_entries(),
            None => Vec::new(),
        };
        // One key of the table without a name is enough: the others are no identities either.
        if entries.is_empty() || entries.iter().any(|(_, entry)| !entry.is_table()) {
            value.fault(NAMED);
            return none;
        }
        let read = |(name, value): &(&'t str, Value<'_>)| (*name, read_one(name, value));
        let read: Vec<_> = entries.iter().map(read).collect();
        refuse_shared_files(&entries, &read);
        Self { entries: read }
    }

    /// Those without a fault.
    pub(super) fn list(&self) -> Vec<Arc<Identity>> {
        self.entries
            .iter()
            .filter_map(|(_, identity)| identity.clone())
            .collect()
    }

    pub(super) fn names(&self) -> Vec<&'t str> {
        self.entries.iter().map(|(name, _)| *name).collect()
    }

    /// Whether one of them acts for customers.
    pub(super) fn has_partner(&self) -> bool {
        let mut entries = self
            .entries
            .iter()
            .filter_map(|(_, identity)| identity.as_ref());
        entries.any(|identity| matches!(identity.kind, Kind::Partner(_)))
    }

    /// The only one there is, unless it has a fault.
    pub(super) fn only(&self) -> Option<Arc<Identity>> {
        match self.entries.as_slice() {
            [(_, identity)] => identity.clone(),
            _ => None,
        }
    }

    /// The one that a route's `identity` names; it may be left out if there is only one.
    pub(super) fn of_route(&self, route: &mut Table<'_>) -> Option<Arc<Identity>> {
        if self.entries.is_empty() || self.entries.len() == 1 && !route.has("identity") {
            route.take("identity");
            return self.only();
        }
        let choices = self.names();
        let how = format!("identity = \"…\" with one of {}", choices.join(", "));
        let value = route.require("identity", &how)?;
        let name = value.string()?;
        let found = self.entries.iter().find(|(known, _)| *known == name);
        let Some((_, identity)) = found else {
            value.fault(format!(
                "is no identity of this file: {}",
                advice(name, &choices)
            ));
            return None;
        };
        identity.clone()
    }
}

fn read_one(name: &str, value: &Value<'_>) -> Option<Arc<Identity>> {
    let mut table = value.table()?;
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if name.is_empty() || !name.bytes().all(bare) {
        table.fault("must have a name of letters, digits, - and _");
    }
    let kind = read_kind(&mut table);
    secret::refuse_literals(
        &mut table,
        &["secret", "client_secret"],
        application::CREDENTIAL,
    );
    table.finish();
    Some(Arc::new(Identity {
        name: name.into(),
        kind: kind?,
    }))
}

/// A file keeps one sign-in.
fn refuse_shared_files(entries: &[(&str, Value<'_>)], read: &[(&str, Option<Arc<Identity>>)]) {
    let mut files: HashMap<&Path, &str> = HashMap::new();
    for ((name, value), (_, identity)) in entries.iter().zip(read) {
        let Some(file) = identity.as_deref().and_then(store_file) else {
            continue;
        };
        let other = *files.entry(file).or_insert(name);
        let value = value.table().and_then(|table| table.peek("store_file"));
        if let Some(value) = value.filter(|_| other != *name) {
            value.fault(format!(
                "is already that of identity '{other}': give each its own file"
            ));
        }
    }
}

fn store_file(identity: &Identity) -> Option<&Path> {
    let Kind::User(user) = &identity.kind else {
        return None;
    };
    match &user.store {
        StoreConfig::File { path, .. } => path.as_deref(),
        StoreConfig::Keyring | StoreConfig::Memory => None,
    }
}

fn read_kind(table: &mut Table<'_>) -> Option<Kind> {
    let kind = table.require("kind", KINDS);
    match kind.as_ref().and_then(Value::text) {
        Some("user") => user::read(table),
        Some("partner") => partner::read(table),
        Some("application") | None => application::read(table),
        Some(_) => {
            if let Some(kind) = kind {
                kind.fault("must be \"application\", \"user\" or \"partner\"");
            }
            application::read(table)
        }
    }
}

const KINDS: &str = "kind = \"application\", \"user\" or \"partner\"";
