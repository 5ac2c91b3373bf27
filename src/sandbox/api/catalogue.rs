//! Lists that are only read: investigations, vulnerabilities, software, recommendations, antivirus health, scores.
//!
//! Nothing of this is stored; a list is made when it is asked for.

mod records;

use http::Method;
use serde_json::{Value, json};

use self::records::{
    PER_MACHINE, PRODUCTS, antivirus, exposed_to, investigation, machine_reference, recommendation,
    software, vulnerability,
};
pub(super) use self::records::{VULNERABILITIES, cve, product, severity};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::Request;
use super::world::{Store, World, find};
use super::{Answer, machines, reply, times};

/// Answers `/api/{kind}` and `/api/{kind}/{id}`, `rest` being the whole path after `/api/`.
///
/// # Errors
///
/// [`Refusal`].
pub(super) fn answer(
    store: &Store,
    request: &Request<'_>,
    rest: &[&str],
) -> Result<Answer, Refusal> {
    let [kind, after @ ..] = rest else {
        return Err(Refusal::NoSuchPath);
    };
    let catalogue = CATALOGUES
        .iter()
        .find(|catalogue| catalogue.path == *kind)
        .ok_or(Refusal::NoSuchPath)?;
    if *request.method != Method::GET {
        return Err(request.method_refused("GET"));
    }
    if catalogue.path == "vulnerabilities" && matches!(after, ["machinesvulnerabilities"]) {
        return machines_vulnerabilities(request);
    }
    let records: Vec<Value> = (0..catalogue.count)
        .map(|index| (catalogue.record)(index, &store.read()))
        .collect();
    match after {
        [] => catalogue.listing.answer(request, &records),
        ["$count"] => catalogue.listing.count(request, &records),
        [id] => Ok(reply::entity(
            request,
            catalogue.listing.kind,
            find(&records, "id", (catalogue.listing.kind, id))?,
        )),
        [id, "machinereferences"] => {
            find(&records, "id", (catalogue.listing.kind, id))?;
            let few: Vec<Value> = store
                .read()
                .machines
                .iter()
                .step_by(17)
                .map(machine_reference)
                .collect();
            machines::list(request, &few)
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Answers `/api/exposureScore` and `/api/configurationScore`.
///
/// # Errors
///
/// [`Refusal::Method`].
pub(super) fn score(request: &Request<'_>, kind: &str) -> Result<Answer, Refusal> {
    if *request.method != Method::GET {
        return Err(request.method_refused("GET"));
    }
    let (kind, score) = if kind == "exposurescore" {
        ("ExposureScore", 33.491)
    } else {
        ("ConfigurationScore", 340.0)
    };
    Ok(reply::entity(
        request,
        kind,
        &json!({"time": times::after(0), "score": score}),
    ))
}

/// The vulnerabilities of the machine `id`.
///
/// # Errors
///
/// As [`Listing::page`].
pub(super) fn of_machine(request: &Request<'_>, id: &str) -> Result<Answer, Refusal> {
    let machine = (0..machines::COUNT)
        .find(|index| machines::id(*index) == id)
        .unwrap_or_default();
    let records: Vec<Value> = (0..PER_MACHINE)
        .map(|ordinal| vulnerability(exposed_to(machine, ordinal)))
        .collect();
    CATALOGUES[1].listing.answer(request, &records)
}

fn machines_vulnerabilities(request: &Request<'_>) -> Result<Answer, Refusal> {
    let reference = |index: u64| {
        let (machine, ordinal) = (index / PER_MACHINE, index % PER_MACHINE);
        let cve_index = exposed_to(machine, ordinal);
        let (vendor, name) = product(cve_index);
        let (id, cve) = (machines::id(machine), cve(cve_index));
        json!({
            "id": format!("{id}-_-{cve}-_-{vendor}-_-{name}-_-1.{}-_-", cve_index % 9),
            "cveId": cve,
            "machineId": id,
            "fixingKbId": (vendor == "microsoft").then(|| (5_040_000 + cve_index).to_string()),
            "productName": name,
            "productVendor": vendor,
            "productVersion": format!("1.{}", cve_index % 9),
            "severity": severity(cve_index),
        })
    };
    let records: Vec<Value> = (0..machines::COUNT * PER_MACHINE).map(reference).collect();
    let listing = Listing {
        kind: "Collection(Analytics.Contracts.PublicAPI.PublicAssetVulnerabilityDto)",
        filterable: &[],
        cap: 10_000,
        page: 10_000,
        next: Next::SkipUnlessTop,
    };
    listing.answer(request, &records)
}

/// One list.
struct Catalogue {
    /// Its path after `/api/`, lower case.
    path: &'static str,
    count: u64,
    record: fn(u64, &World) -> Value,
    listing: Listing,
}

const CATALOGUES: [Catalogue; 5] = [
    Catalogue {
        path: "investigations",
        count: 40,
        record: investigation,
        listing: Listing {
            kind: "Investigations",
            filterable: &["startTime", "id", "state", "machineId", "triggeringAlertId"],
            cap: 10_000,
            page: 10_000,
            next: Next::SkipUnlessTop,
        },
    },
    Catalogue {
        path: "vulnerabilities",
        count: VULNERABILITIES,
        record: |index, _| vulnerability(index),
        listing: Listing {
            kind: "Vulnerabilities",
            filterable: &[
                "id",
                "name",
                "description",
                "cvssV3",
                "publishedOn",
                "severity",
                "updatedOn",
            ],
            cap: 8000,
            page: 8000,
            next: Next::SkipUnlessTop,
        },
    },
    Catalogue {
        path: "software",
        count: PRODUCTS.len() as u64,
        record: |index, _| software(index),
        listing: Listing {
            kind: "Software",
            filterable: &["id", "name", "vendor"],
            cap: 10_000,
            page: 10_000,
            next: Next::SkipUnlessTop,
        },
    },
    Catalogue {
        path: "recommendations",
        count: PRODUCTS.len() as u64,
        record: |index, _| recommendation(index),
        listing: Listing {
            kind: "Recommendations",
            filterable: &[
                "id",
                "productName",
                "vendor",
                "recommendedVersion",
                "recommendationCategory",
                "subCategory",
                "severityScore",
                "remediationType",
                "recommendedProgram",
                "recommendedVendor",
                "status",
            ],
            cap: 10_000,
            page: 10_000,
            next: Next::SkipUnlessTop,
        },
    },
    Catalogue {
        path: "deviceavinfo",
        count: machines::COUNT,
        record: antivirus,
        listing: Listing {
            kind: "DeviceAvInfo",
            filterable: &[],
            cap: 10_000,
            page: 20,
            next: Next::SkipUnlessTop,
        },
    },
];
