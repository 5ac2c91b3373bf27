//! Machine actions: started by a POST on a machine, finished after they were looked at a few times.

mod verbs;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use self::verbs::VERBS;
use super::facts::Facts;
use super::machines::seconds;
use super::names::{draw, guid, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, required, text};
use super::times::Clock;
use super::world::{Store, find, find_mut};
use super::{Answer, reply, times};

/// Machine actions in the sandbox at the start.
pub(super) const COUNT: u64 = 60;

/// Answers `/api/machineactions…`; `rest` is the path after that.
///
/// Looking at actions, one by one or in the list, or asking for a result moves them one step on: Pending, `InProgress`,
/// Succeeded. So a client's polling loop runs as against the service, and ends without a clock.
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
            let mut world = store.write();
            let answer = ACTIONS.answer(request, &world.actions)?;
            if world.actions.iter().any(is_active) {
                let (time, _) = world.change();
                world
                    .actions
                    .iter_mut()
                    .for_each(|action| advance(action, &time));
            }
            Ok(answer)
        }
        (&Method::GET, ["$count"]) => ACTIONS.count(request, &store.read().actions),
        (&Method::GET, [id]) => {
            let action = look(store, id)?;
            Ok(reply::entity(request, "MachineActions", &action))
        }
        (&Method::GET, [id, "getpackageuri"]) => package(request, &look(store, id)?),
        (&Method::GET, [id, call]) if call.starts_with(RESULT) => {
            let action = look(store, id)?;
            let clock = store.read().facts.clock;
            live_response_result(request, &action, (call, clock))
        }
        (&Method::POST, [id, "cancel"]) => cancel(store, request, id),
        (_, [_, "cancel"]) => Err(request.method_refused("POST")),
        (_, [] | [_] | [_, "getpackageuri"]) => Err(request.method_refused("GET")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Starts `verb` on the machine `id`: 201 and the action.
///
/// # Errors
///
/// [`Refusal::Active`] while one of the same type isn't finished on this machine; for a bad body or unknown names others.
pub(super) fn start(
    store: &Store,
    request: &Request<'_>,
    (id, verb): (&str, &str),
) -> Result<Answer, Refusal> {
    let verb = VERBS
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(verb))
        .ok_or(Refusal::NoSuchPath)?;
    let body = request.body()?;
    let comment = required(&body, "Comment")?;
    let details = verb.details(&body)?;
    let mut world = store.write();
    let machine = world.machine(id)?.clone();
    let active = |action: &Value| {
        action["machineId"] == machine["id"] && action["type"] == verb.kind && is_active(action)
    };
    if world.actions.iter().any(active) {
        return Err(Refusal::Active(verb.kind));
    }
    let (time, serial) = world.change();
    let mut action = skeleton(COUNT + serial, &machine, verb.kind);
    for field in ["creationDateTimeUtc", "lastUpdateDateTimeUtc"] {
        action[field] = time.as_str().into();
    }
    action["requestorComment"] = comment.into();
    if let (Value::Object(action), Value::Object(details)) = (&mut action, details) {
        action.extend(details);
    }
    let mut answer = reply::entity(request, "MachineActions", &action);
    answer.status = StatusCode::CREATED;
    world.actions.insert(0, action);
    world.executed(verb.name);
    Ok(answer)
}

/// Whether `verb` (lower case) is one that starts an action on a machine.
pub(super) fn is_verb(verb: &str) -> bool {
    VERBS
        .iter()
        .any(|known| known.name.eq_ignore_ascii_case(verb))
}

/// Action `index`, long finished.
pub(super) fn record(index: u64, facts: &Facts) -> Value {
    let (device, clock) = (facts.device(draw(index, "action machine")), facts.clock);
    let machine = json!({"id": device.id, "computerDnsName": device.name});
    let kind = pick(
        index,
        &[
            "CollectInvestigationPackage",
            "RunAntiVirusScan",
            "Isolate",
            "Unisolate",
            "LiveResponse",
        ],
    );
    let age =
        i64::try_from(index).unwrap_or_default() * 20_000 + seconds(index, "action", 9000) + 4000;
    let mut action = skeleton(index, &machine, kind);
    action["status"] = pick(
        draw(index, "action status"),
        &["Succeeded", "Succeeded", "Succeeded", "Failed", "Cancelled"],
    )
    .into();
    action["requestorComment"] = format!("Ticket SEC-{}", 4000 + index).into();
    action["creationDateTimeUtc"] = clock.ago(age, draw(index, "action created")).into();
    action["lastUpdateDateTimeUtc"] = clock.ago(age - 900, draw(index, "action updated")).into();
    if kind == "LiveResponse" {
        action["commands"] = verbs::finished_command(&action).into();
    }
    action
}

fn skeleton(index: u64, machine: &Value, kind: &str) -> Value {
    json!({
        "id": guid(draw(index, "action id")),
        "type": kind,
        "title": null,
        "requestor": "analyst@contoso.example",
        "requestorComment": "",
        "status": "Pending",
        "machineId": machine["id"],
        "computerDnsName": machine["computerDnsName"],
        "creationDateTimeUtc": null,
        "lastUpdateDateTimeUtc": null,
        "cancellationRequestor": null,
        "cancellationComment": null,
        "cancellationDateTimeUtc": null,
        "errorHResult": 0,
        "scope": if kind.ends_with("solate") { json!("Full") } else { Value::Null },
        "externalId": null,
        "requestSource": "PublicApi",
        "relatedFileInfo": null,
        "commands": [],
        "troubleshootInfo": null,
    })
}

/// The action as it is now; afterwards it has moved on.
fn look(store: &Store, id: &str) -> Result<Value, Refusal> {
    let mut world = store.write();
    let seen = find(&world.actions, "id", ("Machine action", id))?.clone();
    if is_active(&seen) {
        let (time, _) = world.change();
        advance(
            find_mut(&mut world.actions, "id", ("Machine action", id))?,
            &time,
        );
    }
    Ok(seen)
}

/// Takes `action` and its commands one step on; what has ended stays.
fn advance(action: &mut Value, time: &str) {
    let (status, command, field) = match text(action, "status") {
        "Pending" => ("InProgress", "InProgress", "startTime"),
        "InProgress" => ("Succeeded", "Completed", "endTime"),
        _ => return,
    };
    action["status"] = status.into();
    action["lastUpdateDateTimeUtc"] = time.into();
    for known in action["commands"].as_array_mut().into_iter().flatten() {
        known["commandStatus"] = command.into();
        known[field] = time.into();
    }
}

/// The download link of a collected package, with the quotes that the service puts into the string.
fn package(request: &Request<'_>, action: &Value) -> Result<Answer, Refusal> {
    if text(action, "type") != "CollectInvestigationPackage"
        || text(action, "status") != "Succeeded"
    {
        return Err(Refusal::NotFound {
            kind: "Package of machine action",
            id: text(action, "id").to_owned(),
        });
    }
    let link = format!(
        "\"https://userrequests-us.securitycenter.windows.com:443/safedownload/WDATP_Investigation_Package.zip?token={}\"",
        text(action, "id").replace('-', ""),
    );
    Ok(reply::string(request, &link))
}

/// The link to what the command of `getliveresponseresultdownloadlink(index=0)` printed, good for half an hour.
fn live_response_result(
    request: &Request<'_>,
    action: &Value,
    (call, clock): (&str, Clock),
) -> Result<Answer, Refusal> {
    let index = call
        .strip_prefix(RESULT)
        .and_then(|rest| rest.strip_suffix(')'));
    let index = index.and_then(|index| index.trim().strip_prefix("index=")?.parse().ok());
    let index: usize =
        index.ok_or_else(|| Refusal::Input("index must be the number of a command".to_owned()))?;
    let command = &action["commands"][index];
    if text(action, "status") != "Succeeded" || command.is_null() {
        return Err(Refusal::NotFound {
            kind: "Result of machine action",
            id: text(action, "id").to_owned(),
        });
    }
    let link = format!(
        "https://automatedirstrprdeus.blob.core.windows.net/investigation-actions-data/{}/CustomPlaybookCommandOutput/\
         output{index}?se={}&sp=r&sv=2020-04-08&sr=b&sig=c2FuZGJveA%3D%3D",
        text(action, "id"),
        times::text(clock.moment() + 1800 * times::TICKS).replace(':', "%3A"),
    );
    Ok(reply::string(request, &link))
}

fn cancel(store: &Store, request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    let body = request.body()?;
    let comment = required(&body, "Comment")?;
    let mut world = store.write();
    if !is_active(find(&world.actions, "id", ("Machine action", id))?) {
        return Err(Refusal::Input(format!(
            "Machine action {id} is finished and can't be cancelled"
        )));
    }
    let (time, _) = world.change();
    let action = find_mut(&mut world.actions, "id", ("Machine action", id))?;
    action["status"] = "Cancelled".into();
    action["cancellationRequestor"] = "analyst@contoso.example".into();
    action["cancellationComment"] = comment.into();
    action["cancellationDateTimeUtc"] = time.as_str().into();
    action["lastUpdateDateTimeUtc"] = time.into();
    let answer = reply::entity(request, "MachineActions", action);
    world.executed("cancel");
    Ok(answer)
}

fn is_active(action: &Value) -> bool {
    matches!(text(action, "status"), "Pending" | "InProgress")
}

const RESULT: &str = "getliveresponseresultdownloadlink(";

const ACTIONS: Listing = Listing {
    kind: "MachineActions",
    filterable: &[
        "id",
        "status",
        "machineId",
        "type",
        "requestor",
        "creationDateTimeUtc",
    ],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &[],
};
