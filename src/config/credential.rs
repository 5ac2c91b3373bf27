//! Reads how an application proves who it is.

use crate::auth::identity::Credential;
use crate::config::application::CREDENTIAL;
use crate::config::secret;
use crate::config::value::Value;

/// Reads `credential = …`.
pub(super) fn read(value: &Value<'_>) -> Option<Credential> {
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
