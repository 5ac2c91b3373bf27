//! What goes to standard output and what to standard error, and who reads it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::net::TcpStream;

use crate::{
    programs::{Finished, Serving, run},
    support::{Upstreams, program},
    wire::Wire,
};

/// A reader that has seen enough (`| head -1`) is no failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_is_no_error() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.write_config(&upstreams.config());
    for args in [
        &["init", "-"][..],
        &["completions", "bash"],
        &["man"],
        &["--help"],
        &["check", "--config", &file],
        &["token", "--config", &file],
        &["token", "--raw", "--config", &file],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program();
        command.args(args).env(
            "SANDBOX_CLIENT_SECRET",
            &upstreams.sandbox.options().client_secret,
        );
        let ended = tokio::task::spawn_blocking(move || {
            let child = command
                .stdout(writer)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            child.wait_with_output().unwrap()
        })
        .await
        .unwrap();
        let text = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(0), "{args:?}: {text}");
        assert!(
            !text.contains("error") && !text.contains("panicked"),
            "{args:?}: {text}"
        );
    }
}

/// Nobody needs to read the ready line: to serve is the job.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_serves_though_nobody_reads_its_output() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.write_config(&upstreams.config());
    let socket = upstreams.dir.path().join("proxy.sock");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = program()
        .args(["serve", "--config", &file])
        .args(["--listen", &format!("unix:{}", socket.display())])
        .env(
            "SANDBOX_CLIENT_SECRET",
            &upstreams.sandbox.options().client_secret,
        )
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("can't print the ready line")));
    let mut curl = Command::new("curl");
    curl.args(["-s", "--unix-socket"]).arg(&socket);
    curl.arg("http://localhost/api/alerts/$count");
    let count = run(curl).await;
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(count.ok(), "1000");
    assert!(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_as_json_have_the_fields_of_a_request() {
    let upstreams = Upstreams::start().await;
    let ended = served(&upstreams, &["--log-format", "json"]).await;
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    let lines: Vec<Value> = ended
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    let of = |path: &str| {
        let mut found = lines.iter().filter(|line| {
            line["path"]
                .as_str()
                .is_some_and(|shown| shown.starts_with(path))
        });
        found
            .next()
            .unwrap_or_else(|| panic!("no line for {path}: {lines:?}"))
    };
    let count = of("/api/alerts/$count");
    assert_eq!(count["method"], "GET");
    assert_eq!(count["status"], 200);
    assert_eq!(count["from"], "upstream");
    assert_eq!(count["bytes"], 4);
    assert!(
        count["ms"].is_number() && count["token_age_s"].is_number(),
        "{count}"
    );
    assert!(count["timestamp"].is_string() && count["level"] == "INFO");
    let nowhere = of("/nowhere");
    assert_eq!(
        (&nowhere["status"], &nowhere["from"]),
        (&404.into(), &"proxy".into())
    );
    assert!(nowhere.get("token_age_s").is_none());
    // All of it arrived: a declared length is an end, too.
    let download = of("/api/sandbox/download");
    assert_eq!(download["bytes"], 100_000);
    assert!(download.get("end").is_none(), "{download}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_hide_query_values_and_go_to_standard_error_alone() {
    let upstreams = Upstreams::start().await;
    let ended = served(&upstreams, &[]).await;
    assert!(
        ended.stdout.starts_with("listening on http://127.0.0.1:"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stdout.lines().count(), 1);
    assert!(ended.stderr.contains("$top=3&code=…&…"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hidden"), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("path=/api/alerts/$count status=200"),
        "{}",
        ended.stderr
    );
    // Colours are for terminals.
    assert!(!ended.stderr.contains('\u{1b}'));

    let quiet = served(&upstreams, &["-q"]).await;
    assert_eq!(quiet.stderr, "");
    assert_eq!(quiet.stdout.lines().count(), 1);
}

fn serve(upstreams: &Upstreams, args: &[&str]) -> Serving {
    let file = upstreams.write_config(&upstreams.config());
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config", &file])
        .args(args)
        .env(
            "SANDBOX_CLIENT_SECRET",
            &upstreams.sandbox.options().client_secret,
        );
    Serving::spawn(command)
}

/// Serves four requests, and ends.
async fn served(upstreams: &Upstreams, args: &[&str]) -> Finished {
    let serving = serve(upstreams, args);
    let url = serving.url();
    for target in [
        "/api/alerts/$count",
        "/nowhere",
        "/api/machines?$top=3&code=hidden-1&hidden-2",
        "/api/sandbox/download?type=binary&bytes=100000",
    ] {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-o", "/dev/null", &format!("{url}{target}")]);
        run(curl).await.ok();
    }
    let ended = serving.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// However many are answered at a time, and to the last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_one_whole_line() {
    const CLIENTS: usize = 8;
    const EACH: usize = 100;
    let upstreams = Upstreams::start().await;
    let serving = serve(&upstreams, &[]);
    let address = serving.url().replace("http://", "");
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let ask = |n| format!("GET /nowhere/{client}/{n} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let mut wire = Wire::new(TcpStream::connect(&address).await.unwrap());
        wire.send((0..EACH).map(ask).collect::<String>()).await;
        clients.push(wire);
    }
    for client in &mut clients {
        for _ in 0..EACH {
            assert!(client.message().await.0.starts_with("HTTP/1.1 404 "));
        }
    }
    let ended = serving.terminate().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let lines: Vec<_> = ended
        .stderr
        .lines()
        .filter(|line| line.contains("nowhere"))
        .collect();
    assert_eq!(lines.len(), CLIENTS * EACH);
    for client in 0..CLIENTS {
        for n in 0..EACH {
            let target = format!(
                "  INFO method=GET path=/nowhere/{client}/{n} status=404 from=\"proxy\" bytes="
            );
            let told = lines.iter().filter(|line| line.contains(&target));
            assert_eq!(told.count(), 1, "{target}");
        }
    }
}
