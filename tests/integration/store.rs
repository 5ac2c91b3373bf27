//! Sign-ins survive what happens to files and processes.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

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
    use std::os::unix::fs::PermissionsExt as _;
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

/// Killed at any instant while it refreshes and stores, the program leaves a whole sign-in behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_kills_lose_nothing() {
    const AT_ONCE: u32 = 4;
    let machine = Machine::new().await;
    machine.signed_in().await;
    let began = Instant::now();
    machine.run(&["token"]).await.ok();
    let usual = began.elapsed().max(Duration::from_millis(20));
    let (mut early, mut late) = (0, 0);
    for round in 0..200 / AT_ONCE {
        let mut children: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let mut command = machine.command(&["token"]);
                command.stdout(Stdio::null()).stderr(Stdio::null());
                command.spawn().unwrap()
            })
            .collect();
        // All instants of the longest that one can take when all wait for the lock.
        for (nth, child) in children.iter_mut().enumerate() {
            let share = f64::from(round % 10 + 1) / 10.0;
            let wait = usual.mul_f64(share * 0.6);
            tokio::time::sleep(wait.mul_f64(if nth == 0 { 1.0 } else { 0.3 })).await;
            match child.try_wait().unwrap() {
                Some(_) => late += 1,
                None => early += 1,
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        assert!(machine.file().exists(), "round {round}");
    }
    let (kills, asked) = (early + late, machine.grants("refresh_token").await);
    eprintln!(
        "{kills} kills, {early} before the end, {asked} refreshes, {:?}",
        began.elapsed()
    );
    assert!(early > 50, "{early} of {kills} were killed in time");
    assert!(asked > 20, "only {asked} got as far as a refresh");
    let left = machine.beside();
    assert!(
        !left.iter().any(|name| name.contains("damaged")),
        "{left:?}"
    );
    machine.run(&["status"]).await.ok();
    assert_eq!(machine.grants("authorization_code").await, 1);
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
