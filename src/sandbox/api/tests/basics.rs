//! What holds for every call.

use super::*;

#[test]
fn unknown_paths_and_methods() {
    let api = api();
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
    let api = api();
    let target = "/api/Sandbox/Echo/a%2Fb(c='d',e=f)?x=%27+y&$z";
    let (_, body) = send(&api, &Method::PUT, target, "12345");
    assert_eq!(
        body,
        json!({"method": "PUT", "target": target, "bodyBytes": 5})
    );
}

#[test]
fn data_holds_what_a_link_rewriter_must_leave_alone() {
    let api = api();
    let call = Call {
        tenant: names::TENANT,
        method: &Method::GET,
        path: "/api/alerts",
        query: None,
        body: b"",
        link_origin: "https://eu.example",
        client_request_id: Some("from the client"),
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
fn an_error_of_graph_has_both_ids_and_the_real_time() {
    let before = times::real() - times::TICKS;
    let (_, body) = get(&api(), "/v1.0/security/incidents/1");
    let inner = &body["error"]["innerError"];
    assert_eq!(inner["request-id"], "3f0c5b1e-0000-4000-8000-000000000000");
    assert_eq!(inner["client-request-id"], "from the client");
    let date = times::parse(inner["date"].as_str().unwrap()).unwrap();
    assert!((before..=times::real()).contains(&date));
}

#[test]
fn a_fixed_present_dates_changes_after_it() {
    let api = api();
    for expected in ["2026-11-01T00:00:01Z", "2026-11-01T00:00:02Z"] {
        let (_, incident) = send(
            &api,
            &Method::PATCH,
            "/api/incidents/924590",
            r#"{"comment":"c"}"#,
        );
        assert_eq!(incident["lastUpdateTime"], expected);
    }
}

#[test]
fn a_running_present_has_news_for_a_poller() {
    let api = Api::new(names::TENANT, Now::Running);
    let since = times::text(times::real() - 24 * 3600 * times::TICKS);
    let recent = format!("/api/alerts?$filter=lastUpdateTime+gt+{since}");
    let (_, page) = get(&api, &recent);
    assert!(!values(&page).is_empty() && values(&page).len() < 200);

    let before = times::text(times::real());
    let target = "/api/incidents/924500";
    let (_, old) = get(&api, target);
    assert!(old["lastUpdateTime"].as_str().unwrap() < before.as_str());
    let (_, incident) = send(&api, &Method::PATCH, target, r#"{"comment":"c"}"#);
    let updated = times::parse(incident["lastUpdateTime"].as_str().unwrap()).unwrap();
    assert!((times::parse(&before).unwrap()..=times::real()).contains(&updated));
    let newer = format!("/api/incidents?$filter=lastUpdateTime+ge+{before}");
    assert_eq!(values(&get(&api, &newer).1).len(), 1);
    // Only the dates depend on the present.
    let fixed = self::api();
    for field in ["incidentId", "incidentName", "status", "severity"] {
        assert_eq!(get(&fixed, target).1[field], incident[field]);
    }
}
