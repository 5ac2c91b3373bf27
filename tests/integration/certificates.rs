//! Applications that prove who they are by a certificate.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use defender_proxy::sandbox::Options;
use http::StatusCode;
use serde_json::json;

use crate::{
    credentials::{
        INCIDENTS, PASSWORD, check, sandbox_file, serve, served_with, serves_through_a_renewal,
        shows_no_secret, with_credential, with_short_tokens,
    },
    support::{Proxy, Upstreams, serve_command},
};

const NONE: [(&str, &str); 0] = [];
const WITH_PASSWORD: [(&str, &str); 1] = [("APP_PASSWORD", PASSWORD)];

fn certificate(file: &str, more: &str) -> String {
    format!("{{ certificate = {{ file = '{file}'{more} }} }}")
}

/// A new certificate for the key of app.pem, from and until so many days from now.
fn lasting(from: i64, until: i64) -> String {
    let pem = fs::read_to_string(sandbox_file("app.pem")).unwrap();
    let key = &pem[pem.find("-----BEGIN PRIVATE").unwrap()..];
    let key = rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(key, &rcgen::PKCS_RSA_SHA256).unwrap();
    let day = |days: i64| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = i64::try_from(now.as_secs()).unwrap() + days * 24 * 3600;
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.try_into().unwrap())
    };
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    (params.not_before, params.not_after) = (day(from), day(until));
    format!(
        "{}{}",
        params.self_signed(&key).unwrap().pem(),
        key.serialize_pem()
    )
}

/// Replaces a file at once, as tools do that know of readers.
fn replace(file: &Path, content: &str) {
    let new = file.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_serves_through_a_renewal() {
    let upstreams = with_short_tokens().await;
    let config = with_credential(&upstreams, &certificate(&sandbox_file("app.pem"), ""));
    let proxy = serve(&upstreams, &config, &NONE);
    serves_through_a_renewal(&upstreams, &proxy, "token_requests").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_file_and_both_algorithms_prove_the_app() {
    let upstreams = Upstreams::start().await;
    for (file, more) in [
        ("app.pem", ", algorithm = 'RS256'"),
        ("app-encrypted.pem", ", password = { env = 'APP_PASSWORD' }"),
        (
            "app-3des.pem",
            ", password = { env = 'APP_PASSWORD' }, algorithm = 'PS256'",
        ),
        ("app.p12", ", password = { env = 'APP_PASSWORD' }"),
        (
            "app-legacy.p12",
            ", password = { env = 'APP_PASSWORD' }, algorithm = 'RS256'",
        ),
        ("app-empty.p12", ""),
    ] {
        let config = with_credential(&upstreams, &certificate(&sandbox_file(file), more));
        let proxy = serve(&upstreams, &config, &WITH_PASSWORD);
        served_with(&upstreams, &proxy).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_rotates_while_it_serves() {
    let next = lasting(-1, 20);
    let options = Options {
        certificates: vec![
            fs::read_to_string(sandbox_file("app.pem")).unwrap(),
            next.clone(),
        ],
        ..Options::default()
    };
    let upstreams = Upstreams::start_with(options).await;
    upstreams.settings(json!({"token_lifetime": 4})).await;
    let file = upstreams.dir.path().join("app.pem");
    fs::copy(sandbox_file("app.pem"), &file).unwrap();
    let config = with_credential(&upstreams, &certificate("app.pem", ""));
    let proxy = serve(&upstreams, &config, &NONE);
    let first = served_with(&upstreams, &proxy).await;

    // Half of the new one: the last key goes on signing.
    fs::write(&file, &next[..next.len() - 100]).unwrap();
    upstreams.wait("token_requests=2").await;
    let mut second = served_with(&upstreams, &proxy).await;
    while second == first {
        second = served_with(&upstreams, &proxy).await;
    }
    assert!(proxy.log().contains("the last one goes on signing"));

    replace(&file, &next);
    let fetched = upstreams.token_requests().await;
    upstreams
        .wait(&format!("token_requests={}", fetched + 1))
        .await;
    while served_with(&upstreams, &proxy).await == second {}
    let log = proxy.log();
    assert!(log.contains("the certificate was rotated"), "{log}");
    assert!(
        log.contains("the certificate ends soon") && log.contains("days_left=19"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_not_shown_to_entra_id() {
    let upstreams = Upstreams::start().await;
    fs::write(upstreams.dir.path().join("app.pem"), lasting(-20, -1)).unwrap();
    let config = with_credential(&upstreams, &certificate("app.pem", ""));
    let proxy = serve(&upstreams, &config, &NONE);
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        answer.is_own("proxy_configuration_error"),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("it expired on "),
        "{}",
        answer.text()
    );
    assert!(
        answer.text().contains("make a new certificate"),
        "{}",
        answer.text()
    );
    assert_eq!(upstreams.token_requests().await, 0);

    let offline = check(&upstreams, &config, (&["--offline"], &NONE)).await;
    assert_eq!(offline.code, Some(1));
    assert!(offline.stdout.contains("expired on"), "{}", offline.stdout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_the_app_does_not_know_is_refused_with_what_to_do() {
    let upstreams = Upstreams::start().await;
    fs::write(upstreams.dir.path().join("app.pem"), lasting(-1, 100)).unwrap();
    let config = with_credential(&upstreams, &certificate("app.pem", ""));
    let proxy = serve(&upstreams, &config, &NONE);
    let answer = proxy.get(INCIDENTS).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer.json()["aadsts"], 700_027);
    assert!(
        answer.text().contains("upload the certificate"),
        "{}",
        answer.text()
    );
    // Asking again with the same certificate could not succeed.
    assert_eq!(upstreams.token_requests().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assertion_outside_its_time_is_signed_once_more() {
    let upstreams = Upstreams::start().await;
    let late = json!({"aadsts": 700_024});
    upstreams.faults(json!({"token": [late]})).await;
    let config = with_credential(&upstreams, &certificate(&sandbox_file("app.pem"), ""));
    let proxy = serve(&upstreams, &config, &NONE);
    served_with(&upstreams, &proxy).await;
    assert_eq!(upstreams.token_requests().await, 2);

    upstreams.faults(json!({"token": [late, late, late]})).await;
    let wrong_clock = serve(&upstreams, &config, &NONE);
    let answer = wrong_clock.get(INCIDENTS).await;
    assert_eq!(answer.json()["aadsts"], 700_024, "{}", answer.text());
    assert!(answer.text().contains("clock"), "{}", answer.text());
    assert_eq!(upstreams.token_requests().await, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_tells_whose_the_certificate_is_and_when_it_ends() {
    let upstreams = Upstreams::start().await;
    let config = with_credential(&upstreams, &certificate(&sandbox_file("app.pem"), ""));
    for flags in [&["--offline"][..], &[]] {
        let checked = check(&upstreams, &config, (flags, &NONE)).await;
        for part in [
            "CN=defender-proxy sandbox app",
            "expires 2126-10-29",
            "can sign",
        ] {
            assert!(checked.ok().contains(part), "{part}: {}", checked.stdout);
        }
    }
    assert_eq!(upstreams.token_requests().await, 3);

    fs::write(upstreams.dir.path().join("app.pem"), lasting(-1, 20)).unwrap();
    let config = with_credential(&upstreams, &certificate("app.pem", ""));
    let near = check(&upstreams, &config, (&["--offline"], &NONE)).await;
    assert!(
        near.ok().contains("WARNING: 19 days left"),
        "{}",
        near.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_finds_files_that_can_not_sign_without_the_network() {
    let upstreams = Upstreams::start().await;
    let wrong = [("APP_PASSWORD", "S3cret")];
    for (file, more, variables, told) in [
        ("missing.pem".to_owned(), "", &NONE[..], "cannot read"),
        (
            sandbox_file("README.md"),
            "",
            &NONE,
            "neither PEM nor PKCS#12",
        ),
        (sandbox_file("signing-key.pem"), "", &NONE, "no certificate"),
        (sandbox_file("app-encrypted.pem"), "", &NONE, "add password"),
        (
            sandbox_file("app-traditional.pem"),
            "",
            &NONE,
            "openssl pkcs8 -topk8",
        ),
        (
            sandbox_file("app.p12"),
            ", password = { env = 'APP_PASSWORD' }",
            &wrong,
            "doesn't open it",
        ),
        (
            sandbox_file("app.p12"),
            ", password = { env = 'APP_PASSWORD' }",
            &NONE,
            "APP_PASSWORD is not set",
        ),
    ] {
        let config = with_credential(&upstreams, &certificate(&file, more));
        let checked = check(&upstreams, &config, (&["--offline"], variables)).await;
        assert_eq!(checked.code, Some(1), "{told}: {}", checked.stdout);
        assert!(
            checked.stdout.contains("FAILED") && checked.stdout.contains(told),
            "{told}: {}",
            checked.stdout
        );
        assert!(!checked.stdout.contains("S3cret"), "{}", checked.stdout);
    }
    assert_eq!(upstreams.token_requests().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_key_nor_password_nor_assertion_is_ever_shown() {
    let upstreams = Upstreams::start().await;
    let more = ", password = { env = 'APP_PASSWORD' }";
    let config = with_credential(
        &upstreams,
        &certificate(&sandbox_file("app-encrypted.pem"), more),
    );
    let (mut command, log) = serve_command(&upstreams, &config);
    command
        .arg("-vvv")
        .env("RUST_LOG", "trace")
        .envs(WITH_PASSWORD);
    let proxy = Proxy::spawn(command, log);
    upstreams
        .faults(json!({"token": [{"aadsts": 700_027}]}))
        .await;
    assert_eq!(
        proxy.get(INCIDENTS).await.status,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(proxy.get("/api/machines").await.status, StatusCode::OK);
    let log = proxy.log();
    assert!(log.contains("TRACE"), "{log}");
    shows_no_secret(&log, &[]);
}
