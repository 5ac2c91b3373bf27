//! Reads how an application proves who it is.

mod default;

use crate::auth::identity::{AssertionAlgorithm, Certificate, Credential, ManagedIdentity};
use crate::config::application::CREDENTIAL;
use crate::config::reader::Table;
use crate::config::secret;
use crate::config::value::Value;

pub(super) use default::{Taken, VARIABLES, choose};

/// Reads `credential = …`.
pub(super) fn read(value: &Value<'_>) -> Option<Credential> {
    match value.text() {
        Some("default") => return from_environment(value),
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
    let [secret, certificate, file, managed] = KEYS.map(|key| table.take(key));
    match KEYS.iter().filter(|key| table.has(key)).count() {
        0 => table.fault(format!(
            "says not how to prove who it is: write {CREDENTIAL}"
        )),
        1 => {}
        _ => table.fault(format!("must have exactly one key: write {CREDENTIAL}")),
    }
    table.mistake(
        "password",
        "belongs to the certificate: write certificate = { file = \"…\", password = … }",
    );
    table.finish();
    secret
        .and_then(|value| secret::read(&value).map(Credential::Secret))
        .or_else(|| certificate.and_then(|value| read_certificate(&value)))
        .or_else(|| file.and_then(|value| value.file().map(Credential::FederatedTokenFile)))
        .or_else(|| managed.and_then(|value| read_managed(&value)))
}

/// Whether the variables of the Azure SDKs say more of the identity than this file.
pub(super) fn is_default(value: Option<&Value<'_>>) -> bool {
    value.and_then(Value::text) == Some("default")
}

fn from_environment(value: &Value<'_>) -> Option<Credential> {
    let document = value.document();
    let Some(Taken { credential, why }) = choose(&|name| document.variable(name)) else {
        value.fault(format!(
            "finds nothing in the environment: set one of {}, or write {CREDENTIAL}",
            VARIABLES.join(", ")
        ));
        return None;
    };
    document.note(value.path(), why);
    Some(credential)
}

fn read_certificate(value: &Value<'_>) -> Option<Credential> {
    let mut table = value.table()?;
    let file = table.require("file", "file = \"app.pem\", with certificate and key");
    let password = table.take("password");
    let algorithm = table.take("algorithm");
    table.finish();
    Some(Credential::Certificate(Certificate {
        file: file?.file()?,
        password: match password {
            Some(value) => Some(secret::read(&value)?),
            None => None,
        },
        algorithm: match algorithm {
            Some(value) => read_algorithm(&value)?,
            None => AssertionAlgorithm::default(),
        },
    }))
}

fn read_algorithm(value: &Value<'_>) -> Option<AssertionAlgorithm> {
    match value.string()? {
        "PS256" => Some(AssertionAlgorithm::Ps256),
        "RS256" => Some(AssertionAlgorithm::Rs256),
        _ => {
            value.fault("must be \"PS256\" (the default) or \"RS256\" (with SHA-1 thumbprint)");
            None
        }
    }
}

fn read_managed(value: &Value<'_>) -> Option<Credential> {
    if !value.is_table() {
        if value.boolean()? {
            return Some(Credential::ManagedIdentity(ManagedIdentity::SystemAssigned));
        }
        value.fault(format!("must be {MANAGED}"));
        return None;
    }
    let mut table = value.table()?;
    let managed = read_user_assigned(&mut table);
    table.finish();
    managed.map(Credential::ManagedIdentity)
}

/// One of the three ways to name a user-assigned identity.
fn read_user_assigned(table: &mut Table<'_>) -> Option<ManagedIdentity> {
    let found = ["client_id", "object_id", "resource_id"].map(|key| table.take(key));
    match found {
        [Some(id), None, None] => id.parse().map(ManagedIdentity::ClientId),
        [None, Some(id), None] => named(&id).map(ManagedIdentity::ObjectId),
        [None, None, Some(id)] => named(&id).map(ManagedIdentity::ResourceId),
        _ => {
            table.fault(format!("must name one identity: write {MANAGED}"));
            None
        }
    }
}

fn named(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    if text.is_empty() {
        value.fault("must name the identity");
        return None;
    }
    Some(text.to_owned())
}

const KEYS: [&str; 4] = [
    "secret",
    "certificate",
    "federated_token_file",
    "managed_identity",
];
const MANAGED: &str =
    "true, { client_id = \"…\" }, { object_id = \"…\" } or { resource_id = \"…\" }";
