//! Lists that are only read: investigations, vulnerabilities, software, recommendations, antivirus health, scores.
//!
//! Nothing of this is stored; a list is made when it is asked for.

use http::Method;
use serde_json::{Value, json};

use super::names::{draw, pick};
use super::page::{Listing, Next};
use super::refusal::Refusal;
use super::request::{Request, text};
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

/// The CVE number of vulnerability `index`.
pub(super) fn cve(index: u64) -> String {
    format!("CVE-{}-{}", 2024 + index % 3, 20_000 + index * 37)
}

/// Vendor and name of product `index`.
pub(super) fn product(index: u64) -> (&'static str, &'static str) {
    pick(index, &PRODUCTS)
}

fn investigation(index: u64, world: &World) -> Value {
    // Every 25th alert has one (see the alerts).
    let alert = world
        .alerts_where(|alert| alert["investigationId"] == 63_000 + index)
        .pop()
        .unwrap_or_default();
    let running = text(&alert, "investigationState") == "Running";
    json!({
        "id": (63_000 + index).to_string(),
        "startTime": alert["alertCreationTime"],
        "endTime": if running { &Value::Null } else { &alert["lastUpdateTime"] },
        "state": alert["investigationState"],
        "cancelledBy": null,
        "statusDetails": null,
        "machineId": alert["machineId"],
        "computerDnsName": alert["computerDnsName"],
        "triggeringAlertId": alert["id"],
    })
}

fn vulnerability(index: u64) -> Value {
    let (vendor, name) = product(index);
    let tenths = 30 + draw(index, "cvss") % 70;
    let (severity, exploited) = (severity(index), index.is_multiple_of(6));
    let published = i64::try_from(index).unwrap_or_default() * 86_400 + 86_400;
    json!({
        "id": cve(index),
        "name": cve(index),
        "description": format!("Summary: a flaw in {vendor} {name} lets an attacker read \"memory\" beyond a buffer. Remediation: update."),
        "severity": severity,
        "cvssV3": tenths_of(tenths),
        "cvssVector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H",
        "exposedMachines": draw(index, "exposed") % 60,
        "publishedOn": times::ago(published, 0),
        "updatedOn": times::ago(published / 2, 0),
        "firstDetected": times::ago(published / 2, 7),
        "publicExploit": exploited,
        "exploitVerified": exploited && index.is_multiple_of(12),
        "exploitInKit": false,
        "exploitTypes": if exploited { vec!["Remote"] } else { Vec::new() },
        "exploitUris": if exploited { vec![format!("https://exploits.fabrikam.example/{index}")] } else { Vec::new() },
        "cveSupportability": "Supported",
        "tags": [],
        "epss": tenths_of(draw(index, "epss") % 10),
    })
}

/// The severity of vulnerability `index`.
pub(super) fn severity(index: u64) -> &'static str {
    match 30 + draw(index, "cvss") % 70 {
        90.. => "Critical",
        70.. => "High",
        40.. => "Medium",
        _ => "Low",
    }
}

fn software(index: u64) -> Value {
    let (vendor, name) = product(index);
    json!({
        "id": format!("{vendor}-_-{name}"),
        "name": name,
        "vendor": vendor,
        "weaknesses": draw(index, "weaknesses") % 90,
        "publicExploit": index.is_multiple_of(3),
        "activeAlert": index.is_multiple_of(5),
        "exposedMachines": draw(index, "software exposed") % 120,
        "installedMachines": 120 + draw(index, "installed") % 80,
        "impactScore": tenths_of(draw(index, "impact") % 30),
        "isNormalized": true,
        "category": "Application",
        "distributions": [],
    })
}

fn recommendation(index: u64) -> Value {
    let (vendor, name) = product(index);
    json!({
        "id": format!("va-_-{vendor}-_-{name}"),
        "productName": name,
        "recommendationName": format!("Update {vendor} {name} to a version that is supported"),
        "weaknesses": draw(index, "weaknesses") % 90,
        "vendor": vendor,
        "recommendedVersion": format!("{}.0.{}.0", 100 + index, index * 7),
        "recommendedVendor": "",
        "recommendedProgram": "",
        "recommendationCategory": "Application",
        "subCategory": "",
        "severityScore": 0.0,
        "publicExploit": index.is_multiple_of(3),
        "activeAlert": index.is_multiple_of(5),
        "associatedThreats": [],
        "remediationType": "Update",
        "status": pick(index, &["Active", "Active", "Exception"]),
        "configScoreImpact": 0.0,
        "exposureImpact": tenths_of(draw(index, "impact") % 30),
        "totalMachineCount": machines::COUNT,
        "exposedMachinesCount": draw(index, "software exposed") % 120,
        "nonProductivityImpactedAssets": 0,
        "relatedComponent": name,
        "exposedCriticalDevices": index % 4,
    })
}

fn antivirus(index: u64, world: &World) -> Value {
    let machine = world
        .machines
        .iter()
        .nth(usize::try_from(index).unwrap_or_default())
        .cloned()
        .unwrap_or_default();
    json!({
        "id": machine["id"],
        "machineId": machine["id"],
        "computerDnsName": machine["computerDnsName"],
        "osKind": if text(&machine, "osPlatform").starts_with("Windows") { "windows" } else { "linux" },
        "osPlatform": machine["osPlatform"],
        "osVersion": machine["version"],
        "rbacGroupId": machine["rbacGroupId"],
        "rbacGroupName": machine["rbacGroupName"],
        "lastSeenTime": machine["lastSeen"],
        "avMode": pick(draw(index, "av mode"), &["Active", "Active", "Passive", "EDRBlocked", "Unknown"]),
        "avSignatureVersion": format!("1.437.{}.0", draw(index, "signature") % 300),
        "avEngineVersion": "1.1.25090.3000",
        "avPlatformVersion": "4.18.25090.3009",
        "avIsSignatureUptoDate": pick(draw(index, "signature"), &["True", "True", "False", "Unknown"]),
        "avSignatureUpdateTime": times::ago(machines::seconds(index, "signature age", 300_000), index),
        "quickScanResult": "Completed",
        "quickScanError": null,
        "quickScanTime": times::ago(machines::seconds(index, "quick scan", 300_000), index),
        "fullScanResult": null,
        "fullScanError": null,
        "fullScanTime": null,
        "cloudProtectionState": "MemberOf;Reachable",
        "dataRefreshTimestamp": times::ago(3600, 3),
    })
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

/// The index of the vulnerability that `machine` has at place `ordinal`: each machine has different ones.
fn exposed_to(machine: u64, ordinal: u64) -> u64 {
    (draw(machine, "machine cve") % VULNERABILITIES + ordinal * 11) % VULNERABILITIES
}

fn machine_reference(machine: &Value) -> Value {
    json!({
        "id": machine["id"],
        "computerDnsName": machine["computerDnsName"],
        "osPlatform": machine["osPlatform"],
        "rbacGroupId": machine["rbacGroupId"],
        "rbacGroupName": machine["rbacGroupName"],
        "detectionTime": machine["lastSeen"],
    })
}

fn tenths_of(tenths: u64) -> f64 {
    f64::from(u32::try_from(tenths).unwrap_or_default()) / 10.0
}

/// One list.
struct Catalogue {
    /// Its path after `/api/`, lower case.
    path: &'static str,
    count: u64,
    record: fn(u64, &World) -> Value,
    listing: Listing,
}

/// Vulnerabilities of one machine.
const PER_MACHINE: u64 = 3;

/// Vulnerabilities in the sandbox.
pub(super) const VULNERABILITIES: u64 = 150;

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

/// Vendor and product, as the inventory writes them.
const PRODUCTS: [(&str, &str); 16] = [
    ("microsoft", "edge_chromium-based"),
    ("microsoft", "office"),
    ("microsoft", "windows_11"),
    ("microsoft", ".net_framework"),
    ("microsoft", "teams"),
    ("microsoft", "sql_server_2022"),
    ("google", "chrome"),
    ("mozilla", "firefox"),
    ("adobe", "acrobat_reader_dc"),
    ("oracle", "jre"),
    ("openssl", "openssl"),
    ("7-zip", "7-zip"),
    ("videolan", "vlc_media_player"),
    ("python", "python"),
    ("git", "git"),
    ("canonical", "ubuntu_linux"),
];
