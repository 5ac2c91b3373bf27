//! The records of the lists that are only read.

use serde_json::{Value, json};

use crate::sandbox::api::facts::Facts;
use crate::sandbox::api::machines;
use crate::sandbox::api::names::{draw, pick};
use crate::sandbox::api::request::text;
use crate::sandbox::api::times::Clock;
use crate::sandbox::api::world::World;

/// The CVE number of vulnerability `index`.
pub(in crate::sandbox::api) fn cve(index: u64, clock: Clock) -> String {
    let published = clock.ago(age(index), 0);
    format!("CVE-{}-{}", &published[..4], 20_000 + index * 37)
}

/// Vendor and name of product `index`.
pub(in crate::sandbox::api) fn product(index: u64) -> (&'static str, &'static str) {
    pick(index, &PRODUCTS)
}

/// Investigation `index`.
pub(super) fn investigation(index: u64, world: &World) -> Value {
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

/// Vulnerability `index`.
pub(super) fn vulnerability(index: u64, facts: &Facts) -> Value {
    let (vendor, name) = product(index);
    let tenths = 30 + draw(index, "cvss") % 70;
    let (severity, exploited) = (severity(index), index.is_multiple_of(6));
    let (published, clock) = (age(index), facts.clock);
    let cve = facts.cve(index);
    json!({
        "id": cve,
        "name": cve,
        "description": format!("Summary: a flaw in {vendor} {name} lets an attacker read \"memory\" beyond a buffer. Remediation: update."),
        "severity": severity,
        "cvssV3": tenths_of(tenths),
        "cvssVector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H",
        "exposedMachines": facts.exposed(std::iter::once(index)).len(),
        "publishedOn": clock.ago(published, 0),
        "updatedOn": clock.ago(published / 2, 0),
        "firstDetected": clock.ago(published / 2, 7),
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
pub(in crate::sandbox::api) fn severity(index: u64) -> &'static str {
    match 30 + draw(index, "cvss") % 70 {
        90.. => "Critical",
        70.. => "High",
        40.. => "Medium",
        _ => "Low",
    }
}

/// Product `index`.
pub(super) fn software(index: u64, facts: &Facts) -> Value {
    let (vendor, name) = product(index);
    let exposed = facts.exposed(of_product(index)).len() as u64;
    json!({
        "id": format!("{vendor}-_-{name}"),
        "name": name,
        "vendor": vendor,
        "weaknesses": of_product(index).count(),
        "publicExploit": index.is_multiple_of(3),
        "activeAlert": index.is_multiple_of(5),
        "exposedMachines": exposed,
        "installedMachines": exposed + draw(index, "installed") % (machines::COUNT - exposed + 1),
        "impactScore": tenths_of(draw(index, "impact") % 30),
        "isNormalized": true,
        "category": "Application",
        "distributions": [],
    })
}

/// Recommendation `index`.
pub(super) fn recommendation(index: u64, facts: &Facts) -> Value {
    let (vendor, name) = product(index);
    json!({
        "id": format!("va-_-{vendor}-_-{name}"),
        "productName": name,
        "recommendationName": format!("Update {vendor} {name} to a version that is supported"),
        "weaknesses": of_product(index).count(),
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
        "exposedMachinesCount": facts.exposed(of_product(index)).len(),
        "nonProductivityImpactedAssets": 0,
        "relatedComponent": name,
        "exposedCriticalDevices": index % 4,
    })
}

/// Antivirus health of machine `index`.
pub(super) fn antivirus(index: u64, world: &World) -> Value {
    let clock = world.facts.clock;
    let machine = world
        .machines
        .get(usize::try_from(index).unwrap_or_default())
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
        "avSignatureUpdateTime": clock.ago(machines::seconds(index, "signature age", 300_000), index),
        "quickScanResult": "Completed",
        "quickScanError": null,
        "quickScanTime": clock.ago(machines::seconds(index, "quick scan", 300_000), index),
        "fullScanResult": null,
        "fullScanError": null,
        "fullScanTime": null,
        "cloudProtectionState": "MemberOf;Reachable",
        "dataRefreshTimestamp": clock.ago(3600, 3),
    })
}

/// The index of the vulnerability that `machine` has at place `ordinal`: each machine has different ones.
pub(in crate::sandbox::api) fn exposed_to(machine: u64, ordinal: u64) -> u64 {
    (draw(machine, "machine cve") % VULNERABILITIES + ordinal * 11) % VULNERABILITIES
}

/// `machine` as the one that has a vulnerability.
pub(super) fn machine_reference(machine: &Value) -> Value {
    json!({
        "id": machine["id"],
        "computerDnsName": machine["computerDnsName"],
        "osPlatform": machine["osPlatform"],
        "rbacGroupId": machine["rbacGroupId"],
        "rbacGroupName": machine["rbacGroupName"],
        "detectionTime": machine["lastSeen"],
    })
}

/// The vulnerabilities that product `index` has.
pub(super) fn of_product(index: u64) -> impl Iterator<Item = u64> {
    (index..VULNERABILITIES).step_by(PRODUCTS.len())
}

/// Seconds since vulnerability `index` was published: the newest yesterday, the others six days apart.
fn age(index: u64) -> i64 {
    86_400 * (1 + i64::try_from(index).unwrap_or_default() * 6)
}

fn tenths_of(tenths: u64) -> f64 {
    f64::from(u32::try_from(tenths).unwrap_or_default()) / 10.0
}

/// Vulnerabilities of one machine.
pub(in crate::sandbox::api) const PER_MACHINE: u64 = 3;

/// Vulnerabilities in the sandbox.
pub(in crate::sandbox::api) const VULNERABILITIES: u64 = 150;

/// Vendor and product, as the inventory writes them.
pub(super) const PRODUCTS: [(&str, &str); 16] = [
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
