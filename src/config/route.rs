//! `[[route]]`: which requests go where, and as whom.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;

use crate::auth::identity::{Audience, Identity};
use crate::cloud::Api;
use crate::config::identities::Identities;
use crate::config::reader::{Document, Table};
use crate::config::value::Value;
use crate::customer;
use crate::origin::Origin;
use crate::target;
use crate::throttle::Terms;

/// Where the requests under a prefix go, and as whom.
#[derive(Clone, Debug)]
pub struct RouteConfig {
    /// The beginning of the paths it is for. It is not taken off: a path is sent on unchanged.
    pub prefix: String,
    /// Where they go.
    pub target: RouteTarget,
    /// Whose token they carry.
    pub identity: Arc<Identity>,
    /// What may be asked.
    pub methods: Methods,
    /// Whether links in answers are changed to lead through the proxy.
    pub rewrite_links: bool,
    /// What is done about rate limits.
    pub terms: Terms,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// To the API family of the path, in the configured cloud.
    Defender,
    /// To one API, whatever the path.
    Api(Api),
}

/// What may be asked through a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Methods {
    /// Everything.
    All,
    /// These methods.
    Only(Vec<Method>),
    /// `GET`, `HEAD`, `OPTIONS`, and `POST` of a hunting query.
    ReadOnly,
}

/// Reads the routes in the order of the file. If there is only one identity and no route for `/`,
/// the built-in one comes last.
pub(super) fn read_all(
    document: &Document<'_>,
    value: Option<&Value<'_>>,
    identities: &Identities<'_>,
) -> Vec<RouteConfig> {
    let tables = value.map(elements).unwrap_or_default();
    let mut routes = Vec::new();
    let mut lines = HashMap::new();
    for value in &tables {
        let Some(mut table) = value.table() else {
            continue;
        };
        let prefix = table
            .require("prefix", "prefix = \"/\"")
            .and_then(|p| read_prefix(&p));
        if identities.has_partner() && prefix.is_some_and(is_reserved) {
            table.fault("has a prefix below /t, where the paths of a partner name the customer: choose another");
        }
        if let Some(prefix) = prefix
            && let Some(line) = lines.insert(target::canonical_prefix(prefix), value.line())
        {
            table.fault(format!(
                "has the prefix of the route in line {line}: remove one"
            ));
        }
        routes.extend(read_one(table, prefix, identities));
    }
    if !lines.contains_key("/")
        && let Some(identity) = identities.only()
    {
        routes.push(built_in(identity));
    }
    if value.is_none() && identities.names().len() > 1 {
        let names = identities.names().join(", ");
        let message = format!(
            "with several identities it must be said who asks: add [[route]] with prefix = \"/\", \
             api = \"defender\" and identity = \"…\" (one of {names})"
        );
        document.fault("route", None, message);
    }
    routes
}

/// The route there is without any: everything to Defender.
pub(super) fn built_in(identity: Arc<Identity>) -> RouteConfig {
    RouteConfig {
        prefix: "/".to_owned(),
        target: RouteTarget::Defender,
        identity,
        methods: Methods::All,
        rewrite_links: true,
        terms: Terms::default(),
    }
}

fn elements<'t>(value: &Value<'t>) -> Vec<Value<'t>> {
    if value.is_table() {
        value.fault("must be a list: write [[route]] with two brackets");
        return Vec::new();
    }
    value.elements().unwrap_or_default()
}

fn read_one(
    mut table: Table<'_>,
    prefix: Option<&str>,
    identities: &Identities<'_>,
) -> Option<RouteConfig> {
    let target = read_target(&mut table);
    let identity = identities.of_route(&mut table);
    let methods = read_methods(&mut table);
    let rewrite_links = table.take("rewrite_links");
    let terms = read_terms(&mut table);
    table.finish();
    Some(RouteConfig {
        prefix: prefix?.to_owned(),
        target: target?,
        identity: identity?,
        methods: methods?,
        rewrite_links: rewrite_links.is_none_or(|value| value.boolean() == Some(true)),
        terms,
    })
}

/// `on_throttle` and `pace`.
fn read_terms(table: &mut Table<'_>) -> Terms {
    let on_throttle = table.take("on_throttle");
    let pace = table.take("pace");
    Terms {
        wait: on_throttle.and_then(|value| read_wait(&value)),
        pace: pace.is_some_and(|value| value.boolean() == Some(true)),
    }
}

fn read_wait(on_throttle: &Value<'_>) -> Option<Duration> {
    if !on_throttle.is_table() {
        if on_throttle.text() != Some("pass") {
            on_throttle.fault("must be \"pass\", or a time to wait, like { wait = \"30s\" }");
        }
        return None;
    }
    let mut table = on_throttle.table()?;
    let wait = table.require("wait", "wait = \"30s\"");
    table.finish();
    let value = wait?;
    let wait = value.duration()?;
    if !(SHORTEST_WAIT..=LONGEST_WAIT).contains(&wait) {
        value.fault("must be a time from \"1s\" to \"1h\": to pass a 429 on at once, write on_throttle = \"pass\"");
        return None;
    }
    Some(wait)
}

/// Upstream names whole seconds.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Quotas are by the minute and by the hour.
const LONGEST_WAIT: Duration = Duration::from_hours(1);

fn read_prefix<'t>(value: &Value<'t>) -> Option<&'t str> {
    let prefix = value.string()?;
    let parsed = check_prefix(prefix);
    parsed
        .map_err(|message| value.fault(message))
        .ok()
        .map(|()| prefix)
}

/// Whether a prefix can only be read in one way, whoever decodes or normalises the path.
fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&b);
    if !prefix.starts_with('/') {
        return Err("must begin with /");
    }
    if !prefix.bytes().all(plain) {
        return Err("must be a plain path: without query, fragment, %, ;, backslash or space");
    }
    if prefix
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err("must be a plain path: without . and .. between slashes");
    }
    if prefix.contains("//") {
        return Err("must be a plain path: without // in it");
    }
    Ok(())
}

fn is_reserved(prefix: &str) -> bool {
    target::is_below(&target::canonical_prefix(prefix), customer::PREFIX)
}

fn read_target(table: &mut Table<'_>) -> Option<RouteTarget> {
    let api = table.take("api");
    let upstream = table.take("upstream");
    let audience = table.take("audience");
    match (api, upstream, audience) {
        (Some(api), None, None) => {
            if api.string()? != "defender" {
                api.fault("must be \"defender\"; write upstream and audience for another API");
                return None;
            }
            Some(RouteTarget::Defender)
        }
        (None, Some(upstream), Some(audience)) => {
            let (origin, audience) = (upstream.parse(), audience.parse());
            Some(RouteTarget::Api(Api {
                origin: origin?,
                audience: audience?,
            }))
        }
        (None, upstream, audience) => {
            // Checked even so, to report every fault at once.
            upstream.map(|value| value.parse::<Origin>());
            audience.map(|value| value.parse::<Audience>());
            table.fault(
                "must say where it leads: write api = \"defender\", or upstream and audience",
            );
            None
        }
        (Some(api), _, _) => {
            api.fault("leads elsewhere than upstream and audience: keep one or the other");
            None
        }
    }
}

fn read_methods(table: &mut Table<'_>) -> Option<Methods> {
    let methods = table.take("methods");
    let read_only = table.take("read_only");
    let is_read_only = read_only
        .as_ref()
        .is_some_and(|value| value.boolean() == Some(true));
    match (methods, is_read_only) {
        (None, true) => Some(Methods::ReadOnly),
        (None, false) => Some(Methods::All),
        (Some(methods), true) => {
            methods.fault("contradicts read_only = true: remove one of the two");
            None
        }
        (Some(methods), false) => read_method_list(&methods),
    }
}

fn read_method_list(value: &Value<'_>) -> Option<Methods> {
    let elements = value.elements()?;
    if elements.is_empty() {
        value.fault("would allow nothing: leave it out to allow every method");
        return None;
    }
    let methods: Vec<_> = elements.iter().map(read_method).collect();
    methods
        .into_iter()
        .collect::<Option<_>>()
        .map(Methods::Only)
}

fn read_method(value: &Value<'_>) -> Option<Method> {
    let text = value.string()?;
    match text {
        "CONNECT" | "TRACE" => {
            value.fault("must not be CONNECT or TRACE, which are never passed on: remove it");
            None
        }
        _ if text.is_empty() || !text.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => {
            value.fault("must be a method in capital letters, like \"GET\"");
            None
        }
        _ => Method::from_bytes(text.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes() {
        for prefix in ["/", "/api", "/api/", "/v1.0/security", "/...", "/a(b)"] {
            assert_eq!(check_prefix(prefix), Ok(()), "{prefix}");
        }
        for prefix in [
            "", "api", "/a?b", "/a#b", "/a;b", "/a%2fb", "/a\\b", "/a b", "/é", "/.", "/..",
            "/a/../b", "/a/.", "//", "//host", "/a//b",
        ] {
            assert!(check_prefix(prefix).is_err(), "{prefix}");
        }
    }
}
