//! Reads an identity of kind `partner`.

use std::collections::HashMap;
use std::sync::Arc;

use url::Url;

use crate::auth::identity::{Customers, Kind, Partner, TenantId, is_guid};
use crate::config::reader::Table;
use crate::config::value::Value;
use crate::config::{application, credential};
use crate::customer::is_alias;

pub(super) fn read(table: &mut Table<'_>) -> Option<Kind> {
    let client_id = application::read_client_id(table);
    let credential = table.require("credential", application::CREDENTIAL);
    let customers = table.require("customers", CUSTOMERS);
    let redirect = table.take("consent_redirect");
    table.mistake(
        "tenant",
        "is not for a partner, whose tokens are those of its customers' tenants: remove it",
    );
    let credential = credential.and_then(|value| credential::read(&value));
    let customers = customers.and_then(|value| read_customers(&value));
    let redirect = match redirect {
        Some(value) => read_redirect(&value),
        None => Some(REDIRECT.to_owned()),
    };
    Some(Kind::Partner(Partner {
        client_id: client_id?,
        credential: credential?,
        customers: customers?,
        consent_redirect: redirect?,
    }))
}

/// Reads all names and tenants, to report every fault at once.
fn read_customers(value: &Value<'_>) -> Option<Customers> {
    let entries = value.table()?.into_entries();
    if entries.is_empty() {
        value.fault(format!(
            "must name at least one customer: write {CUSTOMERS}"
        ));
    }
    let mut seen = HashMap::new();
    let mut list = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        check_name(name, &value);
        let tenant: Option<TenantId> = value.parse();
        let spellings = [
            Some(name.to_ascii_lowercase()),
            tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        ];
        for spelling in spellings.into_iter().flatten() {
            if let Some(line) = seen.insert(spelling, value.line()) {
                value.fault(format!(
                    "has the name or the tenant of the customer in line {line}: a customer stands here once"
                ));
            }
        }
        list.extend(tenant.map(|tenant| (Arc::from(name), tenant)));
    }
    Customers::new(list)
}

fn check_name(name: &str, value: &Value<'_>) {
    if !is_alias(name) {
        value.fault("must have a name of letters, digits, - and _");
    } else if is_guid(name) {
        value.fault("must not have a name that reads like a tenant's id: give the customer a name of your choice");
    }
}

/// Entra ID takes https, or http for this machine, of which it knows no IPv6 address ("Redirect URI restrictions").
fn read_redirect(value: &Value<'_>) -> Option<String> {
    let text = value.string()?;
    let good = Url::parse(text).is_ok_and(|url| {
        let host = url.host_str().unwrap_or_default();
        let plain = url.username().is_empty() && url.password().is_none();
        // Here the proxy listens for the answer.
        let local = host == "localhost" || host == "127.0.0.1";
        let secure = url.scheme() == "https" || (url.scheme() == "http" && local);
        secure && plain && url.query().is_none() && url.fragment().is_none()
    });
    if !good {
        value.fault(
            "must be a redirect URI of the application: \"http://localhost\", or one with https://",
        );
    }
    good.then(|| text.to_owned())
}

const CUSTOMERS: &str = "customers = { NAME = \"tenant id\" }";
/// Where an administrator's browser goes after consenting, if nothing else is said.
const REDIRECT: &str = "http://localhost";
