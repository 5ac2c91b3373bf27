//! Incidents of Defender XDR, each with its alerts.

mod related;

use http::Method;
use serde_json::{Value, json};

pub(super) use self::related::Related;
use super::machines::seconds;
use super::names::{draw, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, Shaped, text};
use super::triage::{CLASSIFICATIONS, Changes, DETERMINATIONS, Kind, Rule};
use super::world::{Store, find, find_mut};
use super::{Answer, reply, texts};

/// Incidents in the sandbox, newest first.
pub(super) const COUNT: u64 = 300;

/// Answers `/api/incidents…`; `rest` is the path after that.
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
        (&Method::GET, []) => {
            let world = store.read();
            let related = Related::of(&world);
            let page = INCIDENTS.page(request, &world.incidents)?;
            Ok(page.answer(request, |incident| {
                Shaped::Owned(related.with_alerts(incident))
            }))
        }
        (&Method::GET, ["$count"]) => INCIDENTS.count(request, &store.read().incidents),
        (&Method::GET, [id]) => {
            let world = store.read();
            let incident = find(&world.incidents, "incidentId", ("Incident", id))?;
            Ok(reply::entity(
                request,
                "Incidents",
                &Related::of(&world).with_alerts(incident),
            ))
        }
        (&Method::PATCH, [id]) => {
            update(store, request, (id, RULES))?;
            let world = store.read();
            let incident = find(&world.incidents, "incidentId", ("Incident", id))?;
            Ok(reply::entity(
                request,
                "Incidents",
                &Related::of(&world).with_alerts(incident),
            ))
        }
        (_, []) => Err(request.method_refused("GET")),
        (_, [_]) => Err(request.method_refused("GET, PATCH")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Changes the incident `id` by the body of the call, read by `rules`. To resolve it resolves its alerts.
///
/// # Errors
///
/// [`Refusal::NotFound`], [`Refusal::Body`].
pub(super) fn update(
    store: &Store,
    request: &Request<'_>,
    (id, rules): (&str, &[Rule]),
) -> Result<(), Refusal> {
    let changes = Changes::parse(&request.body()?, rules)?;
    let mut world = store.write();
    find(&world.incidents, "incidentId", ("Incident", id))?;
    let (time, _) = world.change();
    let incident = find_mut(&mut world.incidents, "incidentId", ("Incident", id))?;
    let was_resolved = incident["status"] == "Resolved";
    changes.apply(incident, &time);
    if incident["status"] == "Resolved" && !was_resolved {
        let verdict = incident.clone();
        let own = |alert: &&mut Value| alert["incidentId"] == verdict["incidentId"];
        for alert in world.alerts.iter_mut().filter(own) {
            resolve(alert, &verdict, &time);
        }
    }
    Ok(())
}

/// Resolves `alert` with its incident; an alert that is resolved already keeps its own verdict.
fn resolve(alert: &mut Value, incident: &Value, time: &str) {
    if alert["status"] == "Resolved" {
        return;
    }
    alert["status"] = "Resolved".into();
    for field in ["classification", "determination"] {
        alert[field] = incident[field].clone();
    }
    for field in ["resolvedTime", "lastUpdateTime"] {
        alert[field] = time.into();
    }
}

/// Incident `index`, for the first of its `alerts`.
pub(super) fn record(index: u64, alerts: &[Value]) -> Value {
    let id = COUNT + FIRST_ID - index;
    let own = own_alerts(index, alerts);
    let theme = texts::theme(first_alert(index));
    let machine = own
        .first()
        .map_or("", |alert| text(alert, "computerDnsName"));
    let updated = own
        .last()
        .map_or(&Value::Null, |alert| &alert["lastUpdateTime"]);
    let status = status(index);
    let closed = status == "Resolved";
    let worst = ["High", "Medium", "Low"]
        .into_iter()
        .find(|worst| own.iter().any(|alert| alert["severity"] == *worst));
    json!({
        "incidentId": id,
        "incidentUri": format!("https://security.microsoft.com/incidents/{id}"),
        "redirectIncidentId": null,
        "incidentName": texts::incident_name(theme, own.len(), machine),
        "createdTime": own.first().map(|alert| &alert["alertCreationTime"]),
        "lastUpdateTime": updated,
        "assignedTo": (status != "Active").then_some("analyst@contoso.example"),
        "classification": if closed { "TruePositive" } else { "Unknown" },
        "determination": if closed { "MultiStagedAttack" } else { "NotAvailable" },
        "status": status,
        "severity": worst.unwrap_or("Informational"),
        "tags": if index.is_multiple_of(7) { vec!["T1", "Überwachung"] } else { Vec::new() },
        "comments": comments(index, updated),
    })
}

/// The status of incident `index` at the start.
pub(super) fn status(index: u64) -> &'static str {
    pick(
        draw(index, "incident status"),
        &["Active", "Active", "InProgress", "Resolved"],
    )
}

/// Where alert `index` belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The index of its incident.
    pub(super) incident: u64,
    /// Its place among the alerts of that incident.
    pub(super) ordinal: u64,
    /// Seconds before the present.
    pub(super) age: i64,
}

impl Place {
    /// The id of the incident.
    pub(super) fn incident_id(self) -> u64 {
        COUNT + FIRST_ID - self.incident
    }
}

/// The place of alert `index`: incidents take [`SIZES`] alerts in turn, a few minutes apart.
pub(super) fn place(index: u64) -> Place {
    let (round, mut ordinal) = (index / ROUND, index % ROUND);
    let mut incident = round * SIZES.len() as u64;
    for size in SIZES {
        if ordinal < size {
            break;
        }
        ordinal -= size;
        incident += 1;
    }
    let newest =
        i64::try_from(incident).unwrap_or_default() * 8640 + seconds(incident, "incident", 4000);
    Place {
        incident,
        ordinal,
        age: 4000 + newest - i64::try_from(ordinal).unwrap_or_default() * 420,
    }
}

fn comments(index: u64, time: &Value) -> Vec<Value> {
    let text = match index % 9 {
        1 => "Seen, see https://api.security.microsoft.com/api/incidents?$skip=100 for the rest",
        4 => {
            r#"The answer said "@odata.nextLink":"https://api-eu.security.microsoft.com/api/incidents" again"#
        }
        _ => return Vec::new(),
    };
    vec![json!({"comment": text, "createdBy": "analyst@contoso.example", "createdTime": time})]
}

/// Those of all `alerts` that belong to incident `index`: they stand together.
fn own_alerts(index: u64, alerts: &[Value]) -> &[Value] {
    let start = usize::try_from(first_alert(index)).unwrap_or_default();
    let end = usize::try_from(first_alert(index + 1)).unwrap_or_default();
    alerts.get(start..end).unwrap_or_default()
}

/// The index of the first alert of incident `index`.
fn first_alert(index: u64) -> u64 {
    let (round, within) = (index / SIZES.len() as u64, index % SIZES.len() as u64);
    round * ROUND
        + SIZES
            .iter()
            .take(usize::try_from(within).unwrap_or_default())
            .sum::<u64>()
}

const INCIDENTS: Listing = Listing {
    kind: "Incidents",
    filterable: &["lastUpdateTime", "createdTime", "status", "assignedTo"],
    cap: 100,
    page: 100,
    next: Next::SkipUnlessTop,
    // They are always there; to ask for them does no harm.
    nested: &["alerts"],
};

/// What `PATCH` may change.
const RULES: &[Rule] = &[
    Rule {
        name: "status",
        target: "status",
        kind: Kind::OneOf(STATUSES),
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
        name: "tags",
        target: "tags",
        kind: Kind::Texts,
    },
    Rule {
        name: "comment",
        target: "comments",
        kind: Kind::Comment,
    },
];

/// States of an incident.
pub(super) const STATUSES: &[&str] = &["Active", "InProgress", "Resolved", "Redirected"];

/// Alerts of successive incidents; 300 incidents have 1,000 alerts.
const SIZES: [u64; 6] = [1, 3, 2, 8, 1, 5];

/// Alerts in one round of [`SIZES`].
const ROUND: u64 = 20;

/// The id of the oldest incident, less one.
const FIRST_ID: u64 = 924_300;
