//! Machines and what is found by one.

use super::*;

#[test]
fn no_machine_is_not_found() {
    let api = api();
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
    let api = api();
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
