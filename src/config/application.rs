//! Reads an identity of kind `application`.

use std::fmt::Display;
use std::str::FromStr;

use crate::auth::identity::{Credential, Kind, ManagedIdentity, TenantId};
use crate::config::credential;
use crate::config::reader::Table;
use crate::config::value::Value;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    let credential = table.peek("credential");
    if credential.as_ref().is_some_and(is_managed) {
        return read_managed(table, &credential?);
    }
    let default = credential::is_default(credential.as_ref());
    let tenant = read_id(table, default, &TENANT);
    let client_id = read_id(table, default, &CLIENT);
    let credential = table.require("credential", CREDENTIAL);
    let credential = credential.and_then(|value| credential::read(&value));
    Some(Kind::Application {
        tenant: tenant?,
        client_id: client_id?,
        credential: credential?,
    })
}

/// A key, and the variable that stands in for it beside `credential = "default"`.
struct Id {
    key: &'static str,
    how: &'static str,
    variable: &'static str,
}

/// Reads an id from the table or, if the environment says who this is, from there.
fn read_id<T: FromStr<Err: Display>>(table: &mut Table<'_>, default: bool, id: &Id) -> Option<T> {
    if !default || table.has(id.key) {
        return table.require(id.key, id.how)?.parse();
    }
    let found = table.document().variable(id.variable);
    let Some(text) = found.filter(|text| !text.is_empty()) else {
        table.require(id.key, &format!("{}, or set {}", id.how, id.variable));
        return None;
    };
    let parsed: Result<T, _> = text.parse();
    let fault = |error| table.fault(format!("takes {}, but: {error}", id.variable));
    parsed.map_err(fault).ok()
}

fn is_managed(credential: &Value<'_>) -> bool {
    let key = "managed_identity";
    credential.is_table() && credential.table().is_some_and(|table| table.has(key))
}

/// The platform knows tenant and application by itself; a client id selects a user-assigned identity.
fn read_managed(table: &mut Table<'_>, credential: &Value<'_>) -> Option<Kind> {
    let tenant = match table.take(TENANT.key) {
        Some(value) => value.parse(),
        None => Some(TenantId::of_platform()),
    };
    let client_id = table.take(CLIENT.key);
    table.take("credential");
    let beside = client_id.map(|value| value.parse().map(ManagedIdentity::ClientId));
    let named = credential::read(credential);
    let Credential::ManagedIdentity(named) = named? else {
        return None;
    };
    let managed = match beside {
        Some(beside) => agreed(table, &named, beside?)?,
        None => named,
    };
    Some(Kind::Managed {
        tenant: tenant?,
        managed,
    })
}

/// `client_id` stands beside the credential, and may stand in it.
fn agreed(
    table: &Table<'_>,
    named: &ManagedIdentity,
    beside: ManagedIdentity,
) -> Option<ManagedIdentity> {
    if *named != ManagedIdentity::SystemAssigned && *named != beside {
        table.fault("names two managed identities: remove `client_id`");
        return None;
    }
    Some(beside)
}

pub(super) const CREDENTIAL: &str = "credential = { secret = { env = \"NAME\" } }";
const TENANT: Id = Id {
    key: "tenant",
    how: "tenant = \"…\" with the tenant's id or domain name",
    variable: "AZURE_TENANT_ID",
};
const CLIENT: Id = Id {
    key: "client_id",
    how: "client_id = \"…\" with the application's id",
    variable: "AZURE_CLIENT_ID",
};
