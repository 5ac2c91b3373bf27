//! `status`, `logout`, and what `check` says of a sign-in.

use crate::people::{ALICE, EACH_AUDIENCE, Machine};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_who_until_when_and_for_what() {
    let machine = Machine::new().await;
    let ended = machine.run(&["status"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("nothing is kept in the encrypted file"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("run `defender-proxy login --config"),
        "{}",
        ended.stdout
    );

    machine.signed_in().await;
    let ended = machine.run(&["status"]).await;
    let text = ended.ok();
    let tenant = &machine.upstreams.sandbox.options().tenant;
    for expected in [ALICE, tenant.as_str(), "signed in since 2", "until 2"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(
        text.matches("token until 2").count(),
        EACH_AUDIENCE.len(),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logout_forgets() {
    let machine = Machine::new().await;
    machine.signed_in().await;
    let ended = machine.run(&["logout"]).await;
    assert!(ended.ok().contains("signed out"), "{ended:?}");
    assert!(!machine.file().exists());
    let ended = machine.run(&["logout"]).await;
    assert!(ended.ok().contains("nobody was signed in"), "{ended:?}");
    assert_eq!(machine.run(&["token"]).await.code, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_explains_the_store() {
    let machine = Machine::new().await;
    let ended = machine.run(&["check", "--offline"]).await;
    for expected in [
        "in a browser on this machine",
        "for machines without a keyring; whoever has the file needs the environment variable SIGN_IN_KEY",
        "it can be used, nobody is signed in",
    ] {
        assert!(
            ended.ok().contains(expected),
            "{expected}: {}",
            ended.stdout
        );
    }
    machine.signed_in().await;
    let ended = machine.run(&["check"]).await;
    assert!(
        ended
            .ok()
            .contains(&format!("{ALICE} has been signed in since")),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("Incident.Read"), "{}", ended.stdout);

    let mut command = machine.command(&["check", "--offline"]);
    command.env_remove("SIGN_IN_KEY");
    let ended = crate::programs::run(command).await;
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("SIGN_IN_KEY is not set"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_keyring_the_file_is_named() {
    let machine = Machine::with("store = \"keyring\"").await;
    for args in [
        &["check", "--offline"][..],
        &["login", "--no-browser"],
        &["status"],
    ] {
        let mut command = machine.command(args);
        command.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
        let ended = crate::programs::run(command).await;
        assert_eq!(ended.code, Some(1), "{args:?}");
        let text = ended.stdout + &ended.stderr;
        assert!(
            text.contains("the keyring can't be used") && text.contains("store = \"file\""),
            "{text}"
        );
    }
}
