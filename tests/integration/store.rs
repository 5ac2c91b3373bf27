//! Sign-ins survive what happens to files and processes.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Instant};

use http::StatusCode;
use serde_json::json;

use crate::{
    people::{EACH_AUDIENCE, INCIDENTS, KEY, Machine},
    support::PATIENCE,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_holds_nothing_readable() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    let bytes = fs::read(machine.file()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.starts_with("defender-proxy sign-in 1\n"));
    assert!(!text.contains("alice") && !text.contains(KEY) && !text.contains("refresh"));
    let mode = fs::metadata(machine.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_set_aside_and_a_wrong_key_harms_nothing() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    let whole = fs::read(machine.file()).unwrap();

    let mut command = machine.command(&["token"]);
    command.env("SIGN_IN_KEY", "another key");
    let ended = crate::programs::run(command).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("sealed with another key"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read(machine.file()).unwrap(), whole);
    machine.run(&["token"]).await.ok();

    fs::write(machine.file(), &whole[..whole.len() / 2]).unwrap();
    let proxy = machine.serve();
    assert_eq!(
        proxy.get(INCIDENTS).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(
        proxy.log().contains("was damaged and has been set aside"),
        "{}",
        proxy.log()
    );
    assert!(
        machine
            .beside()
            .iter()
            .any(|name| name.starts_with("alice.sign-in.damaged-"))
    );
    machine.signed_in().await;
    machine.becomes(&proxy, StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_identity_is_left_alone() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    let whole = fs::read(machine.file()).unwrap();
    machine.edit("[identity.alice]", "[identity.bob]");
    for command in ["token", "status", "logout"] {
        let ended = machine.run(&[command]).await;
        assert_eq!(ended.code, Some(1), "{command}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("is another identity's"), "{command}: {said}");
        assert_eq!(fs::read(machine.file()).unwrap(), whole, "{command}");
    }
    assert_eq!(machine.grants("refresh_token").await, 0);
    machine.signed_in().await;
    machine.run(&["token"]).await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_without_a_name_lies_in_the_state_folder() {
    let machine = Machine::with("store = \"file\"\nstore_key = { env = \"SIGN_IN_KEY\" }").await;
    machine.signed_in().await;
    let folder = machine.upstreams.dir.path().join("defender-proxy");
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let names = fs::read_dir(folder).unwrap();
    let names: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| name.starts_with("alice-")),
        "{names:?}"
    );
    assert!(
        names.iter().any(|name| name.ends_with(".sign-in")),
        "{names:?}"
    );
    machine.run(&["token"]).await.ok();
}

/// Killed at any instant between Entra's answer and the end, the program leaves a whole sign-in behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing() {
    const KILLS: u32 = 200;
    let machine = Machine::new().await;
    machine.signed_in().await;
    let began = Instant::now();
    let (before, after) = tokio::join!(time_of(&machine), async {
        machine.upstreams.wait("token_requests=2").await;
        Instant::now()
    });
    // From the question to the end: Entra's answer, encrypting, writing, renaming.
    let rest = before.saturating_duration_since(after);
    let (mut asked, mut in_time) = (2, 0);
    for kill in 0..KILLS {
        let mut command = machine.command(&["token"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        asked += 1;
        machine
            .upstreams
            .wait(&format!("token_requests={asked}"))
            .await;
        tokio::time::sleep(rest.mul_f64(f64::from(kill % 20) / 16.0)).await;
        in_time += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let left = machine.beside();
    eprintln!(
        "{in_time} of {KILLS} killed in time, in {:?}: {left:?}",
        began.elapsed()
    );
    assert!(in_time > KILLS / 2, "{in_time}");
    assert!(
        !left.iter().any(|name| name.contains("damaged")),
        "{left:?}"
    );
    machine.run(&["status"]).await.ok();
    assert_eq!(machine.grants("authorization_code").await, 1);
    assert!(machine.grants("refresh_token").await > u64::from(KILLS));
}

/// When one run has ended.
async fn time_of(machine: &Machine) -> Instant {
    machine.run(&["token"]).await.ok();
    Instant::now()
}

/// At a server that ends the old refresh token with its use, each renewal must follow from the last, whoever makes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_proxies_and_a_login_lose_no_rotation() {
    let machine = Machine::new().await;
    let strict = json!({"refresh_tokens": "strict", "token_lifetime": 1});
    machine.upstreams.settings(strict).await;
    machine.signed_in().await;
    let proxies = [machine.serve(), machine.serve()];
    let pressing = async {
        let began = Instant::now();
        let mut answers = 0;
        while machine.grants("refresh_token").await < 40 {
            assert!(began.elapsed() < PATIENCE, "{answers} answers");
            for proxy in &proxies {
                for target in EACH_AUDIENCE {
                    let answer = proxy.get(target).await;
                    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
                    answers += 1;
                }
            }
        }
        answers
    };
    let signing_in = async {
        machine.upstreams.wait("token_requests=10").await;
        machine.signed_in().await;
    };
    let (answers, ()) = tokio::join!(pressing, signing_in);
    eprintln!("{answers} answers, all good");
    for proxy in &proxies {
        assert!(
            !proxy.log().contains("the sign-in has ended"),
            "{}",
            proxy.log()
        );
    }
    assert_eq!(machine.grants("authorization_code").await, 2);
}
