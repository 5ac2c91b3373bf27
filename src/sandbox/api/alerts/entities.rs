//! The alerts of a user, a file, a domain, an address.

use serde_json::Value;

use super::related;
use crate::sandbox::api::Answer;
use crate::sandbox::api::evidence;
use crate::sandbox::api::refusal::Refusal;
use crate::sandbox::api::request::{Request, text};
use crate::sandbox::api::world::Store;

/// The alerts of a user, a file, a domain, an address: `/api/{kind}/{id}/alerts`.
///
/// # Errors
///
/// [`Refusal`].
pub(in crate::sandbox::api) fn of_entity(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    let [kind, id, "alerts", after @ ..] = rest else {
        return Err(Refusal::NoSuchPath);
    };
    check_id(kind, id)?;
    let concerned = |alert: &Value| match *kind {
        "users" => text(&alert["relatedUser"], "userName") == *id,
        "ips" => evidence::mentions(alert, "ipAddress", |ip| ip == *id),
        "domains" => evidence::mentions(alert, "url", |url| url.split('/').nth(2) == Some(*id)),
        _ => ["sha1", "sha256"]
            .iter()
            .any(|hash| evidence::mentions(alert, hash, |value| value == *id)),
    };
    let found = store.read().alerts_where(concerned);
    related(request, &found, after)
}

fn check_id(kind: &str, id: &str) -> Result<(), Refusal> {
    let hash = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    match kind {
        "ips" if id.parse::<std::net::IpAddr>().is_err() => {
            Err(Refusal::Input(format!("'{id}' is not an IP address")))
        }
        "domains" if !id.contains('.') => {
            Err(Refusal::Input(format!("'{id}' is not a domain name")))
        }
        "files" if !hash => Err(Refusal::Input(format!(
            "'{id}' is neither a SHA-1 nor a SHA-256"
        ))),
        _ => Ok(()),
    }
}
