//! The `sandbox` command as someone without a tenant meets it: what it prints, and how it ends.

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
use serde_json::Value;

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

/// Each way that needs no browser, by what is printed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stand_ins_alone_say_who_else_can_sign_in() {
    let mut alone = program();
    alone.args(["sandbox", "--upstreams-only"]);
    let stand_ins = Serving::spawn(alone);
    let lines = stand_ins.lines_until(|line| line.contains("listening on "));
    let printed = lines.join("\n");
    let said = |after: &str| {
        let rest = printed.split_once(after).expect(after).1;
        let word = rest.trim_start().split([' ', '\n', ',', '"']).next();
        word.unwrap().to_owned()
    };
    let (login, ca) = (said("login = \""), said("ca = \""));

    let line = command(&lines, "federated token: ");
    assert_eq!(shell(&line).await.ok().split('.').count(), 3);

    let (host, endpoint, header) = (
        said("AZURE_POD_IDENTITY_AUTHORITY_HOST="),
        said(" IDENTITY_ENDPOINT="),
        said("IDENTITY_HEADER="),
    );
    let query = "api-version=2018-02-01&resource=https://api.security.microsoft.com";
    for line in [
        format!("curl -s -H Metadata:true '{host}/metadata/identity/oauth2/token?{query}'"),
        format!("curl -s -H X-IDENTITY-HEADER:{header} '{endpoint}?{query}'"),
    ] {
        let token: Value = serde_json::from_str(shell(&line).await.ok()).unwrap();
        assert!(token["access_token"].is_string(), "{line}: {token}");
    }

    let client = said("users, for client_id ").replace(':', "");
    let post = |path: &str, form: &str| {
        format!("curl -s --cacert {ca} {login}/organizations/oauth2/v2.0/{path} -d '{form}'")
    };
    let scope = "https://api.security.microsoft.com/.default";
    let started = shell(&post(
        "devicecode",
        &format!("client_id={client}&scope={scope}"),
    ))
    .await;
    let device: Value = serde_json::from_str(started.ok()).unwrap();
    let line = command(&lines, "\"CODE\"")
        .replace("CODE", device["user_code"].as_str().unwrap())
        .replace("NAME", "alice@contoso.example");
    shell(&line).await.ok();
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let code = device["device_code"].as_str().unwrap();
    let form = format!("client_id={client}&grant_type={grant}&device_code={code}");
    let token: Value = serde_json::from_str(shell(&post("token", &form)).await.ok()).unwrap();
    assert!(token["access_token"].is_string(), "{token}");
}

/// The curl command of the comment that has `part` in it.
fn command(lines: &[String], part: &str) -> String {
    let line = lines.iter().find(|line| line.contains(part)).expect(part);
    line[line.find("curl ").expect(part)..].to_owned()
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
    let hint = sandbox
        .printed
        .iter()
        .find(|line| line.contains("/api/incidents"))
        .unwrap();
    let page: Value = serde_json::from_str(shell(hint.trim()).await.ok()).unwrap();
    let link = page["@odata.nextLink"].as_str().unwrap();
    assert_eq!(link, "http://localhost/api/incidents?$skip=100");
    sandbox.serving.terminate().await;
    assert!(!socket.exists());
}

/// A `sandbox` that is ready, and what it printed.
pub(crate) struct Running {
    serving: Serving,
    printed: Vec<String>,
    url: String,
    client: PlainClient,
}

impl Running {
    pub(crate) fn start() -> Self {
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

    pub(crate) async fn get(&self, target: &str) -> Answer {
        get(&self.client, &format!("{}{target}", self.url)).await
    }

    pub(crate) async fn values(&self, target: &str) -> Vec<Value> {
        let answer = self.get(target).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()["value"].as_array().unwrap().clone()
    }

    pub(crate) async fn post(&self, target: &str, body: Value) -> Answer {
        self.send(Method::POST, target, body).await
    }

    pub(crate) async fn send(&self, method: Method, target: &str, body: Value) -> Answer {
        self.send_bytes(method, target, body.to_string().into())
            .await
    }

    pub(crate) async fn send_bytes(&self, method: Method, target: &str, body: Bytes) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
            .header("content-type", "application/json")
            .body(Full::from(body))
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
