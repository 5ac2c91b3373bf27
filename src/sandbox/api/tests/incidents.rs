//! Incidents, as Defender XDR and as Graph shows them.

use super::*;

#[test]
fn incidents_hold_their_alerts() {
    let api = api();
    let (_, body) = get(&api, "/api/incidents");
    let incident = &values(&body)[3];
    let alerts = incident["alerts"].as_array().unwrap();
    assert_eq!(alerts.len(), 8);
    assert!(
        alerts
            .iter()
            .all(|alert| alert["incidentId"] == incident["incidentId"])
    );
    assert_eq!(alerts[0]["entities"][0].as_object().unwrap().len(), 34);
    assert_eq!(
        alerts[0]["devices"][0]["mdatpDeviceId"]
            .as_str()
            .unwrap()
            .len(),
        40
    );
    let created: Vec<i64> = values(&body)
        .iter()
        .map(|incident| times::parse(incident["createdTime"].as_str().unwrap()).unwrap())
        .collect();
    assert!(
        created.is_sorted_by(|newer, older| newer >= older),
        "newest first"
    );
    let (_, graph) = get(
        &api,
        &format!(
            "/v1.0/security/incidents/{}?$expand=alerts",
            incident["incidentId"]
        ),
    );
    assert_eq!(graph["displayName"], incident["incidentName"]);
    assert_eq!(graph["alerts"].as_array().unwrap().len(), 8);
    assert_eq!(
        graph["@odata.context"],
        "https://eu.example/v1.0/$metadata#security/incidents/$entity"
    );
}

#[test]
fn graph_alerts_have_their_evidence_in_every_list() {
    let api = api();
    let (_, list) = get(
        &api,
        "/v1.0/security/alerts_v2?$top=2&$filter=severity+eq+'high'",
    );
    let alert = &values(&list)[1];
    assert_eq!(alert["severity"], "high");
    assert_eq!(
        alert["evidence"][0]["@odata.type"],
        "#microsoft.graph.security.deviceEvidence"
    );
    let (_, mut one) = get(
        &api,
        &format!("/beta/security/alerts_v2/{}", alert["id"].as_str().unwrap()),
    );
    one.as_object_mut().unwrap().shift_remove("@odata.context");
    assert_eq!(&one, alert);
}

#[test]
fn patched_incident_stays_patched_until_reset() {
    let api = api();
    let target = "/api/incidents/924590";
    let before = get(&api, target).1;
    let body = r#"{"status":"Resolved","classification":"TruePositive","determination":"Malware","tags":["x"],"comment":"ok"}"#;
    let (status, answer) = send(&api, &Method::PATCH, target, body);
    assert_eq!(status, 200);
    assert_eq!(answer, get(&api, target).1);
    assert_eq!(
        (&answer["status"], &answer["tags"][0]),
        (&"Resolved".into(), &"x".into())
    );
    assert_eq!(
        answer["assignedTo"], before["assignedTo"],
        "what isn't named keeps its value"
    );
    assert_eq!(
        answer["comments"].as_array().unwrap().last().unwrap()["comment"],
        "ok"
    );
    let (_, graph) = get(&api, "/v1.0/security/incidents/924590");
    assert_eq!(
        (&graph["status"], &graph["resolvingComment"]),
        (&"resolved".into(), &"ok".into())
    );
    let (status, graph) = send(
        &api,
        &Method::PATCH,
        "/v1.0/security/incidents/924590",
        r#"{"determination":"phishing"}"#,
    );
    assert_eq!((status, &graph["determination"]), (200, &"phishing".into()));
    assert_eq!(get(&api, target).1["determination"], "Phishing");
    api.reset();
    assert_eq!(get(&api, target).1, before);
}

#[test]
fn bad_patches_change_nothing() {
    let api = api();
    let target = "/api/incidents/924590";
    let before = get(&api, target).1;
    for body in [
        "",
        "[]",
        r#"{"status":"Done"}"#,
        r#"{"Status":"Resolved"}"#,
        r#"{"status":"Resolved","tags":"x"}"#,
    ] {
        let (status, answer) = send(&api, &Method::PATCH, target, body);
        assert_eq!(
            (status, code(&answer)),
            (400, "InvalidRequestBody"),
            "{body}"
        );
    }
    assert_eq!(get(&api, target).1, before);
    assert_eq!(send(&api, &Method::PATCH, "/api/incidents/1", "{}").0, 404);
}

#[test]
fn an_incident_and_its_alerts_agree() {
    let api = api();
    let mut target = Some("/api/incidents".to_owned());
    let (mut closed, mut open) = (0, 0);
    while let Some(next) = target {
        let (_, page) = get(&api, &next);
        for incident in values(&page) {
            let mut alerts = incident["alerts"].as_array().unwrap().iter();
            if incident["status"] == "Resolved" {
                closed += 1;
                assert!(
                    alerts.all(|alert| alert["status"] == "Resolved"),
                    "{incident}"
                );
            } else {
                open += 1;
                assert!(
                    alerts.any(|alert| alert["status"] != "Resolved"),
                    "{incident}"
                );
            }
        }
        let link = page["@odata.nextLink"].as_str();
        target = link.map(|link| link.replace("https://eu.example", ""));
    }
    assert!(closed > 20 && open > 20);
    let (_, alerts) = get(&api, "/api/alerts");
    for alert in values(&alerts) {
        let investigated = !alert["investigationId"].is_null();
        assert_eq!(
            alert["investigationState"] != "UnsupportedAlertType",
            investigated,
            "{alert}"
        );
    }
}

#[test]
fn to_resolve_an_incident_resolves_its_alerts() {
    let api = api();
    let (_, page) = get(&api, "/api/incidents?$filter=status+eq+'Active'");
    let open = |incident: &&Value| incident["alerts"].as_array().unwrap().len() > 2;
    let incident = values(&page).iter().find(open).unwrap();
    for (target, body) in [
        (
            format!("/api/incidents/{}", incident["incidentId"]),
            r#"{"status":"Resolved","classification":"FalsePositive","determination":"Clean"}"#,
        ),
        (
            format!("/v1.0/security/incidents/{}", incident["incidentId"]),
            r#"{"status":"resolved","classification":"falsePositive","determination":"notMalicious"}"#,
        ),
    ] {
        api.reset();
        assert_eq!(send(&api, &Method::PATCH, &target, body).0, 200);
        for alert in incident["alerts"].as_array().unwrap() {
            let target = format!("/api/alerts/{}", alert["alertId"].as_str().unwrap());
            let (_, now) = get(&api, &target);
            assert_eq!(now["status"], "Resolved");
            if alert["status"] == "Resolved" {
                assert_eq!(now["classification"], alert["classification"]);
            } else {
                assert_eq!(now["classification"], "FalsePositive");
                assert_eq!(now["resolvedTime"], "2026-11-01T00:00:01Z");
            }
        }
    }
}

#[test]
fn what_graph_shows_it_also_takes() {
    let api = api();
    for (kind, count) in [("incidents", 50), ("alerts_v2", 50)] {
        let (_, page) = get(&api, &format!("/v1.0/security/{kind}"));
        assert_eq!(values(&page).len(), count);
        for record in values(&page) {
            let target = format!("/v1.0/security/{kind}/{}", record["id"].as_str().unwrap());
            let same = json!({"status": record["status"], "classification": record["classification"], "determination": record["determination"]});
            let (status, answer) = send(&api, &Method::PATCH, &target, &same.to_string());
            assert_eq!(status, 200, "{same}: {answer}");
            for field in ["status", "classification", "determination"] {
                assert_eq!(answer[field], record[field]);
            }
        }
    }
    let (target, defender) = ("/v1.0/security/incidents/924590", "/api/incidents/924590");
    for (determination, status) in [
        ("notAvailable", 400),
        ("clean", 400),
        ("notMalicious", 200),
        ("unknown", 200),
    ] {
        let body = json!({"determination": determination}).to_string();
        assert_eq!(
            send(&api, &Method::PATCH, target, &body).0,
            status,
            "{determination}"
        );
    }
    assert_eq!(get(&api, defender).1["determination"], "NotAvailable");
    for (ours, graph) in [
        ("Clean", "notMalicious"),
        ("CompromisedUser", "compromisedAccount"),
    ] {
        send(
            &api,
            &Method::PATCH,
            defender,
            &json!({"determination": ours}).to_string(),
        );
        assert_eq!(get(&api, target).1["determination"], graph);
    }
}
