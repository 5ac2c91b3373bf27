//! Signing in: from nobody to `200`, whichever way; and what ends a sign-in and what doesn't.

use http::StatusCode;
use serde_json::json;

use crate::{
    people::{ALICE, EACH_AUDIENCE, FILE, INCIDENTS, Machine, get},
    support::{Answer, Proxy},
};

/// Every audience is served with one sign-in, through one renewal of each.
async fn all_is_well(machine: &Machine, proxy: &Proxy) {
    for target in EACH_AUDIENCE {
        let answer = proxy.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text());
    }
    let before = machine.grants("refresh_token").await;
    machine
        .upstreams
        .faults(json!({"revoke_tokens": true}))
        .await;
    for target in EACH_AUDIENCE {
        let answer = proxy.get(target).await;
        assert_eq!(answer.status, StatusCode::OK, "{target}: {}", answer.text());
    }
    assert_eq!(machine.grants("refresh_token").await, before + 3);
}

/// The honest answer to a client while nobody is signed in.
#[track_caller]
fn names_login(answer: &Answer) {
    assert_eq!(
        answer.status,
        StatusCode::SERVICE_UNAVAILABLE,
        "{}",
        answer.text()
    );
    assert!(answer.is_own("proxy_internal_response"), "{answer:?}");
    assert!(answer.headers.get("www-authenticate").is_none());
    let problem = answer.json();
    let next = problem["next"].as_str().unwrap();
    assert!(
        next.starts_with("run `defender-proxy login --config /"),
        "{next}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_browser() {
    let machine = Machine::new().await;
    let proxy = machine.serve();
    names_login(&proxy.get(INCIDENTS).await);
    assert_eq!(machine.upstreams.token_requests().await, 0);

    let login = machine.login(&["--no-browser"]);
    let link = login.line(|line| line.starts_with("https://"));
    // What is not the answer doesn't end the wait.
    let home = link.split("redirect_uri=").nth(1).unwrap();
    let home = home
        .split('&')
        .next()
        .unwrap()
        .replace("%3A", ":")
        .replace("%2F", "/");
    for stray in [
        "/favicon.ico",
        "/?code=stolen&state=guessed",
        "/?error=access_denied",
    ] {
        assert_eq!(
            get(&format!("{home}{stray}")).await.status,
            StatusCode::NOT_FOUND
        );
    }
    let page = machine
        .browse(&link, &format!("sandbox_user={ALICE}"))
        .await;
    assert!(
        page.text().contains("You can close this window"),
        "{}",
        page.text()
    );
    assert!(
        page.text().contains(&format!("signed in as {ALICE}")),
        "{}",
        page.text()
    );
    let ended = login.end().await;
    assert!(
        ended.ok().contains(&format!("signed in as {ALICE}")),
        "{ended:?}"
    );

    // It takes effect without a restart.
    machine.becomes(&proxy, StatusCode::OK).await;
    all_is_well(&machine, &proxy).await;
    assert_eq!(machine.grants("authorization_code").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_browser_and_denied() {
    let machine = Machine::new().await;
    let login = machine.login(&["--no-browser"]);
    let link = login.line(|line| line.starts_with("https://"));
    let page = machine.browse(&link, "sandbox_error=access_denied").await;
    assert!(
        page.text().contains("Nobody was signed in"),
        "{}",
        page.text()
    );
    assert!(
        page.text().contains("access_denied") && page.text().contains("You can close this window")
    );
    let ended = login.end().await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("access_denied") && ended.stderr.contains("run the command again"),
        "{}",
        ended.stderr
    );
    assert!(machine.beside().iter().all(|name| name != "alice.sign-in"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_device() {
    let machine = Machine::with(&format!("sign_in = \"device\"\n{FILE}")).await;
    let login = machine.login(&[]);
    let code = code(&login.line(|line| line.contains("enter the code")));
    machine.upstreams.wait("device_polls=2").await;
    machine.enter(&code, ("user", ALICE)).await;
    assert!(login.end().await.ok().contains(ALICE));
    all_is_well(&machine, &machine.serve()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_device_slower_when_told_so() {
    let machine = Machine::new().await;
    machine
        .upstreams
        .settings(json!({"device_slow_down": true}))
        .await;
    let login = machine.login(&["--device"]);
    let code = code(&login.line(|line| line.contains("enter the code")));
    machine.upstreams.wait("device_polls=2").await;
    machine.enter(&code, ("user", ALICE)).await;
    login.end().await.ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_device_and_declined_or_too_late() {
    for (action, word) in [
        ("decline", "authorization_declined"),
        ("expire", "expired_token"),
    ] {
        let machine = Machine::new().await;
        let login = machine.login(&["--device"]);
        let code = code(&login.line(|line| line.contains("enter the code")));
        machine.enter(&code, ("action", action)).await;
        let ended = login.end().await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended.stderr.contains(word) && ended.stderr.contains("run the command again"),
            "{}",
            ended.stderr
        );
    }
}

/// The code in Entra's message.
pub(crate) fn code(message: &str) -> String {
    let rest = message.split("enter the code ").nth(1).unwrap();
    rest.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_password_nobody_is_asked() {
    let lines = format!(
        "sign_in = \"password\"\nusername = \"{ALICE}\"\npassword = {{ env = \"ALICE_PASSWORD\" }}"
    );
    for store in [FILE, "store = \"memory\""] {
        let machine = Machine::with(&format!("{lines}\n{store}")).await;
        let proxy = machine.serve();
        all_is_well(&machine, &proxy).await;
        assert_eq!(machine.grants("password").await, 1);
        assert!(
            proxy.log().contains("allows no second factor"),
            "{}",
            proxy.log()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_password_the_end_of_a_sign_in_needs_nobody_either() {
    let machine = Machine::with(&format!(
        "sign_in = \"password\"\nusername = \"{ALICE}\"\npassword = {{ env = \"ALICE_PASSWORD\" }}\n{FILE}"
    ))
    .await;
    let proxy = machine.serve();
    for passwords in 1..=2 {
        assert_eq!(proxy.get(INCIDENTS).await.status, StatusCode::OK);
        assert_eq!(machine.grants("password").await, passwords);
        machine.revoke().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_sent_once() {
    let lines = format!(
        "sign_in = \"password\"\nusername = \"{ALICE}\"\npassword = {{ env = \"WRONG\" }}\n{FILE}"
    );
    let machine = Machine::with(&lines).await;
    let mut command = machine.command(&["status"]);
    command.env("WRONG", "wrong~password");
    let ended = crate::programs::run(command).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("AADSTS50126")
            && ended.stdout.contains("check `username` and `password`"),
        "{}",
        ended.stdout
    );
    assert_eq!(machine.grants("password").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_in_memory_serve_asks_once() {
    let machine = Machine::with("sign_in = \"device\"\nstore = \"memory\"").await;
    let ended = machine.run(&["login"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("store = \"memory\""),
        "{}",
        ended.stderr
    );

    for command in ["logout", "status"] {
        let ended = machine.run(&[command]).await;
        assert_eq!(ended.code, Some(1), "{command}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("stop the proxy to sign out"), "{said}");
    }

    let proxy = machine.serve();
    machine.upstreams.wait("device_polls=1").await;
    for target in EACH_AUDIENCE {
        assert_eq!(
            proxy.get(target).await.status,
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
    let log = proxy.log();
    let prompts: Vec<_> = log
        .lines()
        .filter(|line| line.contains("enter the code"))
        .collect();
    assert_eq!(prompts.len(), 1, "{log}");
    machine.enter(&code(prompts[0]), ("user", ALICE)).await;
    machine.becomes(&proxy, StatusCode::OK).await;
    all_is_well(&machine, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_is_told_as_it_is_and_mended_by_login() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    let proxy = machine.serve();
    assert_eq!(proxy.get(INCIDENTS).await.status, StatusCode::OK);
    machine.revoke().await;

    let answer = proxy.get(INCIDENTS).await;
    names_login(&answer);
    assert_eq!(answer.json()["aadsts"], 50_173, "{}", answer.text());
    let asked = machine.upstreams.token_requests().await;
    for target in EACH_AUDIENCE {
        names_login(&proxy.get(target).await);
    }
    // The refresh token is gone, so nobody asks Entra ID with it.
    assert_eq!(machine.upstreams.token_requests().await, asked);
    assert_eq!(machine.run(&["status"]).await.code, Some(1));

    machine.signed_in().await;
    machine.becomes(&proxy, StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_does_not_end_a_sign_in() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    for fault in [
        json!({"status": 503}),
        json!({"status": 500}),
        json!({"reset": "before-headers"}),
        json!({"truncated_json": true}),
        json!({"aadsts": 65001}),
        json!({"aadsts": 53003}),
        json!({"aadsts": 50076}),
        json!({"aadsts": 90033}),
    ] {
        machine.upstreams.faults(json!({"token": [fault]})).await;
        let ended = machine.run(&["token"]).await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        machine.run(&["token"]).await.ok();
    }
    // All that with what was kept.
    assert_eq!(machine.grants("authorization_code").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_stands_until_somebody_signs_in() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    machine
        .upstreams
        .faults(json!({"token": [{"aadsts": 50076}]}))
        .await;
    let proxy = machine.serve();
    let answer = proxy.get(INCIDENTS).await;
    names_login(&answer);
    assert_eq!(answer.json()["aadsts"], 50_076);
    let asked = machine.upstreams.token_requests().await;
    // Longer than the cache remembers a user's failure.
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    names_login(&proxy.get(INCIDENTS).await);
    assert_eq!(machine.upstreams.token_requests().await, asked);

    machine.signed_in().await;
    machine.becomes(&proxy, StatusCode::OK).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_without_a_new_refresh_token_leaves_the_old_one() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    machine
        .upstreams
        .settings(json!({"refresh_tokens": "none"}))
        .await;
    for _ in 0..3 {
        machine.run(&["token"]).await.ok();
    }
    assert_eq!(machine.grants("refresh_token").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_users_one_is_named() {
    let bob = "[identity.bob]\nkind = \"user\"\ntenant = \"contoso.example\"\n\
        client_id = \"5a9db0c5-0000-4000-8000-0000000000cc\"\nstore = \"memory\"\nsign_in = \"device\"\n\
        [[route]]\nprefix = \"/\"\napi = \"defender\"\nidentity = \"alice\"\n";
    let machine = Machine::with(&format!("{FILE}\n{bob}")).await;
    let ended = machine.run(&["login"]).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stderr.contains("--identity: alice, bob"),
        "{}",
        ended.stderr
    );
    let next = machine.serve().get(INCIDENTS).await.json()["next"].to_string();
    assert!(
        next.contains("defender-proxy login --identity alice --config"),
        "{next}"
    );

    let login = machine.login(&["--identity", "alice", "--device", "--log-format", "json"]);
    let line = login.line(|line| line.contains("enter the code"));
    machine.enter(&code(&line), ("user", ALICE)).await;
    let ended = login.end().await;
    ended.ok();
    for line in ended.stderr.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect(line);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_is_not_public_is_told_from_a_missing_credential() {
    let machine = Machine::new().await;
    machine
        .upstreams
        .faults(json!({"token": [{"aadsts": 7_000_218}]}))
        .await;
    let login = machine.login(&["--no-browser"]);
    let link = login.line(|line| line.starts_with("https://"));
    let page = machine
        .browse(&link, &format!("sandbox_user={ALICE}"))
        .await;
    let ended = login.end().await;
    assert_eq!(ended.code, Some(1));
    for text in [page.text(), ended.stderr] {
        assert!(text.contains("AADSTS7000218"), "{text}");
        assert!(text.contains("Allow public client flows"), "{text}");
    }
}
