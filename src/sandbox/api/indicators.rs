//! Indicators of compromise: listed, submitted one by one or in batches, deleted.

mod properties;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use self::properties::{ACTIONS, TYPES, properties};
use super::names::{draw, hex, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, required, required_texts, text};
use super::times::Clock;
use super::world::{Store, World, find};
use super::{Answer, reply};

/// Indicators in the sandbox at the start.
pub(super) const COUNT: u64 = 120;

/// Answers `/api/indicators…`; `rest` is the path after that.
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
        (&Method::GET, []) => INDICATORS.answer(request, &store.read().indicators),
        (&Method::GET, ["$count"]) => INDICATORS.count(request, &store.read().indicators),
        (&Method::POST, []) => {
            let body = request.body()?;
            let mut world = store.write();
            let position = submit(&mut world, &body)?;
            world.executed("indicators");
            Ok(reply::entity(
                request,
                "Indicators",
                &world.indicators[position],
            ))
        }
        (&Method::POST, ["import"]) => import(store, request),
        (&Method::POST, ["batchdelete"]) => delete_batch(store, request),
        (_, ["import" | "batchdelete"]) => Err(request.method_refused("POST")),
        (&Method::GET, [id]) => {
            let world = store.read();
            Ok(reply::entity(
                request,
                "Indicators",
                find(&world.indicators, "id", ("Indicator", id))?,
            ))
        }
        (&Method::DELETE, [id]) => {
            let mut world = store.write();
            find(&world.indicators, "id", ("Indicator", id))?;
            world
                .indicators
                .retain(|indicator| text(indicator, "id") != *id);
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        (_, []) => Err(request.method_refused("GET, POST")),
        (_, [_]) => Err(request.method_refused("GET, DELETE")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Indicator `index`.
pub(super) fn record(index: u64, clock: Clock) -> Value {
    let kind = pick(index, &TYPES);
    let value = match kind {
        "FileSha1" => hex(draw(index, "indicator"), 40),
        "FileSha256" => hex(draw(index, "indicator"), 64),
        "IpAddress" => format!("198.51.100.{}", index + 1),
        "DomainName" => format!("bad{index}.fabrikam.example"),
        "Url" => format!("https://bad{index}.fabrikam.example/a?b=%2F&c='{index}'"),
        _ => hex(draw(index, "indicator"), 32),
    };
    let mut indicator = skeleton(
        &(2841 + index).to_string(),
        &clock.ago(i64::try_from(index).unwrap_or_default() * 70_000, index),
    );
    for (field, value) in [
        ("indicatorValue", value.into()),
        ("indicatorType", kind.into()),
        ("action", pick(draw(index, "indicator action"), &ACTIONS).into()),
        ("title", format!("Feed entry {index}").into()),
        ("description", "From the \"example\" feed; see https://api.securitycenter.microsoft.com/api/indicators".into()),
        ("severity", pick(draw(index, "indicator severity"), &["Informational", "Low", "Medium", "High"]).into()),
        ("generateAlert", index.is_multiple_of(2).into()),
        ("expirationTime", if index.is_multiple_of(3) { Value::Null } else { clock.after(86_400 * 90).into() }),
        ("rbacGroupNames", if index.is_multiple_of(4) { json!(["VIP"]) } else { json!([]) }),
    ] {
        indicator[field] = value;
    }
    indicator
}

fn skeleton(id: &str, created: &str) -> Value {
    json!({
        "id": id,
        "indicatorValue": null,
        "indicatorType": null,
        "action": null,
        "application": null,
        "source": "Contoso SOC",
        "sourceType": "AadApp",
        "title": null,
        "creationTimeDateTimeUtc": created,
        "createdBy": "5a9db0c5-0000-4000-8000-0000000000aa",
        "createdByDisplayName": "Contoso SOC",
        "createdBySource": "PublicApi",
        "expirationTime": null,
        "lastUpdateTime": created,
        "lastUpdatedBy": null,
        "severity": "Informational",
        "description": null,
        "recommendedActions": null,
        "rbacGroupNames": [],
        "rbacGroupIds": [],
        "generateAlert": false,
        "category": 1,
        "mitreTechniques": [],
        "historicalDetection": false,
        "educateUrl": null,
        "notificationBody": null,
    })
}

/// Adds what `body` describes, or updates the indicator of the same type and value. Answers where it stands.
fn submit(world: &mut World, body: &Map<String, Value>) -> Result<usize, Refusal> {
    let (value, kind) = (
        required(body, "indicatorValue")?,
        required(body, "indicatorType")?,
    );
    required(body, "action")?;
    required(body, "title")?;
    required(body, "description")?;
    let properties = properties(body)?;
    let (time, serial) = world.change();
    let same = |known: &Value| {
        text(known, "indicatorType") == kind && text(known, "indicatorValue") == value
    };
    let position = world.indicators.iter().position(same).unwrap_or_else(|| {
        world
            .indicators
            .push(skeleton(&(5000 + serial).to_string(), &time));
        world.indicators.len() - 1
    });
    let indicator = &mut world.indicators[position];
    for (name, value) in properties {
        indicator[name] = value;
    }
    indicator["lastUpdateTime"] = time.into();
    Ok(position)
}

/// Each item succeeds or fails by itself; the whole is 200.
fn import(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body()?;
    let items = body
        .get("Indicators")
        .and_then(Value::as_array)
        .ok_or(Refusal::Missing("Indicators"))?;
    within_batch(items.len())?;
    let mut world = store.write();
    let mut results = Vec::with_capacity(items.len());
    for item in items {
        let empty = Map::new();
        let outcome = submit(&mut world, item.as_object().unwrap_or(&empty));
        results.push(match outcome {
            Ok(position) => {
                json!({"id": world.indicators[position]["id"], "indicator": item["indicatorValue"], "isFailed": false, "failureReason": null})
            }
            Err(refusal) => {
                json!({"id": null, "indicator": item["indicatorValue"], "isFailed": true, "failureReason": refusal.to_string()})
            }
        });
    }
    world.executed("import");
    Ok(reply::ok(&json!({"value": results})))
}

fn delete_batch(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let body = request.body()?;
    let ids = required_texts(&body, "IndicatorIds")?;
    within_batch(ids.len())?;
    let mut world = store.write();
    for id in &ids {
        find(&world.indicators, "id", ("Indicator", id))?;
    }
    world
        .indicators
        .retain(|indicator| !ids.contains(&text(indicator, "id")));
    world.executed("BatchDelete");
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

fn within_batch(given: usize) -> Result<(), Refusal> {
    if given > BATCH {
        Err(Refusal::Batch {
            given,
            limit: BATCH,
        })
    } else {
        Ok(())
    }
}

const INDICATORS: Listing = Listing {
    kind: "Indicators",
    filterable: &[
        "application",
        "createdByDisplayName",
        "expirationTime",
        "generateAlert",
        "title",
        "rbacGroupNames",
        "rbacGroupIds",
        "indicatorValue",
        "indicatorType",
        "creationTimeDateTimeUtc",
        "createdBy",
        "action",
        "severity",
    ],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &[],
};

/// Items that `import` and `BatchDelete` take at most.
const BATCH: usize = 500;
