//! Advanced hunting.

use super::*;

#[test]
fn hunting_speaks_three_dialects() {
    let api = api();
    let body = r#"{"Query":"DeviceProcessEvents | where FileName != '|' | take 1500"}"#;
    let (_, endpoint) = send(&api, &Method::POST, "/api/advancedqueries/run", body);
    assert_eq!(endpoint["Results"].as_array().unwrap().len(), 1500);
    assert_eq!(
        endpoint["Schema"][0],
        json!({"Name": "Timestamp", "Type": "DateTime"})
    );
    assert!(endpoint.get("Stats").is_none());
    let (_, xdr) = send(&api, &Method::POST, "/api/advancedhunting/run", body);
    assert_eq!(
        xdr["Stats"]["dataset_statistics"][0]["table_row_count"],
        1500
    );
    let (_, graph) = send(&api, &Method::POST, "/v1.0/security/runHuntingQuery", body);
    assert_eq!(graph["results"].as_array().unwrap().len(), 1500);
    assert_eq!(
        graph["schema"][0],
        json!({"name": "Timestamp", "type": "DateTime"})
    );
    assert_eq!(graph["results"], endpoint["Results"]);
}

#[test]
fn hunting_queries_and_their_rows() {
    let api = api();
    for (query, rows) in [
        ("DeviceInfo", 200),
        ("// who\n  AlertInfo\n| limit 3", 3),
        ("EmailEvents | take 5 | count", 1),
        ("IdentityLogonEvents // sandbox_rows=17", 17),
        ("DeviceNetworkEvents | take 20000", 5000),
        ("DeviceNetworkEvents | take 7 // sandbox_rows=20000", 20_000),
        ("DeviceInfo | take 5 | take 100", 5),
        ("DeviceInfo | count | take 10", 1),
        ("DeviceInfo | count | count", 1),
        ("DeviceInfo | summarize count()", 1),
        (
            "DeviceInfo | where 1 == 1 | project DeviceName, OSPlatform",
            200,
        ),
        ("DeviceInfoX | take 5", 1),
        ("print 1", 1),
    ] {
        let body = json!({"Query": query}).to_string();
        let (status, answer) = send(&api, &Method::POST, "/api/advancedqueries/run", &body);
        assert_eq!(status, 200, "{query}");
        let results = answer["Results"].as_array().unwrap();
        assert_eq!(results.len(), rows, "{query}");
        let columns: Vec<&Value> = answer["Schema"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| &column["Name"])
            .collect();
        assert!(
            results[0].as_object().unwrap().keys().eq(columns),
            "{query}"
        );
    }
    let echo = send(
        &api,
        &Method::POST,
        "/api/advancedqueries/run",
        r#"{"Query":"print \"ü\""}"#,
    )
    .1;
    assert_eq!(echo["Results"][0]["Query"], "print \"ü\"");
}

#[test]
fn hunting_refuses_no_query_and_too_much() {
    let api = api();
    for body in [r"{}", r#"{"Query":" "}"#, r#"{"query":"DeviceInfo"}"#] {
        let (status, answer) = send(&api, &Method::POST, "/api/advancedhunting/run", body);
        assert_eq!(
            (status, code(&answer)),
            (400, "MissingRequiredParameter"),
            "{body}"
        );
    }
    assert_eq!(
        send(
            &api,
            &Method::POST,
            "/v1.0/security/runHuntingQuery",
            r#"{"query":"DeviceInfo"}"#
        )
        .0,
        200
    );
    let (status, answer) = send(
        &api,
        &Method::POST,
        "/api/advancedhunting/run",
        r#"{"Query":"DeviceInfo // sandbox_rows=900000"}"#,
    );
    assert_eq!(status, 400);
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("result size")
    );
}

#[test]
fn hunting_conditions_select_rows() {
    let api = api();
    let hunt = |query: &str| {
        let body = json!({"Query": query}).to_string();
        let (_, answer) = send(&api, &Method::POST, "/api/advancedhunting/run", &body);
        answer["Results"].as_array().unwrap().clone()
    };
    let linux = hunt("DeviceInfo | where OSPlatform == 'Linux' | project DeviceName, OSPlatform");
    assert!(!linux.is_empty() && linux.len() < 100);
    for row in &linux {
        assert_eq!(row.as_object().unwrap().len(), 2);
        assert_eq!(row["OSPlatform"], "Linux");
    }
    let count = |query: &str| hunt(query)[0]["Count"].as_u64().unwrap();
    let all = count("AlertInfo | count");
    let high = count("AlertInfo | where Severity =~ 'high' | count");
    let other = count("AlertInfo | where Severity != 'High' | count");
    assert_eq!((all, high + other), (1000, 1000));
    assert!(high > 0);
    let recent = count("AlertInfo | where Timestamp > ago(7d) | count");
    let older = count("AlertInfo | where Timestamp <= ago(7d) | count");
    assert_eq!(recent + older, 1000);
    assert!(recent > 50 && older > 50);
    assert_eq!(
        count("DeviceNetworkEvents | where RemotePort == 53 and Protocol has 'TCP' | count"),
        1000
    );
    assert_eq!(
        count("EmailEvents | where Subject startswith 'INVOICE' and Subject endswith '/7' | count"),
        500
    );
    assert_eq!(
        count("EmailEvents | where Subject contains 'voice' and ThreatTypes == '' | count"),
        0
    );
    assert_eq!(count("EmailEvents | where Subject has 'voice' | count"), 0);
}
