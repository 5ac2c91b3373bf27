//! Lists that are only read: investigations, vulnerabilities, software, recommendations, antivirus health, scores.
//!
//! Nothing of this is stored; a list is made when it is asked for.

mod records;

use http::Method;
use serde_json::{Value, json};

pub(super) use self::records::{PER_MACHINE, VULNERABILITIES, cve, exposed_to, product, severity};
use self::records::{
    PRODUCTS, antivirus, investigation, machine_reference, of_product, recommendation, software,
    vulnerability,
};
use super::facts::Facts;
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::Request;
use super::world::{Store, World, find};
use super::{Answer, machines, reply};

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
    let world = store.read();
    if catalogue.path == "vulnerabilities" && matches!(after, ["machinesvulnerabilities"]) {
        return machines_vulnerabilities(request, &world.facts);
    }
    let records: Vec<Value> = (0..catalogue.count)
        .map(|index| (catalogue.record)(index, &world))
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
            let record = find(&records, "id", (catalogue.listing.kind, id))?;
            let index = (0..).zip(&records).find(|(_, known)| *known == record);
            let (index, _) = index.unwrap_or((0, record));
            let exposed = (catalogue.exposed.ok_or(Refusal::NoSuchPath)?)(index, &world.facts);
            let references: Vec<Value> = exposed
                .into_iter()
                .filter_map(|device| world.machines.get(usize::try_from(device).ok()?))
                .map(machine_reference)
                .collect();
            REFERENCES.answer(request, &references)
        }
        _ => Err(Refusal::NoSuchPath),
    }
}

/// Answers `/api/exposureScore` and `/api/configurationScore`.
///
/// # Errors
///
/// [`Refusal::Method`].
pub(super) fn score(store: &Store, request: &Request<'_>, name: &str) -> Result<Answer, Refusal> {
    if *request.method != Method::GET {
        return Err(request.method_refused("GET"));
    }
    let (kind, value) = if name == "exposurescore" {
        ("ExposureScore", 33.491)
    } else {
        ("ConfigurationScore", 340.0)
    };
    Ok(reply::entity(
        request,
        kind,
        &json!({"time": store.read().facts.clock.after(0), "score": value}),
    ))
}

/// The vulnerabilities of the machine `id`.
///
/// # Errors
///
/// As [`Listing::page`].
pub(super) fn of_machine(
    request: &Request<'_>,
    facts: &Facts,
    id: &str,
) -> Result<Answer, Refusal> {
    let machine = facts.device_index(id).unwrap_or_default();
    let records: Vec<Value> = (0..PER_MACHINE)
        .map(|ordinal| vulnerability(exposed_to(machine, ordinal), facts))
        .collect();
    VULNERABILITY_LIST.answer(request, &records)
}

fn machines_vulnerabilities(request: &Request<'_>, facts: &Facts) -> Result<Answer, Refusal> {
    let reference = |index: u64| {
        let (machine, ordinal) = (index / PER_MACHINE, index % PER_MACHINE);
        let cve_index = exposed_to(machine, ordinal);
        let (vendor, name) = product(cve_index);
        let (id, cve) = (&facts.device(machine).id, facts.cve(cve_index));
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
        nested: &[],
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
    /// The devices that a record concerns: they are its `machineReferences`.
    exposed: Option<fn(u64, &Facts) -> Vec<u64>>,
}

const REFERENCES: Listing = Listing {
    kind: "MachineReferences",
    filterable: &["id", "computerDnsName", "osPlatform", "rbacGroupName"],
    cap: 10_000,
    page: 10_000,
    next: Next::SkipUnlessTop,
    nested: &[],
};

const VULNERABILITY_LIST: Listing = Listing {
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
    nested: &[],
};

const CATALOGUES: [Catalogue; 5] = [
    Catalogue {
        path: "investigations",
        exposed: None,
        count: 40,
        record: investigation,
        listing: Listing {
            kind: "Investigations",
            filterable: &["startTime", "id", "state", "machineId", "triggeringAlertId"],
            cap: 10_000,
            page: 10_000,
            next: Next::SkipUnlessTop,
            nested: &[],
        },
    },
    Catalogue {
        path: "vulnerabilities",
        exposed: Some(|index, facts| facts.exposed(std::iter::once(index))),
        count: VULNERABILITIES,
        record: |index, world| vulnerability(index, &world.facts),
        listing: VULNERABILITY_LIST,
    },
    Catalogue {
        path: "software",
        exposed: Some(|index, facts| facts.exposed(of_product(index))),
        count: PRODUCTS.len() as u64,
        record: |index, world| software(index, &world.facts),
        listing: Listing {
            kind: "Software",
            filterable: &["id", "name", "vendor"],
            cap: 10_000,
            page: 10_000,
            next: Next::SkipUnlessTop,
            nested: &[],
        },
    },
    Catalogue {
        path: "recommendations",
        exposed: Some(|index, facts| facts.exposed(of_product(index))),
        count: PRODUCTS.len() as u64,
        record: |index, world| recommendation(index, &world.facts),
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
            nested: &[],
        },
    },
    Catalogue {
        path: "deviceavinfo",
        exposed: None,
        count: machines::COUNT,
        record: antivirus,
        listing: Listing {
            kind: "DeviceAvInfo",
            filterable: &[],
            cap: 10_000,
            page: 20,
            next: Next::SkipUnlessTop,
            nested: &[],
        },
    },
];
