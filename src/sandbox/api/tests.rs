use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

/// A call and its decoded answer.
fn send(api: &Api, method: &Method, target: &str, body: &str) -> (u16, Value) {
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let call = Call {
        method,
        path,
        query,
        body: body.as_bytes(),
        link_origin: "https://eu.example",
        tracking: &|| "3f0c5b1e-0000-4000-8000-000000000000".to_owned(),
    };
    let answer = api.answer(&call);
    let bytes = match answer.payload {
        Payload::Empty => Vec::new(),
        Payload::Full(bytes) => bytes.to_vec(),
        Payload::Chunks(chunks) => chunks.flatten().collect(),
    };
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).expect("JSON")
    };
    (answer.status.as_u16(), body)
}

fn get(api: &Api, target: &str) -> (u16, Value) {
    send(api, &Method::GET, target, "")
}

fn values(body: &Value) -> &Vec<Value> {
    body["value"].as_array().expect("a list")
}

fn code(body: &Value) -> &str {
    body["error"]["code"].as_str().unwrap_or_default()
}

/// Follows `nextLink` from `target` to the end: the `key` of every record, and the number of pages.
fn walk(api: &Api, target: &str, key: &str) -> (Vec<String>, usize) {
    let (mut seen, mut pages, mut next) = (Vec::new(), 0, Some(target.to_owned()));
    while let Some(target) = next {
        let (status, body) = get(api, &target);
        assert_eq!(status, 200, "{target}: {body}");
        seen.extend(values(&body).iter().map(|record| record[key].to_string()));
        pages += 1;
        let link = body["@odata.nextLink"].as_str();
        next = link.map(|link| {
            link.strip_prefix("https://eu.example")
                .expect("our origin")
                .to_owned()
        });
    }
    (seen, pages)
}

#[test]
fn every_record_is_seen_once() {
    let api = Api::new();
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
    let api = Api::new();
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
    let api = Api::new();
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
    let api = Api::new();
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
    let api = Api::new();
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
fn no_machine_is_not_found() {
    let api = Api::new();
    for target in [
        "/api/machines?$filter=computerDnsName+eq+'nobody'",
        "/api/machines/0000",
        "/api/machines/findbyip(ip='10.99.0.1',timestamp=2026-10-22T08:44:05Z)",
    ] {
        let (status, body) = get(&api, target);
        assert_eq!((status, code(&body)), (404, "ResourceNotFound"), "{target}");
    }
    let (status, body) = get(
        &api,
        "/api/machines/findbyip(ip='10.20.0.10',timestamp=2026-10-22T08:44:05Z)",
    );
    assert_eq!((status, values(&body).len()), (200, 1));
    let (status, body) = get(
        &api,
        "/api/machines/FindByIp(ip=%27nonsense%27,timestamp=2026-10-22T08:44:05Z)",
    );
    assert_eq!((status, code(&body)), (400, "InvalidInput"));
}

#[test]
fn alerts_of_machines_files_users_and_addresses() {
    let api = Api::new();
    let (_, all) = get(&api, "/api/alerts?$expand=evidence");
    let all = values(&all);
    let machine = all[0]["machineId"].as_str().unwrap();
    let on_machine = all
        .iter()
        .filter(|alert| alert["machineId"] == machine)
        .count();
    assert_eq!(
        get(&api, &format!("/api/machines/{machine}/alerts/$count")).1,
        on_machine
    );
    let evidence: Vec<&Value> = all
        .iter()
        .flat_map(|alert| alert["evidence"].as_array().unwrap())
        .collect();
    let first = |field: &str| {
        evidence
            .iter()
            .find_map(|found| found[field].as_str())
            .unwrap()
            .to_owned()
    };
    let user = all
        .iter()
        .find_map(|alert| alert["relatedUser"]["userName"].as_str())
        .unwrap();
    let domain = first("url").split('/').nth(2).unwrap().to_owned();
    for target in [
        format!("/api/files/{}/alerts", first("sha1")),
        format!("/api/ips/{}/alerts", first("ipAddress")),
        format!("/api/domains/{domain}/alerts"),
        format!("/api/users/{user}/alerts"),
    ] {
        let (status, body) = get(&api, &target);
        assert_eq!(status, 200, "{target}");
        assert!(
            !values(&body).is_empty() && values(&body).len() < 1000,
            "{target}"
        );
    }
    assert_eq!(get(&api, "/api/files/zz/alerts").0, 400);
}

#[test]
fn incidents_hold_their_alerts() {
    let api = Api::new();
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
    let api = Api::new();
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
    let api = Api::new();
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
    let api = Api::new();
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
fn alerts_are_updated_one_by_one_and_in_batches() {
    let api = Api::new();
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
    let api = Api::new();
    let machine = machines::id(5);
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
fn an_action_is_unique_while_active_and_ends_by_being_watched() {
    let api = Api::new();
    let target = format!("/api/machines/{}/isolate", machines::id(3));
    let body = r#"{"Comment":"c","IsolationType":"Full"}"#;
    let (status, action) = send(&api, &Method::POST, &target, body);
    assert_eq!(
        (status, &action["type"], &action["status"]),
        (201, &"Isolate".into(), &"Pending".into())
    );
    let (again, refused) = send(&api, &Method::POST, &target, body);
    assert_eq!((again, code(&refused)), (400, "ActiveRequestAlreadyExists"));
    let watch = format!("/api/machineactions/{}", action["id"].as_str().unwrap());
    let watched: Vec<Value> = (0..4)
        .map(|_| get(&api, &watch).1["status"].clone())
        .collect();
    assert_eq!(watched, ["Pending", "InProgress", "Succeeded", "Succeeded"]);
    assert_eq!(send(&api, &Method::POST, &target, body).0, 201);
    assert_eq!(api.executions()["POST isolate"], 2);
    assert_eq!(
        send(&api, &Method::POST, &target, r#"{"Comment":"c"}"#).1["error"]["code"],
        "MissingRequiredParameter"
    );
    assert_eq!(
        send(&api, &Method::POST, "/api/machines/0/isolate", body).0,
        404
    );
}

#[test]
fn a_package_is_there_when_it_is_collected() {
    let api = Api::new();
    let target = format!(
        "/api/machines/{}/collectInvestigationPackage",
        machines::id(3)
    );
    let (_, action) = send(&api, &Method::POST, &target, r#"{"Comment":"c"}"#);
    let package = format!(
        "/api/machineactions/{}/getPackageUri",
        action["id"].as_str().unwrap()
    );
    assert_eq!(get(&api, &package).0, 404);
    assert_eq!(get(&api, &package).0, 404);
    let (status, body) = get(&api, &package);
    let link = body["value"].as_str().unwrap();
    assert_eq!(status, 200);
    assert!(
        link.starts_with("\"https://") && link.ends_with('"'),
        "{link}"
    );
}

#[test]
fn every_verb_of_a_machine_is_executed_and_counted() {
    let api = Api::new();
    for (verb, body) in [
        ("unisolate", r#"{"Comment":"c"}"#),
        ("runAntiVirusScan", r#"{"Comment":"c","ScanType":"Quick"}"#),
        ("offboard", r#"{"Comment":"c"}"#),
        ("restrictCodeExecution", r#"{"Comment":"c"}"#),
        (
            "runliveresponse",
            r#"{"Comment":"c","Commands":[{"type":"RunScript","params":[{"key":"ScriptName","value":"x.ps1"}]}]}"#,
        ),
    ] {
        let (status, action) = send(
            &api,
            &Method::POST,
            &format!("/api/machines/{}/{verb}", machines::id(9)),
            body,
        );
        assert_eq!(status, 201, "{verb}: {action}");
        assert_eq!(api.executions()[&format!("POST {verb}")], 1);
    }
    let (status, machine) = send(
        &api,
        &Method::POST,
        &format!("/api/machines/{}/tags", machines::id(9)),
        r#"{"Value":"new","Action":"Add"}"#,
    );
    assert_eq!(status, 200);
    assert!(
        machine["machineTags"]
            .as_array()
            .unwrap()
            .contains(&"new".into())
    );
}

#[test]
fn indicators_come_and_go() {
    let api = Api::new();
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
fn export_pages_join_to_the_whole() {
    let api = Api::new();
    let base = "/api/machines/SoftwareVulnerabilitiesByMachine";
    let (seen, pages) = walk(
        &api,
        &format!("{base}?pageSize=999&sandboxRecords=2500"),
        "id",
    );
    assert_eq!((seen.len(), pages), (2500, 3));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 2500);
    let (_, page) = get(&api, &format!("{base}?pageSize=5"));
    assert_eq!(
        page.as_object().unwrap().keys().next_back().unwrap(),
        "@odata.nextLink"
    );
    let link = page["@odata.nextLink"].as_str().unwrap();
    assert!(
        link.starts_with(&format!("https://eu.example{base}?pagesize=5&$skiptoken=")),
        "{link}"
    );
    assert!(!link.ends_with('='), "padding is percent-encoded");
    assert!(get(&api, base).1.get("@odata.nextLink").is_none());
    assert_eq!(
        values(&get(&api, &format!("{base}?sandboxRecords=50001")).1).len(),
        50_000
    );
}

#[test]
fn export_is_made_while_it_is_read() {
    let api = Api::new();
    let call = Call {
        method: &Method::GET,
        path: "/api/machines/SoftwareVulnerabilitiesByMachine",
        query: Some("sandboxRecords=50000000&pageSize=200000"),
        body: b"",
        link_origin: "https://eu.example",
        tracking: &String::new,
    };
    let Payload::Chunks(chunks) = api.answer(&call).payload else {
        panic!("not streamed")
    };
    let sizes: Vec<usize> = chunks.take(4).map(|chunk| chunk.len()).collect();
    assert!(
        sizes
            .iter()
            .all(|size| (32 * 1024..=64 * 1024).contains(size)),
        "{sizes:?}"
    );
}

#[test]
fn files_are_exported_as_links() {
    let api = Api::new();
    let (status, body) = get(
        &api,
        "/api/machines/SoftwareVulnerabilitiesExport?sasValidHours=6",
    );
    assert_eq!(status, 200);
    assert!(
        body["exportFiles"][0]
            .as_str()
            .unwrap()
            .contains(".blob.core.windows.net/")
    );
    assert_eq!(
        get(
            &api,
            "/api/machines/SoftwareVulnerabilitiesExport?sasValidHours=7"
        )
        .0,
        400
    );
}

#[test]
fn hunting_speaks_three_dialects() {
    let api = Api::new();
    let body = r#"{"Query":"DeviceProcessEvents | where FileName has '|' | take 1500"}"#;
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
    let api = Api::new();
    for (query, rows) in [
        ("DeviceInfo", 200),
        ("// who\n  AlertInfo\n| limit 3", 3),
        ("EmailEvents | take 5 | count", 1),
        ("IdentityLogonEvents // sandbox_rows=17", 17),
        ("DeviceNetworkEvents | take 20000", 20_000),
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
    let api = Api::new();
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
fn unknown_paths_and_methods() {
    let api = Api::new();
    for target in [
        "/",
        "/api",
        "/api/nothing",
        "/api/incidents/1/2/3",
        "/v1.0/users",
        "/favicon.ico",
    ] {
        let (status, body) = get(&api, target);
        assert_eq!((status, code(&body)), (404, "NotFound"), "{target}");
    }
    for (method, target) in [
        (Method::DELETE, "/api/incidents"),
        (Method::POST, "/api/machines"),
        (Method::GET, "/api/advancedhunting/run"),
        (Method::PUT, "/api/software"),
        (Method::GET, "/api/alerts/batchUpdate"),
    ] {
        let (status, body) = send(&api, &method, target, "{}");
        assert_eq!(
            (status, code(&body)),
            (405, "MethodNotAllowed"),
            "{method} {target}"
        );
    }
    assert_eq!(send(&api, &Method::HEAD, "/api/machines", "").0, 200);
}

#[test]
fn echo_repeats_the_target_byte_for_byte() {
    let api = Api::new();
    let target = "/api/Sandbox/Echo/a%2Fb(c='d',e=f)?x=%27+y&$z";
    let (_, body) = send(&api, &Method::PUT, target, "12345");
    assert_eq!(
        body,
        json!({"method": "PUT", "target": target, "bodyBytes": 5})
    );
}

#[test]
fn data_holds_what_a_link_rewriter_must_leave_alone() {
    let api = Api::new();
    let call = Call {
        method: &Method::GET,
        path: "/api/alerts",
        query: None,
        body: b"",
        link_origin: "https://eu.example",
        tracking: &String::new,
    };
    let Payload::Full(bytes) = api.answer(&call).payload else {
        panic!("not whole")
    };
    let text = std::str::from_utf8(&bytes).unwrap();
    for wanted in [
        "https://api.security.microsoft.com/api/alerts/",
        r"https:\/\/api-eu.security.microsoft.com\/api\/incidents",
        r#"\"@odata.nextLink\": \"https://api.securitycenter"#,
        r"日本語\\\",
    ] {
        assert!(text.contains(wanted), "{wanted}");
    }
}

#[test]
fn an_upload_is_listed_by_its_name() {
    let api = Api::new();
    let body = "--b\r\nContent-Disposition: form-data; name=\"File\"; filename=\"mine.ps1\"\r\n\r\nx\r\n--b--\r\n";
    assert_eq!(
        send(&api, &Method::POST, "/api/libraryfiles", body).1["fileName"],
        "mine.ps1"
    );
    assert_eq!(values(&get(&api, "/api/libraryfiles").1).len(), 4);
    assert_eq!(
        send(&api, &Method::DELETE, "/api/libraryfiles/MINE.ps1", "").0,
        204
    );
}
