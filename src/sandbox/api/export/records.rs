//! The records of the exports.

use serde::Serialize;
use serde_json::{Value, json};

use crate::sandbox::api::facts::Facts;
use crate::sandbox::api::names::{draw, pick};
use crate::sandbox::api::{catalogue, machines};

/// One vulnerability of one product on one machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exposure {
    id: String,
    device_id: String,
    device_name: String,
    rbac_group_name: &'static str,
    rbac_group_id: u32,
    os_platform: &'static str,
    os_version: String,
    os_architecture: &'static str,
    software_vendor: &'static str,
    software_name: &'static str,
    software_version: String,
    cve_id: String,
    vulnerability_severity_level: &'static str,
    cvss_score: f64,
    recommended_security_update: &'static str,
    recommended_security_update_id: String,
    recommended_security_update_url: String,
    disk_paths: [String; 1],
    registry_paths: [String; 1],
    first_seen_timestamp: String,
    last_seen_timestamp: String,
    exploitability_level: &'static str,
    recommendation_reference: String,
    security_update_available: bool,
    end_of_support_status: Option<&'static str>,
    end_of_support_date: Option<&'static str>,
    is_onboarded: bool,
    cve_mitigation_status: Option<&'static str>,
}

impl Exposure {
    pub(super) fn new(index: u64, facts: &Facts) -> Self {
        let machine = index % machines::COUNT;
        // The first of a machine are those that the lists show of it.
        let cve = catalogue::exposed_to(machine, index / machines::COUNT);
        let (device, clock) = (facts.device(machine), facts.clock);
        let (device_id, cve_id) = (device.id.clone(), facts.cve(cve).to_owned());
        let (vendor, name) = catalogue::product(cve);
        let version = format!("{}.{}.{}", 1 + index / 30_000, cve % 10, index % 1000);
        let update = 5_040_000 + cve;
        Self {
            id: format!("{device_id}_{vendor}_{name}_{version}_{cve_id}"),
            device_name: device.name.clone(),
            rbac_group_name: device.group,
            rbac_group_id: device.group_id,
            os_platform: device.platform,
            os_version: device.os_version(),
            os_architecture: device.processor,
            software_vendor: vendor,
            software_name: name,
            vulnerability_severity_level: catalogue::severity(cve),
            cvss_score: f64::from(u32::try_from(30 + draw(cve, "cvss") % 70).unwrap_or_default())
                / 10.0,
            recommended_security_update: "October 2026 Security Updates",
            recommended_security_update_id: update.to_string(),
            recommended_security_update_url: format!(
                "https://catalog.update.contoso.example/Search.aspx?q=KB{update}"
            ),
            disk_paths: [format!(
                r"C:\Program Files (x86)\{vendor}\{name}\Application\{version}\Installer\setup.exe"
            )],
            registry_paths: [format!(
                r"HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\{name}"
            )],
            first_seen_timestamp: spaced(&clock.ago(10_575_730, 0)),
            last_seen_timestamp: spaced(&clock.ago(7005, 0)),
            exploitability_level: pick(cve, &["NoExploit", "ExploitIsPublic", "ExploitIsVerified"]),
            recommendation_reference: format!("va-_-{vendor}-_-{name}"),
            security_update_available: true,
            end_of_support_status: None,
            end_of_support_date: None,
            is_onboarded: true,
            cve_mitigation_status: None,
            device_id,
            cve_id,
            software_version: version,
        }
    }
}

/// A vulnerability that came, went or changed since `since` (seconds before the present).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    status: &'static str,
    event_timestamp: String,
    #[serde(flatten)]
    exposure: Exposure,
}

impl Change {
    pub(super) fn new(index: u64, facts: &Facts, since: i64) -> Self {
        let age = i64::try_from(draw(index, "change") >> 1).unwrap_or_default() % since.max(1);
        Self {
            status: pick(draw(index, "change status"), &["New", "Fixed", "Updated"]),
            event_timestamp: facts.clock.ago(age, 0),
            exposure: Exposure::new(index, facts),
        }
    }
}

/// How one machine stands to one recommended setting.
pub(super) fn configuration(index: u64, facts: &Facts) -> Value {
    let (device, number) = (
        facts.device(index),
        index / machines::COUNT % SETTINGS.len() as u64,
    );
    let (category, name) = pick(number, &SETTINGS);
    let (id, applicable) = (
        format!("scid-{}", 2000 + number),
        device.platform.starts_with("Windows"),
    );
    json!({
        "id": format!("{}_{id}_{index}", device.id),
        "deviceId": device.id,
        "deviceName": device.name,
        "osPlatform": device.platform,
        "osVersion": device.os_version(),
        "timestamp": facts.clock.ago(7005, 0),
        "rbacGroupName": device.group,
        "rbacGroupId": device.group_id,
        "configurationId": id,
        "configurationCategory": category,
        "configurationSubcategory": "",
        "configurationImpact": 5 + number,
        "isCompliant": applicable && draw(index, "compliant").is_multiple_of(2),
        "isApplicable": applicable,
        "isExpectedUserImpact": number.is_multiple_of(2),
        "configurationName": name,
        "recommendationReference": format!("sca-_-{id}"),
    })
}

/// The time as these exports write it: `2026-10-31 22:03:15`.
fn spaced(time: &str) -> String {
    time.replace('T', " ").replace('Z', "")
}

/// Category and name of recommended settings.
const SETTINGS: [(&str, &str); 5] = [
    ("Security controls", "Turn on real-time protection"),
    ("Security controls", "Turn on cloud-delivered protection"),
    ("OS", "Disable the built-in \"Administrator\" account"),
    ("Network", "Disable SMBv1"),
    (
        "Accounts",
        "Set the minimum password length to 14 characters",
    ),
];
