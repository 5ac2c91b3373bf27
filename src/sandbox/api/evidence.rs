//! Evidence of an alert, and the same thing as an incident shows it: an entity.
//!
//! Made from the alert's id when asked for, not stored: a list without `$expand=evidence` has none.

use serde_json::{Map, Value, json};

use super::names::{USERS, draw, guid, hex, pick};
use super::request::text;
use super::texts;

/// The evidence of `alert`: a process with its file, the user, and one thing more.
pub(super) fn of(alert: &Value) -> Vec<Value> {
    let seed = text(alert, "id")
        .bytes()
        .fold(7, |seed, byte| draw(seed, "id") ^ u64::from(byte));
    let created = alert["alertCreationTime"].clone();
    let extra = match seed % 4 {
        0 => json!({"entityType": "Ip", "ipAddress": ip(seed)}),
        1 => json!({"entityType": "Url", "url": url(seed)}),
        2 => json!({
            "entityType": "Registry", "registryHive": "HKEY_LOCAL_MACHINE",
            "registryKey": r"SOFTWARE\Microsoft\Windows\CurrentVersion\Run", "registryValueType": "String",
            "registryValue": format!("C:\\ProgramData\\{}.exe", hex(seed, 8)),
        }),
        _ => file(seed),
    };
    let records = [process(seed, &created), user(alert, seed), extra];
    records
        .into_iter()
        .map(|known| complete(known, &created))
        .collect()
}

/// `evidence` as an entity of an incident: the same facts under the entity's own list of names.
pub(super) fn entity(evidence: &Value, machine_id: &str) -> Value {
    let on_device = matches!(
        text(evidence, "entityType"),
        "File" | "Process" | "Registry"
    );
    let fields = ENTITY_FIELDS.iter().map(|name| {
        let value = if *name == "deviceId" && on_device {
            machine_id.into()
        } else {
            evidence[*name].clone()
        };
        ((*name).to_owned(), value)
    });
    Value::Object(fields.collect())
}

/// Whether `alert` has evidence whose `field` has a text that `wanted` accepts.
pub(super) fn mentions(alert: &Value, field: &str, wanted: impl Fn(&str) -> bool) -> bool {
    of(alert)
        .iter()
        .any(|evidence| evidence[field].as_str().is_some_and(&wanted))
}

fn process(seed: u64, created: &Value) -> Value {
    json!({
        "entityType": "Process",
        "sha1": hex(seed % 50, 40), "sha256": hex(seed % 50, 64),
        "fileName": pick(seed, &FILES), "filePath": r"C:\Windows\System32",
        "processId": 1000 + seed % 60_000,
        "processCommandLine": texts::command_line(seed),
        "processCreationTime": created,
        "parentProcessId": 4 + seed % 900,
        "parentProcessCreationTime": created,
        "parentProcessFileName": "explorer.exe", "parentProcessFilePath": r"C:\Windows",
    })
}

fn file(seed: u64) -> Value {
    json!({
        "entityType": "File",
        "sha1": hex(seed % 50, 40), "sha256": hex(seed % 50, 64),
        "fileName": pick(seed, &FILES), "filePath": r"C:\Users\Public\Téléchargements",
        "detectionStatus": pick(draw(seed, "status"), &["Detected", "Prevented", "Blocked"]),
    })
}

fn user(alert: &Value, seed: u64) -> Value {
    let name = match alert["relatedUser"]["userName"].as_str() {
        Some(name) => name,
        None => pick(seed, &USERS),
    };
    json!({
        "entityType": "User", "accountName": name, "domainName": "CONTOSO",
        "userSid": format!("S-1-5-21-1004336348-1177238915-682003330-{}", 1000 + draw(seed, "sid") % 9000),
        "aadUserId": guid(draw(seed, "user")),
        "userPrincipalName": format!("{name}@contoso.example"),
    })
}

fn ip(seed: u64) -> String {
    format!("198.51.100.{}", 1 + draw(seed, "ip") % 40)
}

fn url(seed: u64) -> String {
    match seed % 7 {
        // Data, however much it looks like a link of ours.
        0 => "https://api.security.microsoft.com/api/incidents?$skip=100".to_owned(),
        1 => "https://api-eu.security.microsoft.com/api/alerts".to_owned(),
        _ => format!(
            "https://files{}.fabrikam.example/dl?id={}&x=%2Fetc",
            draw(seed, "host") % 9,
            seed % 997
        ),
    }
}

/// `known` with every field that evidence can have, null where it isn't known.
fn complete(known: Value, created: &Value) -> Value {
    let mut fields: Map<String, Value> = EVIDENCE_FIELDS
        .iter()
        .map(|name| ((*name).to_owned(), Value::Null))
        .collect();
    fields.insert("evidenceCreationTime".to_owned(), created.clone());
    if let Value::Object(known) = known {
        fields.extend(known);
    }
    Value::Object(fields)
}

const FILES: [&str; 6] = [
    "powershell.exe",
    "setup.exe",
    "расчёт.xlsm",
    "tool.exe",
    "invoice \"final\".js",
    "svchost.exe",
];

const EVIDENCE_FIELDS: [&str; 26] = [
    "entityType",
    "evidenceCreationTime",
    "sha1",
    "sha256",
    "fileName",
    "filePath",
    "processId",
    "processCommandLine",
    "processCreationTime",
    "parentProcessId",
    "parentProcessCreationTime",
    "parentProcessFileName",
    "parentProcessFilePath",
    "ipAddress",
    "url",
    "registryKey",
    "registryHive",
    "registryValueType",
    "registryValue",
    "registryValueName",
    "accountName",
    "domainName",
    "userSid",
    "aadUserId",
    "userPrincipalName",
    "detectionStatus",
];

const ENTITY_FIELDS: [&str; 34] = [
    "entityType",
    "sha1",
    "sha256",
    "fileName",
    "filePath",
    "processId",
    "processCommandLine",
    "processCreationTime",
    "parentProcessId",
    "parentProcessCreationTime",
    "ipAddress",
    "url",
    "accountName",
    "domainName",
    "userSid",
    "aadUserId",
    "userPrincipalName",
    "mailboxDisplayName",
    "mailboxAddress",
    "clusterBy",
    "sender",
    "recipient",
    "subject",
    "deliveryAction",
    "securityGroupId",
    "securityGroupName",
    "registryHive",
    "registryKey",
    "registryValueType",
    "registryValue",
    "deviceId",
    "detectionStatus",
    "verdict",
    "remediationStatus",
];
