//! The live response library.

use http::{Method, StatusCode};
use memchr::memmem;
use serde_json::{Value, json};

use super::names::hex;
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, text};
use super::times::Clock;
use super::world::{Store, find};
use super::{Answer, reply};

/// Answers `/api/libraryfiles…`; `rest` is the path after that.
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
        (&Method::GET, []) => FILES.answer(request, &store.read().library),
        (&Method::GET, ["$count"]) => FILES.count(request, &store.read().library),
        (&Method::POST, []) => upload(store, request),
        (&Method::DELETE, [name]) => {
            let mut world = store.write();
            find(&world.library, "fileName", ("Library file", name))?;
            world
                .library
                .retain(|file| !text(file, "fileName").eq_ignore_ascii_case(name));
            Ok(reply::empty(StatusCode::NO_CONTENT))
        }
        (_, []) => Err(request.method_refused("GET, POST")),
        (_, [_]) => Err(request.method_refused("DELETE")),
        _ => Err(Refusal::NoSuchPath),
    }
}

/// The files at the start.
pub(super) fn records(clock: Clock) -> Vec<Value> {
    [
        ("collect.ps1", "Collects logs"),
        ("netstat.ps1", "Open connections, \"all\" of them"),
        ("Prüfung.sh", ""),
    ]
    .into_iter()
    .zip(0..)
    .map(|((name, description), index)| {
        file((name, description), index, &clock.ago(900_000, index))
    })
    .collect()
}

/// Takes the name of the file from the form; the contents are thrown away.
fn upload(store: &Store, request: &Request<'_>) -> Result<Answer, Refusal> {
    let name = file_name(request.call.body).ok_or(Refusal::Missing("File"))?;
    let name = name.as_str();
    let mut world = store.write();
    let (time, serial) = world.change();
    let file = file((name, ""), serial + 100, &time);
    world
        .library
        .retain(|known| !text(known, "fileName").eq_ignore_ascii_case(name));
    let answer = reply::entity(request, "LibraryFiles", &file);
    world.library.push(file);
    world.executed("libraryfiles");
    Ok(answer)
}

/// The first `filename` in the headers of a multipart body, whatever bytes the parts have.
fn file_name(body: &[u8]) -> Option<String> {
    let start = memmem::find(body, MARK)? + MARK.len();
    let length = memchr::memchr(b'"', &body[start..])?;
    let name = String::from_utf8_lossy(&body[start..start + length]).into_owned();
    (!name.is_empty()).then_some(name)
}

fn file((name, description): (&str, &str), index: u64, time: &str) -> Value {
    json!({
        "fileName": name,
        "sha256": hex(index, 64),
        "description": description,
        "creationTime": time,
        "lastUpdatedTime": time,
        "createdBy": "analyst@contoso.example",
        "hasParameters": false,
        "parametersDescription": null,
    })
}

const MARK: &[u8] = b"filename=\"";

const FILES: Listing = Listing {
    kind: "LibraryFiles",
    filterable: &[],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &[],
};
