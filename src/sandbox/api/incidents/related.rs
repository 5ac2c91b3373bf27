//! Incidents together with their alerts, devices and entities.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::sandbox::api::evidence;
use crate::sandbox::api::request::text;
use crate::sandbox::api::world::World;

/// The alerts of every incident, gathered once for a whole page.
pub(in crate::sandbox::api) struct Related<'a> {
    alerts: HashMap<u64, Vec<&'a Value>>,
    machines: HashMap<&'a str, &'a Value>,
}

impl<'a> Related<'a> {
    /// Gathers them from `world`.
    pub(in crate::sandbox::api) fn of(world: &'a World) -> Self {
        let mut alerts: HashMap<u64, Vec<&Value>> = HashMap::new();
        for alert in world.alerts.iter() {
            alerts
                .entry(alert["incidentId"].as_u64().unwrap_or_default())
                .or_default()
                .push(alert);
        }
        let machines = world
            .machines
            .iter()
            .map(|machine| (text(machine, "id"), machine))
            .collect();
        Self { alerts, machines }
    }

    /// The alerts of the incident `id`.
    pub(in crate::sandbox::api) fn alerts_of(&self, id: u64) -> impl Iterator<Item = &'a Value> {
        self.alerts.get(&id).into_iter().flatten().copied()
    }

    /// The machine that `alert` is on.
    pub(in crate::sandbox::api) fn machine(&self, alert: &Value) -> &'a Value {
        static NONE: Value = Value::Null;
        self.machines
            .get(text(alert, "machineId"))
            .copied()
            .unwrap_or(&NONE)
    }

    /// `incident` with its alerts, as Defender XDR shows it.
    pub(super) fn with_alerts(&self, incident: &Value) -> Value {
        let mut whole = incident.clone();
        let id = incident["incidentId"].as_u64().unwrap_or_default();
        whole["alerts"] = self
            .alerts_of(id)
            .map(|alert| self.alert(alert))
            .collect::<Vec<_>>()
            .into();
        whole
    }

    /// `alert` as an incident shows it.
    fn alert(&self, alert: &Value) -> Value {
        let machine = self.machine(alert);
        let entities: Vec<Value> = evidence::of(alert)
            .iter()
            .map(|evidence| evidence::entity(evidence, text(machine, "id")))
            .collect();
        json!({
            "alertId": alert["id"],
            "providerAlertId": alert["id"],
            "incidentId": alert["incidentId"],
            "serviceSource": "MicrosoftDefenderForEndpoint",
            "creationTime": alert["alertCreationTime"],
            "lastUpdatedTime": alert["lastUpdateTime"],
            "resolvedTime": alert["resolvedTime"],
            "firstActivity": alert["firstEventTime"],
            "lastActivity": alert["lastEventTime"],
            "title": alert["title"],
            "description": alert["description"],
            "category": alert["category"],
            "status": alert["status"],
            "severity": alert["severity"],
            "investigationId": alert["investigationId"],
            "investigationState": alert["investigationState"],
            "classification": alert["classification"],
            "determination": alert["determination"],
            "detectionSource": alert["detectionSource"],
            "detectorId": alert["detectorId"],
            "assignedTo": alert["assignedTo"],
            "actorName": null,
            "threatFamilyName": alert["threatFamilyName"],
            "mitreTechniques": alert["mitreTechniques"],
            "devices": [device(machine)],
            "entities": entities,
        })
    }
}

fn device(machine: &Value) -> Value {
    json!({
        "mdatpDeviceId": machine["id"],
        "aadDeviceId": machine["aadDeviceId"],
        "deviceDnsName": machine["computerDnsName"],
        "osPlatform": machine["osPlatform"],
        "version": machine["version"],
        "osProcessor": machine["osProcessor"],
        "osBuild": machine["osBuild"],
        "healthStatus": machine["healthStatus"],
        "riskScore": machine["riskScore"],
        "rbacGroupName": machine["rbacGroupName"],
        "firstSeen": machine["firstSeen"],
        "tags": machine["machineTags"],
        "defenderAvStatus": "Updated",
        "onboardingStatus": machine["onboardingStatus"],
    })
}
