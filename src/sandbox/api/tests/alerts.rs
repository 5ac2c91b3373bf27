//! Alerts that are changed and made.

use super::*;

#[test]
fn alerts_are_updated_one_by_one_and_in_batches() {
    let api = api();
    let (_, body) = get(&api, "/api/alerts?$top=2&$filter=status+eq+'New'");
    let ids: Vec<&str> = values(&body)
        .iter()
        .map(|alert| alert["id"].as_str().unwrap())
        .collect();
    let target = format!("/api/alerts/{}", ids[0]);
    let (status, alert) = send(&api, &Method::PATCH, &target, r#"{"status":"Resolved"}"#);
    assert_eq!((status, &alert["status"]), (200, &"Resolved".into()));
    assert!(alert["resolvedTime"].is_string());
    let batch = json!({"alertIds": ids, "status": "InProgress", "comment": "all"}).to_string();
    assert_eq!(
        send(&api, &Method::POST, "/api/alerts/batchUpdate", &batch),
        (200, Value::Null)
    );
    for id in ids {
        let alert = get(&api, &format!("/api/alerts/{id}")).1;
        assert_eq!(
            (&alert["status"], &alert["comments"][0]["comment"]),
            (&"InProgress".into(), &"all".into())
        );
    }
    assert_eq!(
        send(
            &api,
            &Method::POST,
            "/api/alerts/batchUpdate",
            r#"{"alertIds":["x"]}"#
        )
        .0,
        404
    );
    assert_eq!(
        api.executions(),
        BTreeMap::from([("POST batchUpdate".to_owned(), 1)])
    );
}

#[test]
fn alert_by_reference_joins_the_list_and_an_incident() {
    let api = api();
    let machine = machine_id(5);
    let body = json!({
        "machineId": machine, "severity": "Low", "title": "Mine", "description": "d", "recommendedAction": "r",
        "eventTime": "2026-10-30T10:00:00Z", "reportId": "20776", "category": "Execution",
    });
    let (status, alert) = send(
        &api,
        &Method::POST,
        "/api/alerts/CreateAlertByReference",
        &body.to_string(),
    );
    assert_eq!(
        (status, &alert["title"], &alert["machineId"]),
        (200, &"Mine".into(), &machine.into())
    );
    assert_eq!(get(&api, "/api/alerts/$count").1, 1001);
    let incident = get(&api, &format!("/api/incidents/{}", alert["incidentId"])).1;
    assert_eq!(incident["alerts"][0]["alertId"], alert["id"]);
}

#[test]
fn an_event_of_the_wrong_kind_makes_no_alert() {
    let api = api();
    let create = |field: &str, value: Value| {
        let mut body = json!({
            "machineId": machine_id(5), "severity": "Low", "title": "Mine", "description": "d", "recommendedAction": "r",
            "eventTime": "2026-10-30T10:00:00.000+01:00", "reportId": "20776", "category": "Execution",
        });
        body[field] = value;
        let target = "/api/alerts/CreateAlertByReference";
        send(&api, &Method::POST, target, &body.to_string())
    };
    for (field, value) in [
        ("eventTime", json!(5)),
        ("eventTime", json!("today")),
        ("recommendedAction", json!([])),
        ("severity", json!("Fatal")),
    ] {
        assert_eq!(create(field, value).0, 400, "{field}");
    }
    let (status, alert) = create("category", json!("Execution"));
    assert_eq!(
        (status, &alert["firstEventTime"]),
        (200, &"2026-10-30T09:00:00Z".into())
    );
    assert_eq!(
        get(
            &api,
            "/api/alerts?$filter=lastEventTime+gt+2026-10-30T08:00:00Z"
        )
        .0,
        200
    );
}
