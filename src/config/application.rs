//! Reads an identity of kind `application`.

use crate::auth::identity::Kind;
use crate::config::credential;
use crate::config::reader::Table;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    let tenant = table.require(
        "tenant",
        "tenant = \"…\" with the tenant's id or domain name",
    );
    let client_id = table.require("client_id", "client_id = \"…\" with the application's id");
    let credential = table.require("credential", CREDENTIAL);
    let tenant = tenant.and_then(|value| value.parse());
    let client_id = client_id.and_then(|value| value.parse());
    let credential = credential.and_then(|value| credential::read(&value));
    Some(Kind::Application {
        tenant: tenant?,
        client_id: client_id?,
        credential: credential?,
    })
}

pub(super) const CREDENTIAL: &str = "credential = { secret = { env = \"NAME\" } }";
