//! Records in Graph's shapes: other names, and words with a small first letter.

use serde_json::{Value, json};

use crate::sandbox::api::evidence;
use crate::sandbox::api::names::TENANT;
use crate::sandbox::api::request::text;
use crate::sandbox::api::triage::{camel, graph_determination};

/// An incident, without its alerts.
pub(super) fn incident(incident: &Value) -> Value {
    let id = incident["incidentId"].to_string();
    let comments = incident["comments"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    json!({
        "id": id,
        "tenantId": TENANT,
        "status": word(&incident["status"]),
        "incidentWebUrl": format!("https://security.microsoft.com/incidents/{id}?tid={TENANT}"),
        "redirectIncidentId": null,
        "displayName": incident["incidentName"],
        "createdDateTime": incident["createdTime"],
        "lastUpdateDateTime": incident["lastUpdateTime"],
        "assignedTo": incident["assignedTo"],
        "classification": word(&incident["classification"]),
        "determination": determination(incident),
        "severity": word(&incident["severity"]),
        "customTags": incident["tags"],
        "systemTags": [],
        "description": null,
        "lastModifiedBy": "Microsoft 365 Defender-AlertCorrelation",
        "resolvingComment": comments.last().map(|comment| comment["comment"].clone()),
        "summary": null,
        "comments": comments.iter().map(comment).collect::<Vec<_>>(),
    })
}

/// An alert of `/security/alerts_v2` with its evidence, on `machine`.
pub(super) fn alert(alert: &Value, machine: &Value) -> Value {
    let mut whole = bare_alert(alert);
    whole["evidence"] = evidence(alert, machine).into();
    whole
}

/// An alert of `/security/alerts_v2` without its evidence: enough for filter and order.
pub(super) fn bare_alert(alert: &Value) -> Value {
    let (id, incident) = (text(alert, "id"), alert["incidentId"].to_string());
    let comments = alert["comments"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    json!({
        "id": id,
        "providerAlertId": id,
        "incidentId": incident,
        "status": word(&alert["status"]),
        "severity": word(&alert["severity"]),
        "classification": word(&alert["classification"]),
        "determination": determination(alert),
        "serviceSource": "microsoftDefenderForEndpoint",
        "detectionSource": word(&alert["detectionSource"]),
        "productName": "Microsoft Defender for Endpoint",
        "detectorId": alert["detectorId"],
        "tenantId": TENANT,
        "title": alert["title"],
        "description": alert["description"],
        "recommendedActions": "Review the evidence.\r\nIsolate the device.",
        "category": alert["category"],
        "assignedTo": alert["assignedTo"],
        "alertWebUrl": format!("https://security.microsoft.com/alerts/{id}?tid={TENANT}"),
        "incidentWebUrl": format!("https://security.microsoft.com/incidents/{incident}?tid={TENANT}"),
        "actorDisplayName": null,
        "threatDisplayName": alert["threatName"],
        "threatFamilyName": alert["threatFamilyName"],
        "mitreTechniques": alert["mitreTechniques"],
        "createdDateTime": alert["alertCreationTime"],
        "lastUpdateDateTime": alert["lastUpdateTime"],
        "resolvedDateTime": alert["resolvedTime"],
        "firstActivityDateTime": alert["firstEventTime"],
        "lastActivityDateTime": alert["lastEventTime"],
        "alertPolicyId": null,
        "additionalData": null,
        "systemTags": [],
        "comments": comments.iter().map(comment).collect::<Vec<_>>(),
        "evidence": [],
    })
}

/// An alert of the legacy `/security/alerts`.
pub(super) fn legacy_alert(alert: &Value) -> Value {
    let user = &alert["relatedUser"];
    let users = if user.is_null() {
        json!([])
    } else {
        json!([{"accountName": user["userName"], "domainName": user["domainName"], "userPrincipalName": null}])
    };
    let status = if alert["status"] == "New" {
        "newAlert".to_owned()
    } else {
        camel(text(alert, "status"))
    };
    json!({
        "id": alert["id"],
        "azureTenantId": TENANT,
        "azureSubscriptionId": null,
        "riskScore": null,
        "tags": [],
        "activityGroupName": null,
        "assignedTo": alert["assignedTo"],
        "category": alert["category"],
        "closedDateTime": alert["resolvedTime"],
        "comments": [],
        "confidence": null,
        "createdDateTime": alert["alertCreationTime"],
        "description": alert["description"],
        "detectionIds": [],
        "eventDateTime": alert["firstEventTime"],
        "feedback": null,
        "lastModifiedDateTime": alert["lastUpdateTime"],
        "recommendedActions": [],
        "severity": word(&alert["severity"]),
        "sourceMaterials": [format!("https://security.microsoft.com/alerts/{}", text(alert, "id"))],
        "status": status,
        "title": alert["title"],
        "vendorInformation": {"provider": "Microsoft Defender ATP", "providerVersion": null, "subProvider": alert["detectionSource"], "vendor": "Microsoft"},
        "hostStates": [{"fqdn": alert["computerDnsName"], "netBiosName": null, "os": null}],
        "userStates": users,
    })
}

fn evidence(alert: &Value, machine: &Value) -> Vec<Value> {
    let common = |kind: &str| {
        json!({
            "@odata.type": format!("#microsoft.graph.security.{kind}"),
            "createdDateTime": alert["alertCreationTime"],
            "verdict": "suspicious",
            "remediationStatus": "none",
            "remediationStatusDetails": null,
            "roles": [],
            "detailedRoles": [],
            "tags": [],
        })
    };
    let mut device = common("deviceEvidence");
    for (name, from) in DEVICE {
        device[name] = machine[from].clone();
    }
    let others = evidence::of(alert).into_iter().filter(|known| known["entityType"] == "User").map(|known| {
        let mut user = common("userEvidence");
        user["userAccount"] = json!({
            "accountName": known["accountName"], "domainName": known["domainName"], "userSid": known["userSid"],
            "azureAdUserId": known["aadUserId"], "userPrincipalName": known["userPrincipalName"],
        });
        user
    });
    std::iter::once(device).chain(others).collect()
}

fn comment(comment: &Value) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.security.alertComment",
        "comment": comment["comment"],
        "createdByDisplayName": comment["createdBy"],
        "createdDateTime": comment["createdTime"],
    })
}

/// A word of an enumeration in Graph's spelling; Graph says `unknown` where Defender has nothing.
fn word(word: &Value) -> Value {
    word.as_str()
        .map_or_else(|| "unknown".into(), |word| camel(word).into())
}

fn determination(record: &Value) -> &'static str {
    graph_determination(text(record, "determination")).unwrap_or("unknown")
}

/// Property of `deviceEvidence`, and of our machine.
const DEVICE: [(&str, &str); 13] = [
    ("firstSeenDateTime", "firstSeen"),
    ("mdeDeviceId", "id"),
    ("azureAdDeviceId", "aadDeviceId"),
    ("deviceDnsName", "computerDnsName"),
    ("osPlatform", "osPlatform"),
    ("osBuild", "osBuild"),
    ("version", "version"),
    ("healthStatus", "healthStatus"),
    ("riskScore", "riskScore"),
    ("rbacGroupId", "rbacGroupId"),
    ("rbacGroupName", "rbacGroupName"),
    ("onboardingStatus", "onboardingStatus"),
    ("lastIpAddress", "lastIpAddress"),
];
