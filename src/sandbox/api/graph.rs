//! Microsoft Graph security: the same incidents and alerts in Graph's shapes.

mod shapes;

use http::Method;
use serde_json::Value;

use super::hunting::{self, Dialect};
use super::incidents::{self, Related, STATUSES};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, Shaped, text};
use super::triage::{CLASSIFICATIONS, Changes, Kind, Rule};
use super::world::{Store, find, find_mut};
use super::{Answer, reply};

/// Answers `/v1.0/security/…` and `/beta/security/…`; `rest` is the path after that.
///
/// # Errors
///
/// [`Refusal`].
pub(super) fn answer(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    match rest {
        ["incidents", after @ ..] => incidents(store, request, after),
        ["alerts_v2", after @ ..] => alerts(store, request, after),
        ["alerts", after @ ..] => legacy_alerts(store, request, after),
        ["runhuntingquery" | "microsoft.graph.security.runhuntingquery"] => {
            hunting::run(store, request, Dialect::Graph)
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

fn incidents(store: &Store, request: &Request<'_>, rest: &[&str]) -> Result<Answer, Refusal> {
    match (request.method, rest) {
        (&Method::GET, []) => {
            let world = store.read();
            let related = Related::of(&world);
            let all: Vec<Value> = world.incidents.iter().map(shapes::incident).collect();
            let page = INCIDENTS.page(request, &all)?;
            Ok(page.answer(request, |incident| expanded(request, &related, incident)))
        }
        (&Method::GET, ["$count"]) => {
            let world = store.read();
            let all: Vec<Value> = world.incidents.iter().map(shapes::incident).collect();
            INCIDENTS.count(request, &all)
        }
        (&Method::GET, [id]) => incident(store, request, id),
        (&Method::PATCH, [id]) => {
            incidents::update(store, request, (id, RULES))?;
            incident(store, request, id)
        }
        (_, []) => Err(request.method_refused("GET")),
        (_, [_]) => Err(request.method_refused("GET, PATCH")),
        _ => Err(Refusal::NoSuchPath),
    }
}

fn incident(store: &Store, request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    request.query.check_expand(INCIDENTS.nested)?;
    let world = store.read();
    let incident = shapes::incident(find(&world.incidents, "incidentId", ("Incident", id))?);
    let whole = expanded(request, &Related::of(&world), &incident);
    Ok(reply::entity(request, "security/incidents", &whole))
}

/// `incident` with its alerts, if the query expands them.
fn expanded<'a>(request: &Request<'_>, related: &Related<'_>, incident: &'a Value) -> Shaped<'a> {
    if !request.query.expands("alerts") {
        return Shaped::Borrowed(incident);
    }
    let id = text(incident, "id").parse().unwrap_or_default();
    let alerts: Vec<Value> = related
        .alerts_of(id)
        .map(|alert| shapes::alert(alert, related.machine(alert)))
        .collect();
    let mut whole = incident.clone();
    whole["alerts"] = alerts.into();
    Shaped::Owned(whole)
}

fn alerts(store: &Store, request: &Request<'_>, rest: &[&str]) -> Result<Answer, Refusal> {
    match (request.method, rest) {
        (&Method::GET, []) => {
            let world = store.read();
            let related = Related::of(&world);
            let all: Vec<Value> = world.alerts.iter().map(shapes::bare_alert).collect();
            let whole = |bare| match find(&world.alerts, "id", ("Alert", text(bare, "id"))) {
                Ok(alert) => Shaped::Owned(shapes::alert(alert, related.machine(alert))),
                Err(_) => Shaped::Borrowed(bare),
            };
            Ok(ALERTS.page(request, &all)?.answer(request, whole))
        }
        (&Method::GET, ["$count"]) => {
            let world = store.read();
            let all: Vec<Value> = world.alerts.iter().map(shapes::bare_alert).collect();
            ALERTS.count(request, &all)
        }
        (&Method::GET, [id]) => alert(store, request, id),
        (&Method::PATCH, [id]) => {
            let changes = Changes::parse(&request.body()?, ALERT_RULES)?;
            let mut world = store.write();
            let (time, _) = world.change();
            changes.apply(find_mut(&mut world.alerts, "id", ("Alert", id))?, &time);
            drop(world);
            alert(store, request, id)
        }
        (_, []) => Err(request.method_refused("GET")),
        (_, [_]) => Err(request.method_refused("GET, PATCH")),
        _ => Err(Refusal::NoSuchPath),
    }
}

fn alert(store: &Store, request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    let world = store.read();
    let alert = find(&world.alerts, "id", ("Alert", id))?;
    let machine = world.machine(text(alert, "machineId"))?;
    Ok(reply::entity(
        request,
        "security/alerts_v2",
        &shapes::alert(alert, machine),
    ))
}

fn legacy_alerts(store: &Store, request: &Request<'_>, rest: &[&str]) -> Result<Answer, Refusal> {
    let world = store.read();
    match (request.method, rest) {
        (&Method::GET, [] | ["$count"]) => {
            let all: Vec<Value> = world.alerts.iter().map(shapes::legacy_alert).collect();
            if rest.is_empty() {
                LEGACY_ALERTS.answer(request, &all)
            } else {
                LEGACY_ALERTS.count(request, &all)
            }
        }
        (&Method::GET, [id]) => {
            let alert = shapes::legacy_alert(find(&world.alerts, "id", ("Alert", id))?);
            Ok(reply::entity(request, "Security/alerts", &alert))
        }
        (_, [] | [_]) => Err(request.method_refused("GET")),
        _ => Err(Refusal::NoSuchPath),
    }
}

const INCIDENTS: Listing = Listing {
    kind: "security/incidents",
    filterable: &[
        "assignedTo",
        "classification",
        "createdDateTime",
        "determination",
        "lastUpdateDateTime",
        "severity",
        "status",
    ],
    cap: 50,
    page: 50,
    next: Next::Skip,
    nested: &["alerts"],
};

const ALERTS: Listing = Listing {
    kind: "security/alerts_v2",
    filterable: &[
        "assignedTo",
        "classification",
        "determination",
        "createdDateTime",
        "lastUpdateDateTime",
        "severity",
        "serviceSource",
        "status",
    ],
    cap: 2000,
    page: 50,
    next: Next::Skip,
    nested: &[],
};

const LEGACY_ALERTS: Listing = Listing {
    kind: "Security/alerts",
    filterable: &[],
    cap: 1000,
    page: 100,
    next: Next::Token { skip_cap: 500 },
    nested: &[],
};

/// What `PATCH` on an incident may change.
const RULES: &[Rule] = &[
    Rule {
        name: "status",
        target: "status",
        kind: Kind::CamelOneOf(STATUSES),
    },
    Rule {
        name: "assignedTo",
        target: "assignedTo",
        kind: Kind::Text,
    },
    Rule {
        name: "classification",
        target: "classification",
        kind: Kind::CamelOneOf(CLASSIFICATIONS),
    },
    Rule {
        name: "determination",
        target: "determination",
        kind: Kind::GraphDetermination,
    },
    Rule {
        name: "displayName",
        target: "incidentName",
        kind: Kind::Text,
    },
    Rule {
        name: "severity",
        target: "severity",
        kind: Kind::CamelOneOf(&["Informational", "Low", "Medium", "High"]),
    },
    Rule {
        name: "customTags",
        target: "tags",
        kind: Kind::Texts,
    },
    Rule {
        name: "resolvingComment",
        target: "comments",
        kind: Kind::Comment,
    },
];

/// What `PATCH` on an alert may change.
const ALERT_RULES: &[Rule] = &[
    Rule {
        name: "status",
        target: "status",
        kind: Kind::CamelOneOf(&["New", "InProgress", "Resolved"]),
    },
    Rule {
        name: "assignedTo",
        target: "assignedTo",
        kind: Kind::Text,
    },
    Rule {
        name: "classification",
        target: "classification",
        kind: Kind::CamelOneOf(CLASSIFICATIONS),
    },
    Rule {
        name: "determination",
        target: "determination",
        kind: Kind::GraphDetermination,
    },
];
