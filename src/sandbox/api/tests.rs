//! The API without its server: calls in, decoded answers out.

mod actions;
mod alerts;
mod basics;
mod exports;
mod hunting;
mod incidents;
mod indicators;
mod library;
mod lists;
mod machines;
mod tenants;

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::sandbox::Options;

/// The API at the usual present.
fn api() -> Api {
    Api::new(names::TENANT, Options::default().now)
}

fn machine_id(index: u64) -> String {
    devices::Device::of(index).id
}

/// A call of the home tenant and its decoded answer.
fn send(api: &Api, method: &Method, target: &str, body: &str) -> (u16, Value) {
    send_as(api, names::TENANT, (method, target, body))
}

/// A call of a tenant and its decoded answer.
fn send_as(api: &Api, tenant: &str, (method, target, body): (&Method, &str, &str)) -> (u16, Value) {
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call {
        tenant,
        method,
        path,
        query,
        body: body.as_bytes(),
        link_origin: "https://eu.example",
        client_request_id: Some("from the client"),
        tracking: &|| "3f0c5b1e-0000-4000-8000-000000000000".to_owned(),
    };
    let answer = api.answer(&call);
    let bytes = match answer.payload {
        Payload::Empty => Vec::new(),
        Payload::Full(bytes) => bytes.to_vec(),
        Payload::Chunks(chunks) => chunks.flatten().collect(),
    };
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (answer.status.as_u16(), body)
}

fn get(api: &Api, target: &str) -> (u16, Value) {
    send(api, &Method::GET, target, "")
}

fn values(body: &Value) -> &Vec<Value> {
    body["value"].as_array().expect("a list")
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

/// Follows `nextLink` from `target` to the end: the `key` of every record, and the number of pages.
fn walk(api: &Api, target: &str, key: &str) -> (Vec<String>, usize) {
    let (mut seen, mut pages, mut next) = (Vec::new(), 0, Some(target.to_owned()));
    while let Some(target) = next {
        let (status, body) = get(api, &target);
        assert_eq!(status, 200, "{target}: {body}");
        seen.extend(values(&body).iter().map(|record| record[key].to_string()));
        pages += 1;
        let link = body["@odata.nextLink"].as_str();
        next = link.map(|link| {
            link.strip_prefix("https://eu.example")
                .expect("our origin")
                .to_owned()
        });
    }
    (seen, pages)
}
