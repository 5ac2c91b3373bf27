//! The commands that need no network: usage, help, and what `init`, `completions` and `man` write.

use std::{fs, process::Command};

use crate::{
    programs::{run, run_with},
    support::program,
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
