//! The `sandbox` command as someone without a tenant meets it: one program, nothing set up.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};

use crate::{
    programs::{Finished, Serving, run, run_with},
    support::{Answer, PlainClient, program},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_printed_curl_line_works() {
    let sandbox = Running::start();
    let lines: Vec<&str> = sandbox
        .printed
        .iter()
        .map(|line| line.trim())
        .filter(|line| line.starts_with("curl "))
        .collect();
    assert!(lines.len() >= 7, "{lines:?}");
    let mut throttled = 0;
    for line in lines {
        // zsh takes an unquoted ? or [ for a pattern of file names.
        let quoted = line
            .split('\'')
            .step_by(2)
            .all(|bare| !bare.contains(['?', '$', '[', '&', '*']));
        assert!(quoted, "{line}");
        let answer = shell(line).await;
        let text = answer.ok();
        assert!(!text.is_empty(), "{line}");
        assert!(!text.contains("\"error\""), "{line}: {text}");
        if line.ends_with("/$count'") {
            assert_eq!(text, "1000");
        } else {
            let _: Value = serde_json::from_str(text).expect(line);
        }
        if line.contains("/_sandbox/faults") {
            let url = format!("{}/api/incidents", sandbox.url);
            let next = shell(&format!("curl -si {url}")).await;
            assert!(next.ok().starts_with("HTTP/1.1 429"), "{}", next.stdout);
            assert!(
                next.stdout.contains("Retry-After: 7\r\n"),
                "{}",
                next.stdout
            );
            throttled += 1;
        }
    }
    assert_eq!(throttled, 1);
}

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
    let mut states = Vec::new();
    for _ in 0..3 {
        states.push(sandbox.get(&action).await.json()["status"].clone());
    }
    assert_eq!(states, ["Pending", "InProgress", "Succeeded"]);
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

/// What it prints is all of a proxy.toml, so that it can be written to a file as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_ins_alone_print_a_configuration_that_serves() {
    let mut command = program();
    command.args(["sandbox", "--upstreams-only"]);
    let stand_ins = Serving::spawn(command);
    let printed = stand_ins
        .lines_until(|line| line.contains("listening on "))
        .join("\n");
    let origin = printed
        .rsplit("listening on ")
        .next()
        .unwrap()
        .trim()
        .to_owned();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(&file, &printed).unwrap();

    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file);
    let proxy = Serving::spawn(command);
    let url = proxy.url();
    let page = get(&plain(), &format!("{url}/api/incidents")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let link = page.json()["@odata.nextLink"].as_str().unwrap().to_owned();
    assert!(link.starts_with(&url), "{link}");
    assert_eq!(get(&plain(), &link).await.status, 200);

    // Who talks to the stand-in directly can follow its links too.
    let token = run_with(&["token", "--raw", "--config", file.to_str().unwrap()]).await;
    let ca = printed
        .split("ca = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let direct = shell(&format!(
        "curl -s --cacert {ca} -H 'Authorization: Bearer {}' {origin}/api/incidents",
        token.ok().trim()
    ))
    .await;
    let direct: Value = serde_json::from_str(direct.ok()).unwrap();
    let link = direct["@odata.nextLink"].as_str().unwrap();
    assert!(link.starts_with(&origin), "{link}");
    let hint = printed
        .lines()
        .find_map(|line| line.strip_prefix("# curl"))
        .unwrap();
    assert!(
        shell(&format!("curl -s {hint}"))
            .await
            .ok()
            .contains("token_requests")
    );
    assert_eq!(proxy.terminate().await.code, Some(0));
    assert_eq!(stand_ins.terminate().await.code, Some(0));
    assert!(!Path::new(ca).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stays_behind() {
    let sandbox = Running::start();
    let ca = sandbox.ca();
    let folder = ca.parent().unwrap().to_owned();
    assert!(
        fs::read_to_string(&ca)
            .unwrap()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
    for entry in [&folder, &folder.join("client-secret")] {
        let mode = fs::metadata(entry).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", entry.display());
    }
    sandbox.get("/api/machines").await;
    let ended = sandbox.serving.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_in_use_is_said_and_ends_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run_with(&["sandbox", "--listen", &address]).await;
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    for part in [&address, "another program", "--listen"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let exposed = run_with(&["sandbox", "--listen", "0.0.0.0:0"]).await;
    assert_ne!(exposed.code, Some(0));
    assert!(exposed.stderr.contains("client_key"), "{}", exposed.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("proxy.sock");
    let sandbox = Running::start_at(&format!("unix:{}", socket.display()));
    assert_eq!(sandbox.url, format!("unix:{}", socket.display()));
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = sandbox
        .printed
        .iter()
        .find(|line| line.contains("/api/incidents"))
        .unwrap();
    let page: Value = serde_json::from_str(shell(line.trim()).await.ok()).unwrap();
    let link = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(link, "http://localhost/api/incidents?$skip=100");
    sandbox.serving.terminate().await;
    assert!(!socket.exists());
}

/// A `sandbox` that is ready, and what it printed.
struct Running {
    serving: Serving,
    printed: Vec<String>,
    url: String,
    client: PlainClient,
}

impl Running {
    fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Self {
        let mut command = program();
        command.args(["sandbox", "--listen", address]);
        let serving = Serving::spawn(command);
        let url = serving.url();
        let printed = serving.lines_until(|line| line.contains("Ctrl-C"));
        Self {
            serving,
            printed,
            url,
            client: plain(),
        }
    }

    /// The file that it says has the authority's certificate.
    fn ca(&self) -> PathBuf {
        let line = self
            .printed
            .iter()
            .find(|line| line.contains("certificate authority"));
        line.unwrap().split(": ").nth(1).unwrap().into()
    }

    async fn get(&self, target: &str) -> Answer {
        get(&self.client, &format!("{}{target}", self.url)).await
    }

    async fn values(&self, target: &str) -> Vec<Value> {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()["value"].as_array().unwrap().clone()
    }

    async fn post(&self, target: &str, body: Value) -> Answer {
        self.send(Method::POST, target, body).await
    }

    async fn send(&self, method: Method, target: &str, body: Value) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap();
        Answer::read(self.client.request(request).await.expect("an answer")).await
    }
}

fn plain() -> PlainClient {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn get(client: &PlainClient, url: &str) -> Answer {
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    Answer::read(client.request(request).await.expect("an answer")).await
}

/// Runs a line as a user would type it.
async fn shell(line: &str) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-c", line]).env_remove("http_proxy");
    run(command).await
}
