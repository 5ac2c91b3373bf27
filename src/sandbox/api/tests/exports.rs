//! Exports as JSON and as links.

use super::*;

#[test]
fn export_pages_join_to_the_whole() {
    let api = api();
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
    let api = api();
    let call = Call {
        tenant: names::TENANT,
        method: &Method::GET,
        path: "/api/machines/SoftwareVulnerabilitiesByMachine",
        query: Some("sandboxRecords=50000000&pageSize=200000"),
        body: b"",
        link_origin: "https://eu.example",
        client_request_id: Some("from the client"),
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
    let api = api();
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
fn changes_are_of_the_last_fourteen_days() {
    let api = api();
    let base = "/api/machines/SoftwareVulnerabilityChangesByMachine";
    for (query, status) in [
        ("", 400),
        ("?sinceTime=2026-10-17T00:00:00Z", 400),
        ("?sinceTime=2026-11-02T00:00:00Z", 400),
        ("?sinceTime=yesterday", 400),
        ("?sinceTime=2026-10-18T00:00:00Z", 200),
    ] {
        assert_eq!(get(&api, &format!("{base}{query}")).0, status, "{query}");
    }
    let since = "2026-10-30T12:00:00Z";
    let target = format!("{base}?sinceTime={since}&pageSize=400");
    let (seen, pages) = walk(&api, &target, "eventTimestamp");
    assert_eq!((seen.len(), pages), (1000, 3));
    let quoted = format!("\"{since}\"");
    assert!(
        seen.iter()
            .all(|time| *time > quoted && **time < *"\"2026-11-01T00:00:01")
    );
    let (_, page) = get(&api, &target);
    assert!(
        values(&page)
            .iter()
            .any(|change| change["status"] == "Fixed")
    );
}

#[test]
fn configurations_are_exported_and_antivirus_as_links() {
    let api = api();
    let base = "/api/machines/SecureConfigurationsAssessmentByMachine";
    let (seen, pages) = walk(&api, &format!("{base}?pageSize=600"), "id");
    assert_eq!(
        (seen.iter().collect::<BTreeSet<_>>().len(), pages),
        (1000, 2)
    );
    let (_, page) = get(&api, base);
    assert!(
        values(&page)[0]["configurationId"]
            .as_str()
            .unwrap()
            .starts_with("scid-")
    );
    let hours = |hours| {
        get(
            &api,
            &format!("/api/machines/InfoGatheringExport?sasValidHours={hours}"),
        )
    };
    assert_eq!((hours(24).0, hours(25).0), (200, 400));
    assert!(
        hours(24).1["exportFiles"][0]
            .as_str()
            .unwrap()
            .contains("se=2026-11-02T00%3A00%3A00Z")
    );
}

#[test]
fn everything_says_the_same_of_a_machine() {
    let api = api();
    let (_, machines) = get(&api, "/api/machines");
    let machine = |id: &Value| {
        values(&machines)
            .iter()
            .find(|machine| machine["id"] == *id)
            .unwrap()
    };
    for export in [
        "SoftwareVulnerabilitiesByMachine",
        "SecureConfigurationsAssessmentByMachine",
    ] {
        let (_, page) = get(&api, &format!("/api/machines/{export}?pageSize=200"));
        for record in values(&page) {
            let machine = machine(&record["deviceId"]);
            assert_eq!(record["deviceName"], machine["computerDnsName"]);
            for field in ["osPlatform", "rbacGroupName", "rbacGroupId"] {
                assert_eq!(record[field], machine[field], "{field} in {export}");
            }
        }
    }
    let hunt = |query: &str| {
        let body = json!({"Query": query}).to_string();
        send(&api, &Method::POST, "/api/advancedhunting/run", &body).1["Results"].clone()
    };
    for row in hunt("DeviceInfo").as_array().unwrap() {
        let machine = machine(&row["DeviceId"]);
        assert_eq!(row["OSPlatform"], machine["osPlatform"]);
        assert_eq!(row["MachineGroup"], machine["rbacGroupName"]);
        assert_eq!(row["IsAzureADJoined"] == 1, machine["isAadJoined"] == true);
        assert_eq!(
            row["OnboardingStatus"] == "Onboarded",
            machine["onboardingStatus"] == "onboarded"
        );
    }
    for row in hunt("AlertInfo | take 50").as_array().unwrap() {
        let (status, alert) = get(
            &api,
            &format!("/api/alerts/{}", row["AlertId"].as_str().unwrap()),
        );
        assert_eq!(status, 200, "{row}");
        assert_eq!(
            (&row["Title"], &row["Severity"]),
            (&alert["title"], &alert["severity"])
        );
        assert_eq!(row["Timestamp"], alert["alertCreationTime"]);
    }
}

#[test]
fn exposed_machines_are_those_referred_to() {
    let api = api();
    let mut exposed = 0;
    for list in ["vulnerabilities", "software", "recommendations"] {
        let (_, page) = get(&api, &format!("/api/{list}"));
        for record in values(&page).iter().take(40) {
            let id = record["id"].as_str().unwrap();
            let (status, references) = get(&api, &format!("/api/{list}/{id}/machineReferences"));
            assert_eq!(status, 200);
            let field = if list == "recommendations" {
                "exposedMachinesCount"
            } else {
                "exposedMachines"
            };
            assert_eq!(record[field], values(&references).len(), "{id}");
            exposed += values(&references).len();
            if list == "vulnerabilities" {
                assert_eq!(id[4..8], record["publishedOn"].as_str().unwrap()[..4]);
                for reference in values(&references) {
                    let machine = reference["id"].as_str().unwrap();
                    let (_, own) = get(&api, &format!("/api/machines/{machine}/vulnerabilities"));
                    assert!(values(&own).iter().any(|own| own["id"] == id));
                }
            }
        }
    }
    assert!(exposed > 100);
}
