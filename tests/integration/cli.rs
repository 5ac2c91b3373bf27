//! The commands: what they print where, and how they end.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    programs::{Finished, Serving, run, run_with},
    support::{Proxy, Upstreams, program},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn help_names_every_command_and_option() {
    let help = run_with(&["--help"]).await;
    for word in [
        "serve",
        "sandbox",
        "check",
        "token",
        "init",
        "completions",
        "man",
        "--log-format",
        "--verbose",
        "--quiet",
    ] {
        assert!(help.ok().contains(word), "{word}: {}", help.stdout);
    }
    for (command, option) in [
        ("serve", "--config"),
        ("serve", "--listen"),
        ("sandbox", "--upstreams-only"),
        ("check", "--offline"),
        ("token", "--raw"),
        ("token", "--api"),
        ("init", "--force"),
    ] {
        let help = run_with(&[command, "--help"]).await;
        assert!(help.ok().contains(option), "{command} {option}");
        // Marks for the documentation of the code are none for a terminal.
        assert!(!help.stdout.contains('`'), "{}", help.stdout);
        assert!(!help.stdout.contains("<unix"), "{}", help.stdout);
    }
    assert!(
        run_with(&["--version"])
            .await
            .ok()
            .starts_with("defender-proxy ")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_usage_ends_with_2_and_prints_no_result() {
    for args in [
        &["serve", "--liste", "x"][..],
        &["serve", "--listen", "nowhere"],
        &["fly"],
        &[],
        &["token", "--api", "teams"],
        &[
            "token",
            "--api",
            "graph",
            "--audience",
            "https://graph.microsoft.com",
        ],
        &["sandbox", "--upstreams-only", "--listen", "127.0.0.1:0"],
        &["completions", "tcsh"],
        &["serve", "-v", "-q"],
    ] {
        let ended = run_with(args).await;
        assert_eq!(ended.code, Some(2), "{args:?} {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{args:?}: {}", ended.stdout);
        assert!(!ended.stderr.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn init_writes_what_check_accepts_and_never_over_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = |args: &[&str]| {
        let mut command = program();
        command.current_dir(folder.path()).args(args);
        command.env("DEFENDER_CLIENT_SECRET", "a");
        run(command)
    };
    let printed = in_folder(&["init", "-"]).await;
    let wrote = in_folder(&["init"]).await;
    assert!(
        wrote.ok().contains("wrote proxy.toml") && wrote.stdout.contains("check"),
        "{}",
        wrote.stdout
    );
    let file = folder.path().join("proxy.toml");
    assert_eq!(fs::read_to_string(&file).unwrap(), printed.ok());
    in_folder(&["check", "--offline"]).await.ok();

    fs::write(&file, "mine").unwrap();
    let again = in_folder(&["init"]).await;
    assert_eq!(again.code, Some(1));
    assert!(
        again.stderr.contains("exists already") && again.stderr.contains("--force"),
        "{}",
        again.stderr
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    in_folder(&["init", "--force"]).await.ok();
    assert_eq!(fs::read_to_string(&file).unwrap(), printed.stdout);
    assert_eq!(in_folder(&["init", "none/proxy.toml"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn completions_and_manual_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run_with(&["completions", shell]).await;
        assert!(script.ok().contains("upstreams-only"), "{shell}");
    }
    let mut bash = Command::new("bash");
    bash.args(["-n", "-c", run_with(&["completions", "bash"]).await.ok()]);
    run(bash).await.ok();
    let page = run_with(&["man"]).await;
    assert!(page.ok().contains(".TH defender-proxy"));
    assert!(page.stdout.contains("sandbox"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_who_each_identity_is_and_what_it_reaches() {
    let upstreams = Upstreams::start().await;
    let file = configuration(&upstreams, &upstreams.config());
    let offline = with_secret(&upstreams, &["check", "--offline", "--config", &file]).await;
    assert!(
        offline.ok().contains("is valid") && offline.stdout.contains("can be read"),
        "{}",
        offline.stdout
    );
    assert_eq!(upstreams.token_requests().await, 0);

    let online = with_secret(&upstreams, &["check", "--config", &file]).await;
    let options = upstreams.sandbox.options();
    for part in [
        "Defender XDR",
        "Defender for Endpoint",
        "Graph security",
        "Machine.Read.All",
        "Incident.Read.All",
        "SecurityIncident.Read.All",
        &options.tenant,
        &options.client_id,
        "lives 59 min",
    ] {
        assert!(online.ok().contains(part), "{part}: {}", online.stdout);
    }
    assert_eq!(upstreams.token_requests().await, 3);

    upstreams.settings(serde_json::json!({"roles": []})).await;
    let powerless = with_secret(&upstreams, &["check", "--config", &file]).await;
    assert!(powerless.ok().contains("403"), "{}", powerless.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_fails_with_1_and_the_reason() {
    let upstreams = Upstreams::start().await;
    let file = configuration(&upstreams, &upstreams.config());
    let mut command = program();
    command
        .args(["check", "--config", &file])
        .env("SANDBOX_CLIENT_SECRET", "wrong-secret");
    let ended = run(command).await;
    assert_eq!(ended.code, Some(1));
    for part in ["FAILED", "7000215", "to do:"] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    // One attempt for each API, whatever the answer: more would lock the application out.
    assert_eq!(upstreams.token_requests().await, 3);

    let unset = run_with(&["check", "--offline", "--config", &file]).await;
    assert_eq!(unset.code, Some(1));
    assert!(
        unset.stdout.contains("SANDBOX_CLIENT_SECRET"),
        "{}",
        unset.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_shows_claims_and_raw_the_token_alone() {
    let upstreams = Upstreams::start().await;
    let file = configuration(&upstreams, &upstreams.config());
    let token = |args: &'static [&'static str]| {
        let args = [&["token", "--config", &file], args].concat();
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        let upstreams = &upstreams;
        async move {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            with_secret(upstreams, &args).await
        }
    };
    for (args, audience) in [
        (&[][..], "https://api.security.microsoft.com"),
        (
            &["--api", "defender-endpoint"],
            "https://api.securitycenter.microsoft.com",
        ),
        (
            &["--api", "graph", "--identity", "sandbox"],
            "https://graph.microsoft.com",
        ),
        (
            &["--audience", "https://graph.microsoft.com"],
            "https://graph.microsoft.com",
        ),
    ] {
        let claims: Value = serde_json::from_str(token(args).await.ok()).unwrap();
        assert_eq!(claims["aud"], audience, "{args:?}");
        assert_eq!(claims["appid"], upstreams.sandbox.options().client_id);
    }
    let raw = token(&["--raw"]).await;
    let text = raw.ok().strip_suffix('\n').unwrap();
    assert_eq!(text.split('.').count(), 3, "{text}");
    assert!(!text.contains(char::is_whitespace));
    assert!(!raw.stderr.contains(text));

    upstreams
        .settings(serde_json::json!({"opaque_tokens": true}))
        .await;
    assert!(token(&[]).await.ok().contains("opaque"));
    assert!(!token(&["--raw"]).await.ok().contains("opaque;"));

    let other = token(&["--identity", "other"]).await;
    assert_eq!(other.code, Some(1));
    assert!(other.stderr.contains("sandbox"), "{}", other.stderr);
}

/// A reader that has seen enough (`| head -1`) is no failure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_is_no_error() {
    let upstreams = Upstreams::start().await;
    let file = configuration(&upstreams, &upstreams.config());
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
    let file = configuration(&upstreams, &upstreams.config());
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
async fn without_any_configuration_it_says_what_it_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["serve"][..], &["check"], &["token"]] {
        let mut command = program();
        command
            .args(args)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env_remove("XDG_CONFIG_HOME");
        let ended = run(command).await;
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stdout.is_empty());
        let own = folder.path().join(".config/defender-proxy/proxy.toml");
        for part in [
            "proxy.toml and ",
            own.to_str().unwrap(),
            "defender-proxy init",
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_SECRET",
        ] {
            assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        }
    }
    let missing = run_with(&["serve", "--config", "none.toml"]).await;
    assert_eq!(missing.code, Some(78));
    assert!(
        missing.stderr.contains("none.toml") && missing.stderr.contains("init"),
        "{}",
        missing.stderr
    );
}

/// The API hosts are Microsoft's then; a corporate proxy that refuses all shows that it asks for the right one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variables_of_the_azure_sdks_are_enough() {
    let upstreams = Upstreams::start().await;
    let gate = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gate_url = format!("http://{}", gate.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = gate.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        String::from_utf8_lossy(&head[..length]).into_owned()
    });
    let command = |args: &[&str]| {
        let options = upstreams.sandbox.options();
        let mut command = program();
        command
            .args(args)
            .current_dir(upstreams.dir.path())
            .env("HOME", upstreams.dir.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("SSL_CERT_FILE", upstreams.dir.path().join("ca.pem"))
            .env("AZURE_TENANT_ID", &options.tenant)
            .env("AZURE_CLIENT_ID", &options.client_id)
            .env("AZURE_CLIENT_SECRET", &options.client_secret)
            .env("AZURE_AUTHORITY_HOST", upstreams.sandbox.login())
            .env("HTTPS_PROXY", &gate_url);
        command
    };
    let check = run(command(&["check"])).await;
    assert!(check.ok().contains("Machine.Read.All"), "{}", check.stdout);
    assert!(
        check.stdout.contains("AZURE_* variables"),
        "{}",
        check.stdout
    );

    let proxy = Proxy::spawn(
        command(&["serve", "--listen", "127.0.0.1:0"]),
        log_file(&upstreams),
    );
    let answer = proxy.get("/api/machines").await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let connect = asked.await.unwrap();
    assert!(
        connect.starts_with("CONNECT api.security.microsoft.com:443 "),
        "{connect}"
    );
    assert!(!connect.to_lowercase().contains("bearer"));
    assert_eq!(upstreams.token_requests().await, 4);
    // A certificate is not yet an alternative, and that is said rather than ignored.
    let mut certificate = command(&["check", "--offline"]);
    certificate
        .env_remove("AZURE_CLIENT_SECRET")
        .env("AZURE_CLIENT_CERTIFICATE_PATH", "app.pem");
    let ended = run(certificate).await;
    assert_eq!(ended.code, Some(78));
    assert!(
        ended.stderr.contains("AZURE_CLIENT_CERTIFICATE_PATH"),
        "{}",
        ended.stderr
    );
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

/// Serves four requests, and ends.
async fn served(upstreams: &Upstreams, args: &[&str]) -> Finished {
    let file = configuration(upstreams, &upstreams.config());
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config", &file])
        .args(args)
        .env(
            "SANDBOX_CLIENT_SECRET",
            &upstreams.sandbox.options().client_secret,
        );
    let serving = Serving::spawn(command);
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

/// Runs the program with the sandbox's secret in its environment.
async fn with_secret(upstreams: &Upstreams, args: &[&str]) -> Finished {
    let mut command = program();
    command.args(args).env(
        "SANDBOX_CLIENT_SECRET",
        &upstreams.sandbox.options().client_secret,
    );
    run(command).await
}

fn configuration(upstreams: &Upstreams, text: &str) -> String {
    let file = upstreams.dir.path().join("cli.toml");
    fs::write(&file, text).unwrap();
    path(&file)
}

fn log_file(upstreams: &Upstreams) -> PathBuf {
    upstreams.dir.path().join("cli.log")
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
