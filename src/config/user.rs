//! Reads an identity of kind `user`.

use crate::auth::identity::{Kind, SignIn, StoreConfig, User};
use crate::auth::secret::SecretSource;
use crate::config::reader::Table;
use crate::config::secret;
use crate::config::value::Value;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    let tenant = table.require(
        "tenant",
        "tenant = \"…\" with the tenant's id or domain name",
    );
    let client_id = table.require(
        "client_id",
        "client_id = \"…\" with the id of an app that allows public client flows",
    );
    let sign_in = sign_in(table);
    let store = store(table);
    table.mistake(
        "credential",
        "is for applications: a user's app is a public client and has none; remove it",
    );
    let tenant = tenant.and_then(|value| value.parse());
    let client_id = client_id.and_then(|value| value.parse());
    Some(Kind::User(User {
        tenant: tenant?,
        client_id: client_id?,
        sign_in: sign_in?,
        store: store?,
    }))
}

fn sign_in(table: &mut Table<'_>) -> Option<SignIn> {
    const WAYS: &str = "must be \"browser\", \"device\" or \"password\"";
    let way = table.take("sign_in");
    let word = way.as_ref().map(Value::text);
    if word == Some(Some("password")) {
        return with_password(table);
    }
    for key in ["username", "password"] {
        let value = table.take(key);
        refuse(value, "is only used with sign_in = \"password\": remove it");
    }
    match word {
        None | Some(Some("browser")) => Some(SignIn::Browser),
        Some(Some("device")) => Some(SignIn::Device),
        Some(_) => {
            refuse(way, WAYS);
            None
        }
    }
}

fn with_password(table: &mut Table<'_>) -> Option<SignIn> {
    let username = table.require("username", "username = \"…\" with the user's sign-in name");
    let password = table.require("password", "password = { env = \"NAME\" }");
    let username = username.and_then(|value| value.string());
    let password = password.and_then(|value| secret::read(&value));
    Some(SignIn::Password {
        username: username?.to_owned(),
        password: password?,
    })
}

fn store(table: &mut Table<'_>) -> Option<StoreConfig> {
    const PLACES: &str = "must be \"keyring\", \"file\" or \"memory\"";
    let place = table.take("store");
    let word = place.as_ref().map(Value::text);
    if word == Some(Some("file")) {
        return in_file(table);
    }
    for key in ["store_key", "store_file"] {
        let value = table.take(key);
        refuse(value, "is only used with store = \"file\": remove it");
    }
    match word {
        None | Some(Some("keyring")) => Some(StoreConfig::Keyring),
        Some(Some("memory")) => Some(StoreConfig::Memory),
        Some(_) => {
            refuse(place, PLACES);
            None
        }
    }
}

fn in_file(table: &mut Table<'_>) -> Option<StoreConfig> {
    let path = table.take("store_file");
    let key: Option<SecretSource> = table
        .require("store_key", "store_key = { env = \"NAME\" }")
        .and_then(|value| secret::read(&value));
    let path = match path {
        Some(value) => Some(value.file()?),
        None => None,
    };
    Some(StoreConfig::File { path, key: key? })
}

fn refuse(value: Option<Value<'_>>, message: &str) {
    if let Some(value) = value {
        value.fault(message);
    }
}
