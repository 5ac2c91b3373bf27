//! `check` and `token`: who the program signs in as, and where it finds that.

use std::path::PathBuf;

use serde_json::Value;

use crate::{
    programs::{Finished, run, run_with},
    support::{Proxy, Upstreams, program},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_who_each_identity_is_and_what_it_reaches() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.write_config(&upstreams.config());
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
    let file = upstreams.write_config(&upstreams.config());
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
    let file = upstreams.write_config(&upstreams.config());
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

fn log_file(upstreams: &Upstreams) -> PathBuf {
    upstreams.dir.path().join("cli.log")
}
