//! Alerts of Defender for Endpoint.

mod entities;
mod record;

use http::{Method, StatusCode};
use serde_json::Value;

pub(super) use self::entities::of_entity;
pub(super) use self::record::{created, id, record, severity};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, Shaped, required, required_texts};
use super::triage::{CLASSIFICATIONS, Changes, DETERMINATIONS, Kind, Rule};
use super::world::{Store, find, find_mut};
use super::{Answer, evidence, reply, times};

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
