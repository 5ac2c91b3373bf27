//! Indicators of compromise.

use super::*;

#[test]
fn indicators_come_and_go() {
    let api = api();
    let indicator = r#"{"indicatorValue":"bad.example","indicatorType":"DomainName","action":"Block","title":"t","description":"d"}"#;
    let (status, first) = send(&api, &Method::POST, "/api/indicators", indicator);
    let (_, again) = send(&api, &Method::POST, "/api/indicators", indicator);
    assert_eq!((status, &first["id"]), (200, &again["id"]));
    let import = format!(r#"{{"Indicators":[{indicator},{{"indicatorValue":"x"}}]}}"#);
    let (_, results) = send(&api, &Method::POST, "/api/indicators/import", &import);
    assert_eq!(
        values(&results)
            .iter()
            .map(|result| &result["isFailed"])
            .collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(
        values(
            &get(
                &api,
                "/api/indicators?$filter=action+eq+'Block'+and+title+eq+'t'"
            )
            .1
        )
        .len(),
        1
    );
    let id = first["id"].as_str().unwrap();
    assert_eq!(
        send(&api, &Method::DELETE, &format!("/api/indicators/{id}"), ""),
        (204, Value::Null)
    );
    assert_eq!(
        send(&api, &Method::DELETE, &format!("/api/indicators/{id}"), "").0,
        404
    );
    let batch = r#"{"IndicatorIds":["2841","2842"]}"#;
    assert_eq!(
        send(&api, &Method::POST, "/api/indicators/BatchDelete", batch),
        (204, Value::Null)
    );
    assert_eq!(values(&get(&api, "/api/indicators").1).len(), 118);
    let many = json!({"IndicatorIds": vec!["1"; 501]}).to_string();
    let (status, body) = send(&api, &Method::POST, "/api/indicators/BatchDelete", &many);
    assert_eq!((status, code(&body)), (400, "MaximumBatchSizeExceeded"));
}

#[test]
fn values_of_the_wrong_kind_are_refused_and_times_are_normalised() {
    let api = api();
    let submit = |more: Value| {
        let mut indicator = json!({"indicatorValue": "kind.example", "indicatorType": "DomainName", "action": "Block", "title": "t", "description": "d"});
        indicator
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        send(
            &api,
            &Method::POST,
            "/api/indicators",
            &indicator.to_string(),
        )
    };
    for wrong in [
        json!({"expirationTime": 5}),
        json!({"expirationTime": "soon"}),
        json!({"generateAlert": "yes"}),
        json!({"severity": "Fatal"}),
        json!({"rbacGroupNames": "VIP"}),
        json!({"source": {}}),
        json!({"indicatorType": "Colour"}),
    ] {
        let (status, body) = submit(wrong.clone());
        assert_eq!(
            (status, code(&body)),
            (400, "InvalidRequestBody"),
            "{wrong}"
        );
    }
    let (status, stored) = submit(
        json!({"expirationTime": "2027-01-01T02:00:00.50+02:00", "id": "1", "creationTimeDateTimeUtc": 7, "severity": null}),
    );
    assert_eq!(
        (status, &stored["expirationTime"]),
        (200, &"2027-01-01T00:00:00.5Z".into())
    );
    assert_eq!(stored["severity"], "Informational");
    assert!(stored["creationTimeDateTimeUtc"].is_string());
    let filter =
        "/api/indicators?$filter=expirationTime+gt+2026-12-31T23:59:59Z+and+generateAlert+eq+false";
    assert!(
        values(&get(&api, filter).1)
            .iter()
            .any(|known| known["id"] == stored["id"])
    );
}
