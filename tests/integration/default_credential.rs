//! `credential = "default"`, and no file at all: the credential that the environment names, in azure-identity's order.

use std::{fs, process::Command};

use http::StatusCode;

use crate::{
    credentials::{
        INCIDENTS, PASSWORD, check, sandbox_file, serve, serves_through_a_renewal, with_credential,
        with_short_tokens,
    },
    programs::run,
    support::{Proxy, Upstreams, program},
};

type Variables = Vec<(&'static str, String)>;

/// Tenant and client id, which the configuration leaves to the environment.
fn who(upstreams: &Upstreams) -> Variables {
    let options = upstreams.sandbox.options();
    vec![
        ("AZURE_TENANT_ID", options.tenant.clone()),
        ("AZURE_CLIENT_ID", options.client_id.clone()),
    ]
}

/// Every credential that the environment can name, first to last.
fn credentials(upstreams: &Upstreams) -> [Variables; 3] {
    let token = upstreams.dir.path().join("token");
    fs::write(&token, upstreams.sandbox.federated_token()).unwrap();
    let secret = upstreams.sandbox.options().client_secret.clone();
    [
        vec![("AZURE_CLIENT_SECRET", secret)],
        vec![
            ("AZURE_CLIENT_CERTIFICATE_PATH", sandbox_file("app.p12")),
            ("AZURE_CLIENT_CERTIFICATE_PASSWORD", PASSWORD.to_owned()),
        ],
        vec![(
            "AZURE_FEDERATED_TOKEN_FILE",
            token.to_str().unwrap().to_owned(),
        )],
    ]
}

/// A file that says only that the environment knows.
fn config(upstreams: &Upstreams) -> String {
    let text = with_credential(upstreams, "'default'");
    let left_out =
        |line: &&str| !line.starts_with("tenant = ") && !line.starts_with("client_id = ");
    let lines: Vec<_> = text.lines().filter(left_out).collect();
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_credential_of_the_environment_serves_through_a_renewal() {
    for place in 0..3 {
        let upstreams = with_short_tokens().await;
        let variables = [who(&upstreams), credentials(&upstreams)[place].clone()].concat();
        let proxy = serve(&upstreams, &config(&upstreams), &variables);
        serves_through_a_renewal(&upstreams, &proxy, "token_requests").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_which_was_taken_and_why() {
    let upstreams = Upstreams::start().await;
    for (from, told) in [
        (
            0,
            [
                "took the client secret of AZURE_CLIENT_SECRET",
                "looked for first",
            ],
        ),
        (
            1,
            [
                "took the certificate of AZURE_CLIENT_CERTIFICATE_PATH",
                "no AZURE_CLIENT_SECRET",
            ],
        ),
        (
            2,
            [
                "took the federated token file of AZURE_FEDERATED_TOKEN_FILE",
                "no AZURE_CLIENT_CERTIFICATE_PATH",
            ],
        ),
    ] {
        let later = credentials(&upstreams)[from..].concat();
        let variables = [who(&upstreams), later].concat();
        let checked = check(&upstreams, &config(&upstreams), (&[], &variables)).await;
        for part in told {
            assert!(checked.ok().contains(part), "{part}: {}", checked.stdout);
        }
        // Without a file the same is taken.
        let alone = run(without_file(&upstreams, &["check"], &variables)).await;
        for part in told {
            assert!(alone.ok().contains(part), "{part}: {}", alone.stdout);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_environment_without_a_credential_is_a_fault_that_names_the_variables() {
    let upstreams = Upstreams::start().await;
    let variables = who(&upstreams);
    let from_file = check(
        &upstreams,
        &config(&upstreams),
        (&["--offline"], &variables),
    )
    .await;
    let alone = run(without_file(
        &upstreams,
        &["check", "--offline"],
        &variables,
    ))
    .await;
    for ended in [from_file, alone] {
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        for (variable, _) in credentials(&upstreams)
            .iter()
            .map(|variables| &variables[0])
        {
            assert!(
                ended.stderr.contains(variable),
                "{variable}: {}",
                ended.stderr
            );
        }
    }
}

/// The hosts of the APIs are Microsoft's then, so the token is as far as this goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_needs_no_file_for_any_of_them() {
    let upstreams = Upstreams::start().await;
    for (place, credential) in credentials(&upstreams).into_iter().enumerate() {
        let variables = [who(&upstreams), credential].concat();
        let mut command = without_file(
            &upstreams,
            &["serve", "--listen", "127.0.0.1:0"],
            &variables,
        );
        // Nothing leads out of this machine.
        command.env("HTTPS_PROXY", "http://127.0.0.1:9");
        let proxy = Proxy::spawn(command, upstreams.dir.path().join("serve.log"));
        assert_eq!(proxy.get(INCIDENTS).await.status, StatusCode::BAD_GATEWAY);
        assert_eq!(upstreams.token_requests().await, place as u64 + 1);
    }
}

/// The program in a folder without a configuration.
fn without_file(upstreams: &Upstreams, args: &[&str], variables: &Variables) -> Command {
    let mut command = program();
    command
        .args(args)
        .current_dir(upstreams.dir.path())
        .env("HOME", upstreams.dir.path())
        .env_remove("XDG_CONFIG_HOME")
        .env("SSL_CERT_FILE", upstreams.dir.path().join("ca.pem"))
        .env("AZURE_AUTHORITY_HOST", upstreams.sandbox.login())
        .envs(variables.iter().map(|(name, value)| (name, value)));
    command
}
