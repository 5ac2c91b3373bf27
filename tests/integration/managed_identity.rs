//! Managed identities: tokens from the platform, with the traps of each.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use defender_proxy::{
    auth::{
        TokenKey,
        entra::Ask,
        identity::ManagedIdentity,
        managed::{Endpoint, Platform},
    },
    config::UpstreamConfig,
    sandbox::Options,
    upstream::Transport,
};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    credentials::{
        INCIDENTS, check, serve, served_with, serves_through_a_renewal, shows_no_secret,
        with_credential, with_short_tokens,
    },
    support::{Proxy, Upstreams, serve_command},
};

const CREDENTIAL: &str = "{ managed_identity = true }";
const HEADER: &str = "sandbox-identity-header";
/// No Azure platform reads this variable.
const NOTHING: (&str, &str) = ("SANDBOX_NOTHING", "1");

/// The sandbox's configuration for a managed identity, which needs no tenant and no client id.
fn config(upstreams: &Upstreams, credential: &str) -> String {
    let config = with_credential(upstreams, credential);
    let needless =
        |line: &&str| !line.starts_with("tenant = ") && !line.starts_with("client_id = ");
    let lines: Vec<_> = config.lines().filter(needless).collect();
    lines.join("\n")
}

/// The variables by which the program finds a platform.
fn imds(upstreams: &Upstreams) -> [(&'static str, String); 2] {
    let host = upstreams.sandbox.managed_identity().to_owned();
    [
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", host),
        (NOTHING.0, NOTHING.1.to_owned()),
    ]
}

fn app_service(upstreams: &Upstreams) -> [(&'static str, String); 2] {
    let url = format!("{}/msi/token", upstreams.sandbox.managed_identity());
    [
        ("IDENTITY_ENDPOINT", url),
        ("IDENTITY_HEADER", HEADER.to_owned()),
    ]
}

fn arc(upstreams: &Upstreams) -> [(&'static str, String); 2] {
    let host = upstreams.sandbox.managed_identity();
    let url = format!("{host}/arc/metadata/identity/oauth2/token");
    [
        ("IDENTITY_ENDPOINT", url),
        ("IMDS_ENDPOINT", host.to_owned()),
    ]
}

async fn managed_requests(upstreams: &Upstreams) -> Value {
    upstreams.stats().await["managed_requests"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_virtual_machine_serves_through_a_renewal() {
    let upstreams = with_short_tokens().await;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &imds(&upstreams),
    );
    serves_through_a_renewal(&upstreams, &proxy, "managed_requests").await;
    let requests = managed_requests(&upstreams).await;
    assert_eq!(requests["by"][0]["source"], "imds", "{requests}");
    assert_eq!(requests["by"][0]["identity"], "", "{requests}");
    assert_eq!(
        requests["by"][0]["resource"],
        "https://api.security.microsoft.com"
    );
    // Entra ID itself is never asked.
    assert_eq!(upstreams.token_requests().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn app_service_serves_through_a_renewal() {
    let upstreams = with_short_tokens().await;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &app_service(&upstreams),
    );
    serves_through_a_renewal(&upstreams, &proxy, "managed_requests").await;
    let requests = managed_requests(&upstreams).await;
    assert_eq!(requests["by"][0]["source"], "app_service", "{requests}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_assigned_identity_is_selected() {
    let upstreams = Upstreams::start().await;
    let options = upstreams.sandbox.options();
    let client_id = &options.managed_client_id;
    let named = config(
        &upstreams,
        &format!("{{ managed_identity = {{ client_id = '{client_id}' }} }}"),
    );
    let beside = config(&upstreams, CREDENTIAL).replace(
        "kind = \"application\"",
        &format!("kind = 'application'\nclient_id = '{client_id}'"),
    );
    let object = config(
        &upstreams,
        &format!(
            "{{ managed_identity = {{ object_id = '{}' }} }}",
            options.managed_object_id
        ),
    );
    let resource = config(
        &upstreams,
        &format!(
            "{{ managed_identity = {{ resource_id = '{}' }} }}",
            options.managed_resource_id
        ),
    );
    for text in [named, beside, object, resource] {
        for platform in [imds(&upstreams), app_service(&upstreams)] {
            let proxy = serve(&upstreams, &text, &platform);
            served_with(&upstreams, &proxy).await;
            let checked = check(&upstreams, &text, (&[], &platform)).await;
            assert!(
                checked.ok().contains(&format!("app {client_id}")),
                "{}",
                checked.stdout
            );
        }
    }

    let other = config(&upstreams, "{ managed_identity = { object_id = 'other' } }");
    let proxy = serve(&upstreams, &other, &imds(&upstreams));
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    for part in ["no such managed identity", "assign the identity"] {
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_asked_again_and_what_does_not_is_not() {
    let upstreams = Upstreams::start().await;
    upstreams
        .faults(json!({"managed": [{"status": 404}, {"status": 410}, {"status": 500}]}))
        .await;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &imds(&upstreams),
    );
    served_with(&upstreams, &proxy).await;
    assert_eq!(managed_requests(&upstreams).await["total"], 4);

    upstreams
        .control(http::Method::POST, "/_sandbox/reset", Value::Null)
        .await;
    upstreams
        .faults(json!({"managed": [{"status": 429, "retry_after": 30}]}))
        .await;
    let busy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &imds(&upstreams),
    );
    let answer = busy.get(INCIDENTS).await;
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("status 429"), "{}", answer.text());
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!((29..=31).contains(&wait), "{wait}");
    assert_eq!(managed_requests(&upstreams).await["total"], 1);

    upstreams
        .control(http::Method::POST, "/_sandbox/reset", Value::Null)
        .await;
    upstreams
        .faults(json!({"managed": [{"status": 403}, {"html": 200}]}))
        .await;
    let refused = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &imds(&upstreams),
    );
    let answer = refused.get(INCIDENTS).await;
    assert_eq!(
        answer.status,
        StatusCode::INTERNAL_SERVER_ERROR,
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("status 403"), "{}", answer.text());
    assert_eq!(managed_requests(&upstreams).await["total"], 1);
}

/// The platform would give the same token again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_is_not_asked_for_again() {
    let upstreams = Upstreams::start().await;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &imds(&upstreams),
    );
    served_with(&upstreams, &proxy).await;
    upstreams.faults(json!({"revoke_tokens": true})).await;
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.header("proxy-status").is_empty(), "upstream's own");
    assert_eq!(managed_requests(&upstreams).await["total"], 1);
    assert_eq!(upstreams.api_calls().await, 2);
}

/// Neither by the variables nor by the configuration: the tokens are for this machine alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_http_proxy_sees_the_requests() {
    let upstreams = Upstreams::start().await;
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gate.local_addr().unwrap());
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        let connection = gate.accept().await;
        seen.store(true, Ordering::Release);
        drop(connection);
    });
    let text = format!("{}\nproxy = '{url}'\n", config(&upstreams, CREDENTIAL));
    let variables =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"].map(|name| (name, &url));
    // The address of the real metadata service, which isn't loopback. Nobody is there, or somebody who has no identity.
    let checked = check(&upstreams, &text, (&[], &variables)).await;
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(checked.stdout.contains("FAILED"), "{}", checked.stdout);
    assert!(!asked.load(Ordering::Acquire), "the HTTP proxy was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_file_of_arc_outside_its_folder_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        arc_key_folder: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let upstreams = Upstreams::start_with(options).await;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, CREDENTIAL),
        &arc(&upstreams),
    );
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.text().contains("the key file that Azure Arc names"),
        "{}",
        answer.text()
    );
    // The challenge was not answered.
    assert_eq!(managed_requests(&upstreams).await["total"], 1);
    let mut headers = upstreams.requests().await;
    headers.retain(|request| crate::support::header(request, "authorization").is_some());
    assert!(headers.is_empty(), "{headers:?}");
}

/// The program takes no other folder than the agent's own, so this is the library's half of it, over real sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arcs_challenge_is_answered_with_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        arc_key_folder: Some(dir.path().to_owned()),
        ..Options::default()
    };
    let upstreams = Upstreams::start_with(options).await;
    let [(_, url), _] = arc(&upstreams);
    let transport = Transport::new(&UpstreamConfig::default()).unwrap();
    let fetch = async |keys: PathBuf| {
        let platform = Platform::new(Endpoint::arc(&url, keys), transport.direct_client());
        let key = TokenKey {
            identity: Arc::from("soc"),
            tenant: "contoso.example".parse().unwrap(),
            audience: "https://api.security.microsoft.com".parse().unwrap(),
        };
        platform
            .fetch(&ManagedIdentity::SystemAssigned, &key, Ask::default())
            .await
    };
    let token = fetch(dir.path().to_owned()).await.unwrap();
    assert!(token.is_live());
    assert_eq!(managed_requests(&upstreams).await["total"], 2);

    let elsewhere = tempfile::tempdir().unwrap();
    assert!(fetch(elsewhere.path().to_owned()).await.is_err());
    assert_eq!(managed_requests(&upstreams).await["total"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_the_platform_without_asking_it() {
    let upstreams = Upstreams::start().await;
    let text = config(&upstreams, CREDENTIAL);
    for (variables, code, told) in [
        (
            imds(&upstreams),
            0,
            "managed identity: by the instance metadata service",
        ),
        (
            app_service(&upstreams),
            0,
            "managed identity: by App Service",
        ),
        (arc(&upstreams), 0, "managed identity: by Azure Arc"),
        (
            [
                ("MSI_ENDPOINT", "http://127.0.0.1:1".to_owned()),
                ("MSI_SECRET", "S3cret".to_owned()),
            ],
            1,
            "Azure Machine Learning are not supported",
        ),
    ] {
        let checked = check(&upstreams, &text, (&["--offline"], &variables)).await;
        assert_eq!(checked.code, Some(code), "{}", checked.stdout);
        assert!(checked.stdout.contains(told), "{told}: {}", checked.stdout);
        assert!(!checked.stdout.contains("S3cret"));
    }
    assert_eq!(managed_requests(&upstreams).await["total"], 0);
}

/// One token of the platform proves the partner's application in all customers' tenants.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_managed_identity_proves_a_partners_app_for_every_customer() {
    let upstreams = Upstreams::start().await;
    let options = upstreams.sandbox.options();
    let [one, two] = [0, 1].map(|at| options.customers[at].clone());
    let text = config(&upstreams, CREDENTIAL).replace(
        "kind = \"application\"",
        &format!(
            "kind = 'partner'\nclient_id = '{}'\ncustomers = {{ one = '{one}', two = '{two}' }}",
            options.client_id
        ),
    );
    let proxy = serve(&upstreams, &text, &imds(&upstreams));
    for customer in ["one", "two"] {
        let answer = proxy.get(&format!("/t/{customer}{INCIDENTS}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    assert_eq!(upstreams.token_requests().await, 2);
    let requests = managed_requests(&upstreams).await;
    assert_eq!(requests["total"], 1, "{requests}");
    assert_eq!(requests["by"][0]["resource"], "api://AzureADTokenExchange");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_token_nor_header_is_ever_shown() {
    let upstreams = Upstreams::start().await;
    let (mut command, log) = serve_command(&upstreams, &config(&upstreams, CREDENTIAL));
    command
        .arg("-vvv")
        .env("RUST_LOG", "trace")
        .envs(app_service(&upstreams));
    let proxy = Proxy::spawn(command, log);
    assert_eq!(proxy.get(INCIDENTS).await.status, StatusCode::OK);
    upstreams.faults(json!({"managed": [{"html": 403}]})).await;
    assert_eq!(
        proxy.get("/api/machines").await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    let log = proxy.log();
    assert!(log.contains("TRACE"));
    shows_no_secret(&log, &[HEADER]);
}
