//! Alerts of Defender for Endpoint.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::facts::Facts;
use super::incidents::Place;
use super::machines::seconds;
use super::names::{TENANT, USERS, draw, guid, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, Shaped, required, required_texts, text};
use super::triage::{CLASSIFICATIONS, Changes, DETERMINATIONS, Kind, Rule};
use super::world::{Store, find, find_mut};
use super::{Answer, evidence, incidents, reply, texts, times};

/// Alerts in the sandbox at the start.
pub(super) const COUNT: u64 = 1000;

/// Answers `/api/alerts…`; `rest` is the path after that.
///
/// # Errors
///
/// [`Refusal`].
pub(super) fn answer(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    match (request.method, rest) {
        (&Method::GET, [] | ["$count"]) => related(request, &store.read().alerts, rest),
        (&Method::POST, ["batchupdate"]) => batch_update(store, request),
        (&Method::POST, ["createalertbyreference"]) => create(store, request),
        (_, ["batchupdate" | "createalertbyreference"]) => Err(request.method_refused("POST")),
        (&Method::GET, [id]) => {
            request.query.check_expand(ALERTS.nested)?;
            let world = store.read();
            let alert = expanded(request, find(&world.alerts, "id", ("Alert", id))?);
            Ok(reply::entity(request, "Alerts", &alert))
        }
        (&Method::PATCH, [id]) => update(store, request, id),
        (_, []) => Err(request.method_refused("GET")),
        (_, [_]) => Err(request.method_refused("GET, PATCH")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// The list of `alerts`, or with `["$count"]` their number: also for the alerts of a machine, a user, a file.
///
/// # Errors
///
/// As [`Listing::page`].
pub(super) fn related(
    request: &Request<'_>,
    alerts: &[Value],
    after: &[&str],
) -> Result<Answer, Refusal> {
    match (request.method, after) {
        (&Method::GET, []) => Ok(ALERTS
            .page(request, alerts)?
            .answer(request, |alert| expanded(request, alert))),
        (&Method::GET, ["$count"]) => ALERTS.count(request, alerts),
        (_, [] | ["$count"]) => Err(request.method_refused("GET")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Alert `index`.
pub(super) fn record(index: u64, facts: &Facts) -> Value {
    let place = incidents::place(index);
    let theme = texts::theme(index);
    // Every third alert of an incident is on a machine further.
    let machine =
        facts.device(draw(place.incident, "machine of incident") % 1000 + place.ordinal / 3);
    let (age, clock) = (place.age, facts.clock);
    let resolved = resolved(index, place);
    let investigated = index.is_multiple_of(25);
    let user = draw(index, "user")
        .is_multiple_of(2)
        .then(|| pick(draw(index, "user name"), &USERS));
    json!({
        "id": id(index),
        "incidentId": place.incident_id(),
        "investigationId": investigated.then(|| 63_000 + index / 25),
        "assignedTo": resolved.then_some("analyst@contoso.example"),
        "severity": severity(index),
        "status": if resolved { "Resolved" } else { pick(draw(index, "open"), &["New", "New", "InProgress"]) },
        "classification": resolved.then_some("TruePositive"),
        "determination": resolved.then_some("Malware"),
        "investigationState": if investigated { investigation_state(index, resolved) } else { "UnsupportedAlertType" },
        "detectionSource": theme.source,
        "detectorId": guid(draw(index % 40, "detector")),
        "category": theme.category,
        "threatFamilyName": theme.family,
        "title": theme.title,
        "description": texts::description(index),
        "alertCreationTime": created(index, facts),
        "firstEventTime": clock.ago(age + 600 + seconds(index, "first event", 3000), draw(index, "first digits")),
        "lastEventTime": clock.ago(age + 60, draw(index, "last digits")),
        "lastUpdateTime": clock.ago(age - 30, draw(index, "update digits")),
        "resolvedTime": resolved.then(|| clock.ago(age - 30, draw(index, "resolved"))),
        "machineId": machine.id,
        "computerDnsName": machine.name,
        "rbacGroupName": machine.group,
        "aadTenantId": TENANT,
        "threatName": theme.family.map(|family| format!("Trojan:Win32/{family}.B!ml")),
        "mitreTechniques": [theme.technique],
        "relatedUser": user.map(|name| json!({"userName": name, "domainName": "CONTOSO"})),
        "comments": [],
        "evidence": [],
    })
}

/// The severity of alert `index`.
pub(super) fn severity(index: u64) -> &'static str {
    pick(
        draw(index, "severity"),
        &["Informational", "Low", "Low", "Medium", "Medium", "High"],
    )
}

/// When alert `index` was made.
pub(super) fn created(index: u64, facts: &Facts) -> String {
    facts
        .clock
        .ago(incidents::place(index).age, draw(index, "created"))
}

/// A resolved incident has resolved alerts alone, and one that isn't has an open one at least.
fn resolved(index: u64, place: Place) -> bool {
    let closed = incidents::status(place.incident) == "Resolved";
    closed || (place.ordinal > 0 && draw(index, "status").is_multiple_of(3))
}

fn investigation_state(index: u64, resolved: bool) -> &'static str {
    let states: &[&str] = if resolved {
        &["SuccessfullyRemediated", "TerminatedBySystem"]
    } else {
        &["Queued", "Running", "PendingApproval"]
    };
    pick(draw(index, "investigation"), states)
}

/// `alert` with its evidence, if the query expands it.
fn expanded<'a>(request: &Request<'_>, alert: &'a Value) -> Shaped<'a> {
    if !request.query.expands("evidence") {
        return Shaped::Borrowed(alert);
    }
    let mut expanded = alert.clone();
    expanded["evidence"] = evidence::of(alert).into();
    Shaped::Owned(expanded)
}

fn update(store: &Store, request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    let changes = Changes::parse(&request.body()?, RULES)?;
    let mut world = store.write();
    let (time, _) = world.change();
    let alert = find_mut(&mut world.alerts, "id", ("Alert", id))?;
    changes.apply(alert, &time);
    Ok(reply::entity(request, "Alerts", alert))
}

/// All or nothing: every alert must be known before the first is changed.
fn batch_update(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let mut body = request.body()?;
    let ids: Vec<String> = required_texts(&body, "alertIds")?
        .into_iter()
        .map(str::to_owned)
        .collect();
    body.shift_remove("alertIds");
    let changes = Changes::parse(&body, RULES)?;
    let mut world = store.write();
    for id in &ids {
        find(&world.alerts, "id", ("Alert", id))?;
    }
    let (time, _) = world.change();
    for id in &ids {
        changes.apply(find_mut(&mut world.alerts, "id", ("Alert", id))?, &time);
    }
    world.executed("batchUpdate");
    Ok(reply::empty(StatusCode::OK))
}

/// A new alert for an event of the timeline; it joins the newest incident, as correlation would do.
fn create(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body()?;
    required(&body, "recommendedAction")?;
    if body.get("reportId").is_none_or(Value::is_null) {
        return Err(Refusal::Missing("reportId"));
    }
    let event = required(&body, "eventTime")?;
    let event = times::parse(event)
        .ok_or_else(|| Refusal::Body(format!("eventTime '{event}' is not a date and time")))?;
    let (title, description) = (required(&body, "title")?, required(&body, "description")?);
    let (severity, category) = (required(&body, "severity")?, required(&body, "category")?);
    if !SEVERITIES.contains(&severity) {
        return Err(Refusal::Body(format!("'{severity}' is not a severity")));
    }
    let mut world = store.write();
    let machine = world.machine(required(&body, "machineId")?)?.clone();
    let (time, serial) = world.change();
    let mut alert = record(0, &world.facts);
    for field in ["computerDnsName", "rbacGroupName"] {
        alert[field] = machine[field].clone();
    }
    alert["machineId"] = machine["id"].clone();
    alert["investigationState"] = "UnsupportedAlertType".into();
    for (field, value) in [
        ("title", title),
        ("description", description),
        ("severity", severity),
        ("category", category),
    ] {
        alert[field] = value.into();
    }
    for field in ["alertCreationTime", "lastUpdateTime"] {
        alert[field] = time.as_str().into();
    }
    for field in ["firstEventTime", "lastEventTime"] {
        alert[field] = times::text(event).into();
    }
    alert["id"] = id(COUNT + serial).into();
    alert["status"] = "New".into();
    alert["detectionSource"] = "CustomDetection".into();
    for field in [
        "classification",
        "determination",
        "assignedTo",
        "resolvedTime",
        "investigationId",
    ] {
        alert[field] = Value::Null;
    }
    let answer = reply::entity(request, "Alerts", &alert);
    world.alerts.insert(0, alert);
    world.executed("CreateAlertByReference");
    Ok(answer)
}

/// The id of alert `index`: `da`, 18 digits, `_`, a signed number.
pub(super) fn id(index: u64) -> String {
    let signed =
        i64::from(u32::try_from(draw(index, "alert") >> 32).unwrap_or_default()) - (1 << 31);
    format!(
        "da{}_{signed}",
        638_000_000_000_000_000 + draw(index, "ticks") % 900_000_000_000_000
    )
}

/// The alerts of a user, a file, a domain, an address: `/api/{kind}/{id}/alerts`.
///
/// # Errors
///
/// [`Refusal`].
pub(super) fn of_entity(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    let [kind, id, "alerts", after @ ..] = rest else {
        return Err(Refusal::NoSuchPath);
    };
    check_id(kind, id)?;
    let related = |alert: &Value| match *kind {
        "users" => text(&alert["relatedUser"], "userName") == *id,
        "ips" => evidence::mentions(alert, "ipAddress", |ip| ip == *id),
        "domains" => evidence::mentions(alert, "url", |url| url.split('/').nth(2) == Some(*id)),
        _ => ["sha1", "sha256"]
            .iter()
            .any(|hash| evidence::mentions(alert, hash, |value| value == *id)),
    };
    let found = store.read().alerts_where(related);
    self::related(request, &found, after)
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

const ALERTS: Listing = Listing {
    kind: "Alerts",
    filterable: &[
        "alertCreationTime",
        "lastUpdateTime",
        "incidentId",
        "investigationId",
        "id",
        "assignedTo",
        "detectionSource",
        "lastEventTime",
        "status",
        "severity",
        "category",
        "machineId",
        "title",
    ],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &["evidence"],
};

/// Severities of an alert, an incident, an indicator.
pub(super) const SEVERITIES: &[&str] = &["Informational", "Low", "Medium", "High"];

/// What `PATCH` and `batchUpdate` may change.
const RULES: &[Rule] = &[
    Rule {
        name: "status",
        target: "status",
        kind: Kind::OneOf(&["New", "InProgress", "Resolved"]),
    },
    Rule {
        name: "assignedTo",
        target: "assignedTo",
        kind: Kind::Text,
    },
    Rule {
        name: "classification",
        target: "classification",
        kind: Kind::OneOf(CLASSIFICATIONS),
    },
    Rule {
        name: "determination",
        target: "determination",
        kind: Kind::OneOf(DETERMINATIONS),
    },
    Rule {
        name: "comment",
        target: "comments",
        kind: Kind::Comment,
    },
];
