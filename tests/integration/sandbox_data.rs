//! What the sandbox answers, through the proxy that the `sandbox` command starts.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::sandbox::Running;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_steered_through_the_proxy() {
    let sandbox = Running::start();
    sandbox.get("/api/machines").await;
    let stats = sandbox.get("/_sandbox/stats").await.json();
    // One token for the call, and none that the control paths cared about.
    assert_eq!(
        stats["token_requests"]["by"][0]["scope"],
        "https://api.securitycenter.microsoft.com/.default"
    );
    assert_eq!(stats["api_calls"]["total"], 1);

    let log = sandbox.get("/_sandbox/requests").await.json();
    let targets: Vec<_> = log["requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| &request["target"])
        .collect();
    assert!(targets.contains(&&json!("/api/machines")), "{targets:?}");

    let bad = sandbox
        .post("/_sandbox/faults", json!({"api": [{"statsu": 429}]}))
        .await;
    assert_eq!(bad.status, 400);
    assert!(bad.text().contains("statsu"));
    assert_eq!(
        sandbox
            .post("/_sandbox/faults", json!({"settings": {"page_size": 2}}))
            .await
            .status,
        200
    );
    assert_eq!(sandbox.values("/api/machines").await.len(), 2);
    assert_eq!(sandbox.post("/_sandbox/reset", json!({})).await.status, 200);
    assert_eq!(sandbox.values("/api/machines").await.len(), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_records_behave_like_those_of_the_service() {
    let sandbox = Running::start();
    let incident = "/api/incidents/924565";
    let changed = sandbox
        .send(
            Method::PATCH,
            incident,
            json!({"status": "Resolved", "classification": "TruePositive", "comment": "on it"}),
        )
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let again = sandbox.get(incident).await.json();
    assert_eq!(again["status"], "Resolved");
    assert_eq!(
        again["comments"].as_array().unwrap().last().unwrap()["comment"],
        "on it"
    );
    // The same incident, as Graph has it.
    let graph = sandbox.get("/v1.0/security/incidents/924565").await.json();
    assert_eq!(graph["status"], "resolved");
    assert_eq!(graph["id"], "924565");

    let high = sandbox
        .values("/api/machines?$filter=riskScore%20eq%20'High'")
        .await;
    assert!(!high.is_empty() && high.iter().all(|machine| machine["riskScore"] == "High"));
    let none = sandbox
        .get("/api/machines?$filter=computerDnsName%20eq%20'none'")
        .await;
    assert_eq!(none.status, 404, "{}", none.text());

    let over = sandbox.get("/api/incidents?$top=400").await;
    assert_eq!(over.status, 400, "{}", over.text());
    assert!(
        over.json()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("100")
    );

    let alerts = sandbox.values("/api/alerts?$top=2").await;
    let ids: Vec<&Value> = alerts.iter().map(|alert| &alert["id"]).collect();
    let batch = sandbox
        .post(
            "/api/alerts/batchUpdate",
            json!({"alertIds": ids, "status": "Resolved"}),
        )
        .await;
    assert_eq!((batch.status.as_u16(), batch.body.len()), (200, 0));
    let alert = sandbox
        .get(&format!("/api/alerts/{}", ids[1].as_str().unwrap()))
        .await;
    assert_eq!(alert.json()["status"], "Resolved");

    let indicator = &sandbox.values("/api/indicators?$top=1").await[0]["id"];
    let deleted = sandbox
        .post(
            "/api/indicators/BatchDelete",
            json!({"IndicatorIds": [indicator]}),
        )
        .await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_isolated_once() {
    let sandbox = Running::start();
    let machine = sandbox.values("/api/machines?$top=1").await[0]["id"].clone();
    let path = format!("/api/machines/{}/isolate", machine.as_str().unwrap());
    let order = json!({"Comment": "TI-1", "IsolationType": "Full"});
    let first = sandbox.post(&path, order.clone()).await;
    assert_eq!(first.status, 201, "{}", first.text());
    assert_eq!(first.json()["status"], "Pending");
    let second = sandbox.post(&path, order).await;
    assert_eq!(second.status, 400);
    assert_eq!(second.json()["error"]["code"], "ActiveRequestAlreadyExists");
    let action = format!(
        "/api/machineactions/{}",
        first.json()["id"].as_str().unwrap()
    );
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(sandbox.get(&action).await.json()["status"].clone());
    }
    assert_eq!(seen, ["Pending", "InProgress", "Succeeded"]);
    let stats = sandbox.get("/_sandbox/stats").await.json();
    assert_eq!(stats["executions"]["POST isolate"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hunting_knows_tables_and_repeats_the_rest() {
    let sandbox = Running::start();
    let known = sandbox
        .post(
            "/api/advancedhunting/run",
            json!({"Query": "DeviceInfo | where 1 == 1 | take 3"}),
        )
        .await
        .json();
    assert_eq!(known["Results"].as_array().unwrap().len(), 3);
    assert_eq!(
        known["Schema"][0],
        json!({"Name": "Timestamp", "Type": "DateTime"})
    );
    let count = sandbox
        .post(
            "/api/advancedqueries/run",
            json!({"Query": "AlertInfo | count"}),
        )
        .await
        .json();
    assert_eq!(count["Results"], json!([{"Count": 1000}]));
    let graph = sandbox
        .post(
            "/v1.0/security/runHuntingQuery",
            json!({"Query": "print 'contoso'"}),
        )
        .await
        .json();
    assert_eq!(graph["results"][0]["Query"], "print 'contoso'");
    assert_eq!(graph["schema"][0]["name"], "Query");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limit_reaches_the_client_untouched() {
    let sandbox = Running::start();
    let limit =
        json!({"settings": {"rate_limit": {"per_minute": 3, "per_hour": 100, "code": "429"}}});
    sandbox.post("/_sandbox/faults", limit).await;
    for _ in 0..3 {
        assert_eq!(sandbox.get("/api/machines?$top=1").await.status, 200);
    }
    let refused = sandbox.get("/api/machines?$top=1").await;
    assert_eq!(refused.status, 429);
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.json()["error"]["code"], "429");
    assert_eq!(refused.header("proxy-status"), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_library_is_listed_and_has_a_limit() {
    let sandbox = Running::start();
    let upload = |contents: Vec<u8>| -> Bytes {
        let form =
            b"--b\r\nContent-Disposition: form-data; name=\"File\"; filename=\"mine.ps1\"\r\n\r\n";
        [form.as_slice(), &contents, b"\r\n--b--\r\n"]
            .concat()
            .into()
    };
    let target = "/api/libraryfiles";
    // More than the limit of other bodies, and no text.
    let stored = sandbox
        .send_bytes(Method::POST, target, upload(vec![0xff; 3 * 1024 * 1024]))
        .await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    assert_eq!(stored.json()["fileName"], "mine.ps1");
    let files = sandbox.values(target).await;
    assert!(files.iter().any(|file| file["fileName"] == "mine.ps1"));

    let refused = sandbox
        .send_bytes(Method::POST, target, upload(vec![0xff; 21 * 1024 * 1024]))
        .await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    assert!(refused.text().contains("20 MB"), "{}", refused.text());
    let stats = sandbox.get("/_sandbox/stats").await.json();
    assert_eq!(stats["executions"]["POST libraryfiles"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_data_is_of_today() {
    let sandbox = Running::start();
    let incident = &sandbox.values("/api/incidents?$top=1").await[0];
    let updated = incident["lastUpdateTime"].as_str().unwrap();
    let updated = humantime::parse_rfc3339(updated).unwrap();
    let age = SystemTime::now().duration_since(updated).unwrap();
    assert!(age < Duration::from_hours(24), "{age:?}");
}
