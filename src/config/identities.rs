//! Reads `[identity.…]`.

use std::sync::Arc;

use crate::auth::identity::{ClientId, Credential, Identity, Kind, TenantId};
use crate::config::reader::{Document, Table, advice};
use crate::config::secret;
use crate::config::value::Value;

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
        let read = |(name, value): (&'t str, Value<'_>)| (name, read_one(name, &value));
        Self {
            entries: entries.into_iter().map(read).collect(),
        }
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
    let later = table
        .require("kind", "kind = \"application\"")
        .is_some_and(|kind| is_later(&kind));
    let kind = if later {
        read_present(&mut table);
        None
    } else {
        read_application(&mut table)
    };
    for key in ["sign_in", "username", "password", "store", "customers"] {
        if later {
            table.take(key);
        } else {
            table.later(key);
        }
    }
    secret::refuse_literals(&mut table, &["secret", "client_secret"], CREDENTIAL);
    table.finish();
    Some(Arc::new(Identity {
        name: name.into(),
        kind: kind?,
    }))
}

/// Notes a kind that can't be, and tells whether a later version will know it.
fn is_later(kind: &Value<'_>) -> bool {
    match kind.string() {
        Some("user" | "partner") => {
            kind.fault(
                "names a kind that is not yet supported in this version: only \"application\" is",
            );
            true
        }
        Some("application") | None => false,
        Some(_) => {
            kind.fault("must be \"application\"");
            false
        }
    }
}

/// Of a kind that is not known yet: finds the faults in what is there, and misses nothing.
fn read_present(table: &mut Table<'_>) {
    table.parse::<TenantId>("tenant");
    table.parse::<ClientId>("client_id");
    if let Some(credential) = table.take("credential") {
        read_credential(&credential);
    }
}

fn read_application(table: &mut Table<'_>) -> Option<Kind> {
    let tenant = table.require(
        "tenant",
        "tenant = \"…\" with the tenant's id or domain name",
    );
    let client_id = table.require("client_id", "client_id = \"…\" with the application's id");
    let credential = table.require("credential", CREDENTIAL);
    let tenant = tenant.and_then(|value| value.parse());
    let client_id = client_id.and_then(|value| value.parse());
    let credential = credential.and_then(|value| read_credential(&value));
    Some(Kind::Application {
        tenant: tenant?,
        client_id: client_id?,
        credential: credential?,
    })
}

fn read_credential(value: &Value<'_>) -> Option<Credential> {
    match value.text() {
        Some("default") => {
            value.later();
            return None;
        }
        Some(_) => {
            value.fault(format!(
                "must not hold the secret itself, which never stands in this file: write \
                 {CREDENTIAL}"
            ));
            return None;
        }
        None => {}
    }
    let mut table = value.table()?;
    let secret = table.take("secret");
    let others = ["certificate", "federated_token_file", "managed_identity"];
    let found = others.iter().filter(|key| table.has(key)).count() + usize::from(secret.is_some());
    match found {
        0 => table.fault(format!(
            "says not how to prove who it is: write {CREDENTIAL}"
        )),
        1 => {}
        _ => table.fault(format!("must have exactly one key: write {CREDENTIAL}")),
    }
    for key in others.into_iter().chain(["password"]) {
        table.later(key);
    }
    table.finish();
    secret::read(&secret?).map(Credential::Secret)
}

const CREDENTIAL: &str = "credential = { secret = { env = \"NAME\" } }";
