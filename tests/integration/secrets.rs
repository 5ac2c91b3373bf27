//! Nothing that the program prints or answers holds a secret, however much it logs.

use std::{fs, os::unix::fs::PermissionsExt};

use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

use crate::{
    programs::{Serving, run},
    support::{Answer, PlainClient, Upstreams, header, program},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_logs_all_it_can_shows_no_secret() {
    for (http2, flags) in [
        (false, &["-vvv"][..]),
        (true, &["-vvv", "--log-format", "json"]),
    ] {
        let upstreams = Upstreams::start().await;
        let secret = upstreams.sandbox.options().client_secret.clone();
        let (answers, log) = exercised(&upstreams, &secret, http2, flags).await;
        // It did log what it could, of all that could happen.
        assert!(log.contains("TRACE"), "{} bytes", log.len());
        for status in [200, 400, 401, 404, 502, 503] {
            let seen = answers.iter().any(|answer| answer.status == status);
            assert!(seen, "no {status}");
        }
        let mut hidden = tokens(&upstreams).await;
        assert!(hidden.len() >= 6, "{hidden:?}");
        hidden.push(secret);
        shows_none_of(&log, &hidden);
        for answer in &answers {
            // What clients sent, upstream may repeat.
            if !answer.header("proxy-status").is_empty() {
                shows_none_of(&all_of(answer), &hidden);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_refused_is_not_shown_either() {
    let upstreams = Upstreams::start().await;
    let wrong = "wrong~secret.of-this_test~0123456789";
    let (answers, log) = exercised(&upstreams, wrong, true, &["-vvv"]).await;
    let right = upstreams.sandbox.options().client_secret.clone();
    let hidden = [wrong.to_owned(), right];
    assert!(log.contains("7000215"));
    shows_none_of(&log, &hidden);
    for answer in &answers {
        assert_ne!(answer.status, 200);
        shows_none_of(&all_of(answer), &hidden);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_and_token_show_no_secret() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.dir.path().join("proxy.toml");
    fs::write(&file, upstreams.config()).unwrap();
    let right = upstreams.sandbox.options().client_secret.clone();
    for secret in [&right, "wrong~secret~0123456789"] {
        for args in [
            &["check"][..],
            &["check", "--offline"],
            &["token"],
            &["token", "--api", "graph"],
        ] {
            let mut command = program();
            command.args(args).args(["-vvv", "--config"]).arg(&file);
            command
                .env("SANDBOX_CLIENT_SECRET", secret)
                .env("RUST_LOG", "trace");
            let ended = run(command).await;
            let text = ended.stdout + &ended.stderr;
            shows_none_of(&text, &[secret.to_owned()]);
        }
    }
}

/// The command's arguments and the folders it writes to are for everybody's eyes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_users_see_no_secret() {
    let mut command = program();
    command.args(["sandbox", "--listen", "127.0.0.1:0"]);
    let sandbox = Serving::spawn(command);
    let url = sandbox.url();
    let printed = sandbox
        .lines_until(|line| line.contains("Ctrl-C"))
        .join("\n");
    let client: PlainClient = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(format!("{url}/api/incidents"))
        .body(Full::default())
        .unwrap();
    assert_eq!(
        Answer::read(client.request(request).await.unwrap())
            .await
            .status,
        200
    );

    let process = format!("/proc/{}", sandbox.pid());
    let secret = "sandbox-secret-do-not-use";
    let arguments = fs::read_to_string(format!("{process}/cmdline")).unwrap();
    assert!(arguments.contains("--listen") && !arguments.contains(secret));
    assert!(!printed.contains(secret), "{printed}");

    let ca = printed
        .split("authority: ")
        .nth(1)
        .unwrap()
        .lines()
        .next()
        .unwrap();
    let folder = std::path::Path::new(ca).parent().unwrap();
    assert_eq!(
        fs::metadata(folder).unwrap().permissions().mode() & 0o077,
        0
    );
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains("PRIVATE KEY"), "{:?}", file.path());
        if text.contains(secret) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0);
        }
    }
    // Nothing of it is open elsewhere: no log, no cache, no file at all.
    for link in fs::read_dir(format!("{process}/fd")).unwrap() {
        let target = fs::read_link(link.unwrap().path()).unwrap();
        let target = target.to_string_lossy();
        let known = ["socket:", "pipe:", "anon_inode:", "/dev/null"];
        assert!(
            known.iter().any(|start| target.starts_with(start)),
            "{target}"
        );
    }
    // A core dump would hold tokens.
    let limits = fs::read_to_string(format!("{process}/limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}

/// Runs `serve` through all that can happen to a request. All answers, and all that was printed.
async fn exercised(
    upstreams: &Upstreams,
    secret: &str,
    http2: bool,
    flags: &[&str],
) -> (Vec<Answer>, String) {
    let serving = serve(upstreams, secret, flags);
    let client: PlainClient = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http();
    let url = serving.url();
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", serving.pid())).unwrap();
    assert!(arguments.contains("--config") && !arguments.contains(secret));
    let asks = Asks { client, url: &url };
    let mut answers = Vec::new();
    for fault in [
        json!({}),
        json!({"revoke_tokens": true}),
        json!({"api": [{"unauthorized": "once", "times": 2}]}),
        json!({"api": [{"reset": "before-headers"}]}),
        json!({"api": [{"truncate": 10}]}),
        json!({"api": [{"status": 503}]}),
    ] {
        upstreams.faults(fault).await;
        answers.extend(asks.once("/api/advancedhunting/run", true).await);
        answers.extend(asks.once("/v1.0/security/runHuntingQuery", true).await);
    }
    for (target, with_key) in [
        ("/nowhere", true),
        ("/api/%2e%2e/x", true),
        ("/api/x", false),
    ] {
        answers.extend(asks.once(target, with_key).await);
    }
    let faults = [json!({"aadsts": 65001}), json!({"truncated_json": true})];
    upstreams
        .faults(json!({"token": faults, "revoke_tokens": true}))
        .await;
    answers.extend(asks.once("/api/machines", true).await);
    answers.extend(asks.once("/api/advancedhunting/run", true).await);
    let ended = serving.terminate().await;
    (answers, ended.stdout + &ended.stderr)
}

fn serve(upstreams: &Upstreams, secret: &str, flags: &[&str]) -> Serving {
    let file = upstreams.dir.path().join("proxy.toml");
    let key = "\n[listen]\nclient_key = { env = \"PROXY_CLIENT_KEY\" }\n";
    fs::write(&file, upstreams.config() + key).unwrap();
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&file)
        .args(flags)
        .env("RUST_LOG", "trace")
        .env("SANDBOX_CLIENT_SECRET", secret)
        .env("PROXY_CLIENT_KEY", SENT[0]);
    Serving::spawn(command)
}

struct Asks<'a> {
    client: PlainClient,
    url: &'a str,
}

impl Asks<'_> {
    /// Sends a request full of secrets. The answer, if a whole one comes.
    async fn once(&self, target: &str, with_key: bool) -> Option<Answer> {
        let [key, bearer, cookie, other, signature, password] = SENT;
        let url = format!("{}{target}?sig={signature}&{password}", self.url);
        let mut request = Request::post(url)
            .header("authorization", format!("Bearer {bearer}"))
            .header("cookie", format!("session={cookie}"))
            .header("x-ms-token-aad-access-token", other);
        if with_key {
            request = request.header("x-proxy-key", key);
        }
        let body = Full::from(json!({"Query": password}).to_string());
        let answer = self
            .client
            .request(request.body(body).unwrap())
            .await
            .ok()?;
        let (head, body) = answer.into_parts();
        Some(Answer {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.ok()?.to_bytes(),
        })
    }
}

fn all_of(answer: &Answer) -> String {
    format!("{:?}{}", answer.headers, answer.text())
}

/// Fails if a text holds one of these, what clients sent, or the beginning of any token.
#[track_caller]
fn shows_none_of(text: &str, hidden: &[String]) {
    let hidden = hidden.iter().map(String::as_str);
    for value in hidden.chain(SENT).chain(["eyJ"]) {
        let lines: Vec<_> = text.lines().filter(|line| line.contains(value)).collect();
        let count = lines.len();
        assert!(
            lines.is_empty(),
            "'{value}' is shown in {count} lines, first {}",
            lines[0]
        );
    }
}

/// Every token that reached an API, and its signature alone.
async fn tokens(upstreams: &Upstreams) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for request in upstreams.api_requests().await {
        let token =
            header(&request, "authorization").and_then(|value| value.strip_prefix("Bearer "));
        tokens.extend(token.into_iter().flat_map(|token| {
            [
                token.to_owned(),
                token.rsplit('.').next().unwrap().to_owned(),
            ]
        }));
    }
    tokens.sort();
    tokens.dedup();
    tokens
}

/// The client's own: key, bearer token, cookie, injected token, signature in the query, password.
const SENT: [&str; 6] = [
    "client-key-5f1c0a7e",
    "client-bearer-5f1c0a7e",
    "client-cookie-5f1c0a7e",
    "client-injected-5f1c0a7e",
    "client-signature-5f1c0a7e",
    "client-password-5f1c0a7e",
];
