//! The alerts of the start.

use serde_json::{Value, json};

use crate::sandbox::api::facts::Facts;
use crate::sandbox::api::incidents::{self, Place};
use crate::sandbox::api::machines::seconds;
use crate::sandbox::api::names::{TENANT, USERS, draw, guid, pick};
use crate::sandbox::api::texts;

/// Alert `index`.
pub(in crate::sandbox::api) fn record(index: u64, facts: &Facts) -> Value {
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
pub(in crate::sandbox::api) fn severity(index: u64) -> &'static str {
    pick(
        draw(index, "severity"),
        &["Informational", "Low", "Low", "Medium", "Medium", "High"],
    )
}

/// When alert `index` was made.
pub(in crate::sandbox::api) fn created(index: u64, facts: &Facts) -> String {
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

/// The id of alert `index`: `da`, 18 digits, `_`, a signed number.
pub(in crate::sandbox::api) fn id(index: u64) -> String {
    let signed =
        i64::from(u32::try_from(draw(index, "alert") >> 32).unwrap_or_default()) - (1 << 31);
    format!(
        "da{}_{signed}",
        638_000_000_000_000_000 + draw(index, "ticks") % 900_000_000_000_000
    )
}
