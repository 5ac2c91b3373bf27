//! Machines, and what is asked of one.

use http::Method;
use serde_json::{Value, json};

use super::facts::Facts;
use super::names::{draw, guid, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, Shaped, required, text};
use super::world::{Store, World, find_mut};
use super::{Answer, actions, alerts, catalogue, export, reply, times};

/// Machines in the sandbox.
pub(super) const COUNT: u64 = 200;

/// Answers `/api/machines…`; `rest` is the path after that.
///
/// # Errors
///
/// [`Refusal`], 404 also for a list nothing matches, as documented.
pub(super) fn answer(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    if *request.method != Method::GET {
        return change(store, request, rest);
    }
    let world = store.read();
    match rest {
        [] => list(request, &world.machines),
        ["$count"] => MACHINES.count(request, &world.machines),
        ["softwarevulnerabilitiesbymachine"] => {
            export::records(request, &world.facts, export::Kind::Vulnerabilities)
        }
        ["softwarevulnerabilitychangesbymachine"] => {
            export::records(request, &world.facts, export::Kind::Changes)
        }
        ["secureconfigurationsassessmentbymachine"] => {
            export::records(request, &world.facts, export::Kind::Configurations)
        }
        ["softwarevulnerabilitiesexport"] => export::files(request, &world.facts, ("VaExport", 6)),
        ["secureconfigurationsassessmentexport"] => {
            export::files(request, &world.facts, ("ScaExport", 6))
        }
        ["infogatheringexport"] => {
            export::files(request, &world.facts, ("InfoGatheringExport", 24))
        }
        [call] if call.starts_with("findbyip(") => find_by_ip(request, &world, call),
        [id] => Ok(reply::entity(request, "Machines", world.machine(id)?)),
        [id, "alerts", after @ ..] => {
            let id = text(world.machine(id)?, "id");
            alerts::related(
                request,
                &world.alerts_where(|alert| text(alert, "machineId") == id),
                after,
            )
        }
        [id, "vulnerabilities"] => {
            catalogue::of_machine(request, &world.facts, text(world.machine(id)?, "id"))
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

/// The list, or 404 for an empty one.
///
/// # Errors
///
/// [`Refusal::NoMachines`], and as [`Listing::page`].
pub(super) fn list(request: &Request<'_>, machines: &[Value]) -> Result<Answer, Refusal> {
    let page = MACHINES.page(request, machines)?;
    if page.records.is_empty() {
        return Err(Refusal::NoMachines);
    }
    Ok(page.answer(request, Shaped::Borrowed))
}

/// Machine `index`.
pub(super) fn record(index: u64, facts: &Facts) -> Value {
    let (device, clock) = (facts.device(index), facts.clock);
    let day = 86_400;
    json!({
        "id": device.id,
        "computerDnsName": device.name,
        "firstSeen": clock.ago(day * 200 + seconds(index, "first", day * 100), draw(index, "first digits")),
        "lastSeen": clock.ago(seconds(index, "last", day * 9), draw(index, "last digits")),
        "osPlatform": device.platform,
        "version": device.version,
        "osProcessor": device.processor,
        "osBuild": device.build,
        "lastIpAddress": device.address,
        "lastExternalIpAddress": device.public_address,
        "healthStatus": pick(draw(index, "health"), &["Active", "Active", "Active", "Inactive", "NoSensorData"]),
        "onboardingStatus": if device.onboarded { "onboarded" } else { "CanBeOnboarded" },
        "deviceValue": pick(draw(index, "value"), &["Normal", "Normal", "Low", "High"]),
        "rbacGroupId": device.group_id,
        "rbacGroupName": device.group,
        "riskScore": pick(draw(index, "risk"), &["None", "Informational", "Low", "Medium", "High"]),
        "exposureLevel": pick(draw(index, "exposure"), &["None", "Low", "Medium", "High"]),
        "isAadJoined": device.joined,
        "aadDeviceId": device.joined.then(|| guid(draw(index, "aad device"))),
        "machineTags": tags(index),
        "ipAddresses": [{
            "ipAddress": device.address,
            "macAddress": format!("00155D{:06X}", draw(index, "mac") & 0xff_ffff),
            "operationalStatus": "Up",
        }],
    })
}

fn change(store: &Store, request: &Request<'_>, rest: &[&str]) -> Result<Answer, Refusal> {
    match (request.method, rest) {
        (&Method::POST, [id, "tags"]) => tag(store, request, id),
        (&Method::POST, [id, verb]) => actions::start(store, request, (id, verb)),
        (_, [] | [_] | [_, "alerts" | "vulnerabilities", ..]) => Err(request.method_refused("GET")),
        (_, [_, verb]) if *verb == "tags" || actions::is_verb(verb) => {
            Err(request.method_refused("POST"))
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Adds or removes a tag; the answer is the machine (not an action: nothing is sent to the device).
fn tag(store: &Store, request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    let body = request.body()?;
    let (tag, action) = (required(&body, "Value")?, required(&body, "Action")?);
    let mut world = store.write();
    let id = text(world.machine(id)?, "id").to_owned();
    let machine = find_mut(&mut world.machines, "id", ("Machine", &id))?;
    let mut tags: Vec<Value> = machine["machineTags"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    tags.retain(|known| known != tag);
    match action {
        "Add" => tags.push(tag.into()),
        "Remove" => {}
        _ => return Err(Refusal::Body("Action must be Add or Remove".to_owned())),
    }
    machine["machineTags"] = tags.into();
    let answer = reply::entity(request, "Machines", machine);
    world.executed("tags");
    Ok(answer)
}

/// `findbyip(ip='10.20.0.10',timestamp=2026-10-22T08:44:05Z)`.
///
/// The service looks 15 minutes around the time; here a machine has had its address always.
fn find_by_ip(request: &Request<'_>, world: &World, call: &str) -> Result<Answer, Refusal> {
    let arguments = call
        .strip_prefix("findbyip(")
        .and_then(|call| call.strip_suffix(')'))
        .unwrap_or_default();
    let argument = |name: &str| {
        let pair = arguments.split(',').find_map(|pair| {
            pair.trim()
                .strip_prefix(name)?
                .trim_start()
                .strip_prefix('=')
        });
        pair.map(|value| value.trim().trim_matches('\''))
            .unwrap_or_default()
    };
    let address = argument("ip");
    if address.parse::<std::net::IpAddr>().is_err() {
        return Err(Refusal::Input(format!("'{address}' is not an IP address")));
    }
    if times::parse(argument("timestamp")).is_none() {
        return Err(Refusal::Input(
            "timestamp is not a date and time".to_owned(),
        ));
    }
    let found: Vec<Value> = world
        .machines
        .iter()
        .filter(|machine| text(machine, "lastIpAddress") == address)
        .cloned()
        .collect();
    list(request, &found)
}

fn tags(index: u64) -> Vec<&'static str> {
    match draw(index, "tags") % 5 {
        0 => vec!["production"],
        1 => vec!["production", "Büro Köln"],
        2 => vec!["test \"ring 0\""],
        _ => Vec::new(),
    }
}

/// A number of seconds below `span`, drawn for `index`.
pub(super) fn seconds(index: u64, word: &str, span: i64) -> i64 {
    i64::try_from(draw(index, word) >> 1).unwrap_or_default() % span
}

const MACHINES: Listing = Listing {
    kind: "Machines",
    filterable: &[
        "computerDnsName",
        "id",
        "version",
        "deviceValue",
        "aadDeviceId",
        "machineTags",
        "lastSeen",
        "firstSeen",
        "exposureLevel",
        "onboardingStatus",
        "lastIpAddress",
        "healthStatus",
        "osPlatform",
        "riskScore",
        "rbacGroupId",
        "rbacGroupName",
    ],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &[],
};
