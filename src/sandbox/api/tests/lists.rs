//! Lists: pages, options, filters.

use super::*;

#[test]
fn every_record_is_seen_once() {
    let api = api();
    for (target, key, count, page_count) in [
        ("/api/incidents", "incidentId", 300, 3),
        ("/api/alerts", "id", 1000, 1),
        ("/api/machines", "id", 200, 1),
        (
            "/API/v1.0/Machines?$filter=healthStatus%20ne%20null",
            "computerDnsName",
            200,
            1,
        ),
        ("/api/machineactions", "id", 60, 1),
        ("/api/indicators", "id", 120, 1),
        ("/api/investigations", "id", 40, 1),
        ("/api/vulnerabilities", "id", 150, 1),
        ("/api/vulnerabilities/machinesVulnerabilities", "id", 600, 1),
        ("/api/software", "id", 16, 1),
        ("/api/recommendations", "id", 16, 1),
        ("/api/deviceavinfo", "machineId", 200, 10),
        ("/api/libraryfiles", "fileName", 3, 1),
        ("/v1.0/security/incidents", "id", 300, 6),
        (
            "/beta/security/incidents?$top=7&$expand=alerts",
            "id",
            300,
            43,
        ),
        ("/v1.0/security/alerts_v2", "id", 1000, 20),
        ("/v1.0/security/alerts", "id", 1000, 10),
    ] {
        let (seen, pages) = walk(&api, target, key);
        assert_eq!(seen.len(), count, "{target}");
        assert_eq!(
            seen.iter().collect::<BTreeSet<_>>().len(),
            count,
            "{target} repeats"
        );
        assert_eq!(pages, page_count, "{target}");
    }
}

#[test]
fn page_size_is_a_setting_and_is_reset() {
    let api = api();
    api.page_size(Some(30));
    let (seen, pages) = walk(
        &api,
        "/api/machines?$filter=contains(computerDnsName,'a')&$orderby=lastSeen+desc",
        "id",
    );
    assert_eq!((seen.len(), pages), (200, 7));
    let (_, body) = get(&api, "/api/machines?$filter=rbacGroupId+gt+0&$skip=30");
    assert_eq!(
        body["@odata.nextLink"],
        "https://eu.example/api/machines?$filter=rbacGroupId+gt+0&$skip=60"
    );
    assert_eq!(
        body.as_object().unwrap().keys().next_back().unwrap(),
        "@odata.nextLink"
    );
    api.reset();
    assert_eq!(walk(&api, "/api/machines", "id").1, 1);
}

#[test]
fn no_link_when_the_client_gave_top() {
    let api = api();
    let (_, body) = get(&api, "/api/incidents?$top=10&%24skip=290&$count=true");
    assert_eq!(values(&body).len(), 10);
    assert_eq!(body["@odata.count"], 300);
    assert_eq!(
        body["@odata.context"],
        "https://eu.example/api/$metadata#Incidents"
    );
    assert!(body.get("@odata.nextLink").is_none());
    let (_, first) = get(&api, "/api/incidents?$top=1");
    assert!(first.get("@odata.nextLink").is_none());
}

#[test]
fn caps_and_malformed_options_are_refused() {
    let api = api();
    for target in [
        "/api/incidents?$top=101",
        "/api/alerts?$top=10001",
        "/api/vulnerabilities?$top=8001",
        "/api/alerts?$filter=status+eq",
        "/api/alerts?$filter=lastEventTime+gt+'yesterday'",
        "/api/incidents?$filter=incidentName+eq+'x'",
        "/api/machines?$stop=5",
        "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=200001",
        "/api/machines/SoftwareVulnerabilitiesByMachine?$skiptoken=garbage",
    ] {
        let (status, body) = get(&api, target);
        assert_eq!((status, code(&body)), (400, "ODataError"), "{target}");
        assert_eq!(
            body["error"]["target"],
            "3f0c5b1e-0000-4000-8000-000000000000"
        );
    }
    for target in [
        "/v1.0/security/alerts?$skip=501",
        "/v1.0/security/alerts?$top=1001",
        "/v1.0/security/incidents?$top=51",
    ] {
        let (status, body) = get(&api, target);
        assert_eq!((status, code(&body)), (400, "BadRequest"), "{target}");
        assert!(body["error"]["innerError"]["request-id"].is_string());
    }
}

#[test]
fn filters_select_what_they_say() {
    let api = api();
    let (_, all) = get(&api, "/api/alerts");
    let high = values(&all)
        .iter()
        .filter(|alert| alert["severity"] == "High")
        .count();
    let (_, found) = get(
        &api,
        "/api/alerts?$filter=severity%20eq%20'High'&$select=id,severity",
    );
    assert_eq!(values(&found).len(), high);
    assert_eq!(values(&found)[0].as_object().unwrap().len(), 2);
    let (_, count) = get(&api, "/api/alerts/$count?$filter=severity+eq+'High'");
    assert_eq!(count, high);
    let (_, recent) = get(
        &api,
        "/api/machines?$filter=lastSeen+gt+2026-10-30Z&$orderby=lastSeen",
    );
    let times: Vec<_> = values(&recent)
        .iter()
        .map(|machine| machine["lastSeen"].as_str().unwrap())
        .collect();
    assert!(!times.is_empty() && times.len() < 200);
    assert!(times.iter().all(|time| *time > "2026-10-30"));
    let (_, tagged) = get(
        &api,
        "/api/machines?$filter=machineTags/any(tag:%20tag%20eq%20'production')",
    );
    assert!(
        values(&tagged)
            .iter()
            .all(|machine| machine["machineTags"][0] == "production")
    );
}

#[test]
fn names_that_no_record_has_are_refused() {
    let api = api();
    for target in [
        "/api/alerts?$orderby=sevrity",
        "/api/alerts?$orderby=evidence2+desc",
        "/api/machines?$select=id,osPlattform",
        "/api/alerts?$expand=alerts",
        "/api/machines?$expand=evidence",
        "/api/incidents?$expand=machines",
        "/api/indicators/$count?$orderby=nothing",
        "/v1.0/security/incidents?$expand=evidence",
        "/v1.0/security/incidents?$orderby=lastUpdateTime",
    ] {
        let (status, body) = get(&api, target);
        assert_eq!(status, 400, "{target}");
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.contains("property"), "{target}: {message}");
    }
    let (_, one) = get(
        &api,
        "/api/alerts?$top=1&$select=ID,status&$orderby=severity",
    );
    let fields = values(&one)[0].as_object().unwrap().keys();
    assert!(fields.eq(["id", "status"]));
    let id = values(&one)[0]["id"].as_str().unwrap();
    assert_eq!(
        get(&api, &format!("/api/alerts/{id}?$expand=alerts")).0,
        400
    );
    let (_, incidents) = get(&api, "/api/incidents?$top=1&$select=incidentId,alerts");
    assert_eq!(values(&incidents)[0].as_object().unwrap().len(), 2);
}

#[test]
fn every_list_can_be_counted() {
    let api = api();
    for (target, count) in [
        ("/api/incidents/$count", 300),
        ("/api/alerts/$count", 1000),
        ("/api/machines/$count", 200),
        ("/api/machineactions/$count", 60),
        ("/api/indicators/$count", 120),
        ("/api/libraryfiles/$count", 3),
        ("/api/vulnerabilities/$count", 150),
        ("/v1.0/security/incidents/$count", 300),
        ("/v1.0/security/alerts_v2/$count", 1000),
        ("/v1.0/security/alerts/$count", 1000),
        ("/api/indicators/$count?$filter=indicatorValue+eq+'none'", 0),
    ] {
        assert_eq!(get(&api, target), (200, count.into()), "{target}");
    }
}
