//! Machine actions and their results.

use super::*;

#[test]
fn an_action_is_unique_while_active_and_ends_by_being_watched() {
    let api = api();
    let target = format!("/api/machines/{}/isolate", machine_id(3));
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
    let api = api();
    let target = format!(
        "/api/machines/{}/collectInvestigationPackage",
        machine_id(3)
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
    let api = api();
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
            &format!("/api/machines/{}/{verb}", machine_id(9)),
            body,
        );
        assert_eq!(status, 201, "{verb}: {action}");
        assert_eq!(api.executions()[&format!("POST {verb}")], 1);
    }
    let (status, machine) = send(
        &api,
        &Method::POST,
        &format!("/api/machines/{}/tags", machine_id(9)),
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
fn a_client_that_polls_the_list_sees_the_end() {
    let api = api();
    let target = format!("/api/machines/{}/runliveresponse", machine_id(7));
    let commands = r#"{"Comment":"c","Commands":[{"type":"RunScript","params":[]},{"type":"GetFile","params":[]}]}"#;
    let (_, started) = send(&api, &Method::POST, &target, commands);
    let seen: Vec<Value> = (0..3)
        .map(|_| values(&get(&api, "/api/machineactions?$top=1").1)[0].clone())
        .collect();
    let statuses: Vec<&Value> = seen.iter().map(|action| &action["status"]).collect();
    assert_eq!(statuses, ["Pending", "InProgress", "Succeeded"]);
    let times: Vec<&str> = seen
        .iter()
        .map(|action| action["lastUpdateDateTimeUtc"].as_str().unwrap())
        .collect();
    assert!(
        times.is_sorted_by(|older, newer| older < newer),
        "{times:?}"
    );
    let states = |action: &Value| -> Vec<Value> {
        let commands = action["commands"].as_array().unwrap().iter();
        commands
            .map(|command| command["commandStatus"].clone())
            .collect()
    };
    assert_eq!(states(&seen[0]), ["Created", "Created"]);
    assert_eq!(states(&seen[1]), ["InProgress", "InProgress"]);
    assert_eq!(states(&seen[2]), ["Completed", "Completed"]);
    assert!(seen[2]["commands"][1]["startTime"].is_string());
    assert!(seen[2]["commands"][1]["endTime"].is_string());

    let result = |index: &str| {
        let id = started["id"].as_str().unwrap();
        let target = format!("/api/machineactions/{id}/GetLiveResponseResultDownloadLink({index})");
        get(&api, &target).0
    };
    assert_eq!(
        ["index=0", "index=1", "index=2"].map(result),
        [200, 200, 404]
    );
    assert_eq!(["index=x", "", "1"].map(result), [400, 400, 400]);
}
