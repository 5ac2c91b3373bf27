//! Whose data an answer is made of.

use super::*;

const OTHER: &str = "5a9db0c5-0000-4000-8000-000000000002";
const THIRD: &str = "5a9db0c5-0000-4000-8000-000000000003";

fn get_as(api: &Api, tenant: &str, target: &str) -> String {
    let (status, body) = send_as(api, tenant, (&Method::GET, target, ""));
    assert_eq!(status, 200, "{target}: {body}");
    body.to_string()
}

#[test]
fn a_customers_answers_name_it_and_nobody_else() {
    let api = api();
    let incident = values(&get(&api, "/api/incidents").1)[0]["incidentId"].to_string();
    for target in [
        "/api/incidents",
        &format!("/api/incidents/{incident}"),
        "/api/alerts?$top=3",
        "/api/machines?$top=3",
        "/api/machineactions?$top=3",
        "/v1.0/security/incidents?$top=3",
        "/v1.0/security/alerts_v2?$top=3",
        "/api/machines/SoftwareVulnerabilitiesByMachine",
    ] {
        let (home, other, third) = (
            get_as(&api, names::TENANT, target),
            get_as(&api, OTHER, target),
            get_as(&api, THIRD, target),
        );
        assert!(!home.contains("000002"), "{target}");
        assert!(other.contains("000002"), "{target}");
        for name in [
            "contoso.example",
            "fabrikam",
            "CONTOSO",
            "000003",
            names::TENANT,
        ] {
            assert!(!other.contains(name), "{target}: {name}");
        }
        assert_eq!(other.replace("000002", "000003"), third, "{target}");
    }
}

#[test]
fn a_customers_names_can_be_asked_for() {
    let api = api();
    let listed = send_as(&api, OTHER, (&Method::GET, "/api/machines?$top=1", "")).1;
    let name = values(&listed)[0]["computerDnsName"].as_str().unwrap();
    assert!(name.contains("000002"), "{name}");
    let filtered = format!("/api/machines?$filter=computerDnsName eq '{name}'");
    for target in [&format!("/api/machines/{name}"), &filtered] {
        assert!(get_as(&api, OTHER, target).contains(name), "{target}");
        let status = send_as(&api, THIRD, (&Method::GET, target, "")).0;
        assert_eq!(status, 404, "{target}");
    }
}

#[test]
fn a_change_stays_in_its_tenant() {
    let api = api();
    let target = "/api/incidents/924600";
    let before = get_as(&api, THIRD, target);
    let change = r#"{"status": "Resolved", "assignedTo": "who@contoso.example t000002"}"#;
    let (status, changed) = send_as(&api, OTHER, (&Method::PATCH, target, change));
    assert_eq!(status, 200);
    assert_eq!(changed["assignedTo"], "who@contoso.example t000002");
    assert_eq!(
        send_as(&api, OTHER, (&Method::GET, target, "")).1["assignedTo"],
        "who@contoso.example t000002"
    );
    assert_eq!(get_as(&api, THIRD, target), before);
    assert_ne!(get(&api, target).1["status"], changed["status"]);
    api.reset();
    assert_eq!(
        get_as(&api, OTHER, target),
        before.replace("000003", "000002")
    );
}

#[test]
fn executions_of_all_tenants_are_counted() {
    let api = api();
    let target = format!("/api/machines/{}/isolate", machine_id(0));
    let body = r#"{"Comment": "c", "IsolationType": "Full"}"#;
    for tenant in [names::TENANT, OTHER, THIRD] {
        let (status, action) = send_as(&api, tenant, (&Method::POST, &target, body));
        assert_eq!(status, 201, "{action}");
    }
    assert_eq!(api.executions()["POST isolate"], 3);
}

#[test]
fn an_unchanged_world_is_shared() {
    let api = api();
    let (first, second) = [OTHER, THIRD]
        .map(|tenant| Store::new(&api.worlds, tenant))
        .into();
    assert!(Arc::ptr_eq(&first.read(), &second.read()));
    first.write().change();
    assert!(!Arc::ptr_eq(&first.read(), &second.read()));
    assert!(std::ptr::eq(
        first.read().alerts.as_ptr(),
        second.read().alerts.as_ptr()
    ));
}
