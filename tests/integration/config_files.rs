//! proxy.toml as users write it: the shipped one, and those with faults.

use std::{fs, path::Path};

use crate::{
    programs::{Finished, run, run_with},
    support::{Upstreams, program},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shipped_file_is_valid() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml");
    let mut command = program();
    command
        .args(["check", "--offline", "--config"])
        .arg(&file)
        .env("DEFENDER_CLIENT_SECRET", "a");
    let ended = run(command).await;
    assert!(ended.ok().contains("is valid"));
    assert!(ended.stderr.is_empty(), "{}", ended.stderr);
    assert_eq!(
        run_with(&["init", "-"]).await.ok(),
        fs::read_to_string(&file).unwrap()
    );

    // Its one secret is missing: the file is fine, and yet the check fails.
    let unset = run_with(&["check", "--offline", "--config", file.to_str().unwrap()]).await;
    assert_eq!(unset.code, Some(1));
    assert!(
        unset.stdout.contains("DEFENDER_CLIENT_SECRET"),
        "{}",
        unset.stdout
    );
}

/// What it shows in comments works as well: each section, and the other ways to keep a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shipped_file_shows_in_comments_is_valid_too() {
    let upstreams = Upstreams::start().await;
    let folder = upstreams.dir.path();
    fs::copy(folder.join("ca.pem"), folder.join("corp-root.pem")).unwrap();
    fs::write(folder.join("client-secret.txt"), "a\n").unwrap();
    let shipped =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.toml")).unwrap();
    let mut text = String::new();
    let mut uncommented = 0;
    for line in shipped.lines() {
        let code = line.strip_prefix("# ").filter(|code| is_code(code));
        // These need a certificate with its key, and a program.
        let left_out = ["tls = ", "credential = { secret = { command"]
            .iter()
            .any(|start| code.is_some_and(|code| code.starts_with(start)));
        match code.filter(|_| !left_out) {
            Some(code) if code.starts_with("credential") => {
                text = text.replace(
                    "credential = { secret = { env",
                    "# credential = { secret = { env",
                ) + code;
            }
            Some(code) => text += code,
            None => text += line,
        }
        uncommented += usize::from(code.is_some());
        text.push('\n');
    }
    assert!(uncommented > 20, "{text}");
    let ended = check(folder, &text).await;
    assert!(ended.ok().contains("is valid"), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("identity soc, secret: can be read"),
        "{}",
        ended.stdout
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_reported_at_once_with_key_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"
[listen]
adress = "127.0.0.1:8080"
allowed_hosts = "soc.contoso.example"

[cloud]
name = "publik"

[identity.soc]
kind = "application"
tenant = "not a tenant"
credential = { secret = { env = "DEFENDER_CLIENT_SECRET" } }

[[route]]
prefix = "api"
api = "defendre"

[upstream]
connect_timeout = 10
proxy = "http://user:hunter2@proxy.contoso.example:3128"
"#;
    let faults: [(u32, &str, &str); 9] = [
        (3, "listen.adress", "address"),
        (4, "listen.allowed_hosts", ""),
        (7, "cloud.name", "public"),
        (9, "identity.soc", "client_id"),
        (11, "identity.soc.tenant", ""),
        (15, "route[0].prefix", "/"),
        (16, "route[0].api", "defender"),
        (19, "upstream.connect_timeout", "unit"),
        (20, "upstream.proxy", "password"),
    ];
    for command in ["check", "serve", "token"] {
        let ended = run_in(folder.path(), command, text).await;
        assert_eq!(ended.code, Some(78), "{}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        for (line, key, hint) in faults {
            let mut lines = ended.stderr.lines();
            let start = format!("proxy.toml:{line}: {key}");
            let found = lines.find(|text| text.contains(&start) && text.contains(hint));
            assert!(
                found.is_some(),
                "{start} … {hint} is not in\n{}",
                ended.stderr
            );
        }
        assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_the_file_is_refused_and_never_echoed() {
    let folder = tempfile::tempdir().unwrap();
    for credential in [
        r#"credential = { secret = "SECRET" }"#,
        r#"credential = "SECRET""#,
        r#"credential = { client_secret = "SECRET" }"#,
        r#"client_secret = "SECRET""#,
        r#"secret = "SECRET""#,
        r#"credential = { secret = { value = "SECRET" } }"#,
        r#"credential = { secret = { env = "SECRET" } }"#,
        r#"credential = { secret = ["SECRET"] }"#,
        r#"credential = { secret = { command = "SECRET" } }"#,
        // No TOML at all: its parser shows the line of an error.
        "credential = SECRET",
        r#"credential = { secret = "SECRET }"#,
        r#"credential = { secret = 'SECRET" }"#,
        r#"credential = { secret = "SECRET" "#,
        r#"credential = "SECRET\q""#,
        r#"credential = { secret = { env = "A" } } SECRET"#,
        "SECRET",
        r"[SECRET",
    ] {
        let line = credential.replace("SECRET", SECRET);
        let text = format!(
            "[identity.soc]\nkind = \"application\"\ntenant = \"contoso.example\"\n\
             client_id = \"11111111-1111-1111-1111-111111111111\"\n{line}\n"
        );
        let ended = run_in(folder.path(), "check", &text).await;
        assert_eq!(
            ended.code,
            Some(78),
            "{credential}: {}{}",
            ended.stdout,
            ended.stderr
        );
        assert!(ended.stderr.contains("proxy.toml:"), "{}", ended.stderr);
        for output in [&ended.stderr, &ended.stdout] {
            assert!(
                !output.contains(SECRET) && !output.contains(&SECRET[..8]),
                "{credential} is echoed: {output}"
            );
        }
    }
}

/// What a secret of Entra ID looks like. It is none.
const SECRET: &str = "abC8Q~invented.for.this-test_0123456789~x";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relative_paths_start_at_the_file_and_the_file_is_found_in_order() {
    let upstreams = Upstreams::start().await;
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home/.config/defender-proxy");
    fs::create_dir_all(&home).unwrap();
    fs::create_dir(folder.path().join("here")).unwrap();
    let text = |name: &str| {
        upstreams
            .config()
            .replace("[identity.sandbox]", &format!("[identity.{name}]"))
            .replace(
                "{ env = \"SANDBOX_CLIENT_SECRET\" }",
                "{ file = \"secret.txt\" }",
            )
    };
    for (place, name) in [
        (&home, "own"),
        (&folder.path().join("here"), "local"),
        (&folder.path().to_owned(), "named"),
    ] {
        fs::write(place.join("proxy.toml"), text(name)).unwrap();
        fs::write(place.join("secret.txt"), "a").unwrap();
    }
    let named = folder.path().join("proxy.toml");
    let found = |variable: Option<&str>, args: &[&str]| {
        let mut command = program();
        command
            .args(["check", "--offline"])
            .args(args)
            .current_dir(folder.path().join("here"))
            .env("HOME", folder.path().join("home"))
            .env_remove("XDG_CONFIG_HOME");
        if let Some(variable) = variable {
            command.env("DEFENDER_PROXY_CONFIG", variable);
        }
        run(command)
    };
    let named = named.to_str().unwrap();
    let own = home.join("proxy.toml");
    assert!(
        found(None, &[])
            .await
            .ok()
            .contains("identity local, secret: can be read")
    );
    assert!(
        found(Some(named), &[])
            .await
            .ok()
            .contains("identity named,")
    );
    assert!(
        found(Some(named), &["--config", own.to_str().unwrap()])
            .await
            .ok()
            .contains("identity own,")
    );
    fs::remove_file(folder.path().join("here/proxy.toml")).unwrap();
    assert!(found(None, &[]).await.ok().contains("identity own,"));
    // One that was asked for must be there.
    assert_eq!(found(Some("none.toml"), &[]).await.code, Some(78));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_others_reach_needs_key_and_certificate() {
    let upstreams = Upstreams::start().await;
    let folder = tempfile::tempdir().unwrap();
    for address in [
        "0.0.0.0:0",
        "[::]:0",
        "192.0.2.1:8080",
        "[::ffff:192.0.2.1]:1",
    ] {
        let text = format!(
            "{}\n[listen]\naddress = \"{address}\"\n",
            upstreams.config()
        );
        let ended = run_in(folder.path(), "serve", &text).await;
        assert_eq!(ended.code, Some(78), "{address}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("client_key") && ended.stderr.contains("tls"),
            "{}",
            ended.stderr
        );
        let file = folder.path().join("proxy.toml");
        fs::write(&file, upstreams.config()).unwrap();
        let flag = run_with(&[
            "serve",
            "--config",
            file.to_str().unwrap(),
            "--listen",
            address,
        ])
        .await;
        assert!(matches!(flag.code, Some(1 | 2 | 78)), "{:?}", flag.code);
        assert!(flag.stderr.contains("client_key"), "{}", flag.stderr);
    }
}

/// Does a comment hold a line of TOML, rather than words?
fn is_code(text: &str) -> bool {
    let key = text.split(" = ").next().unwrap_or_default();
    text.starts_with('[')
        || (text.contains(" = ")
            && key
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
}

async fn check(folder: &Path, text: &str) -> Finished {
    run_in(folder, "check", text).await
}

/// Runs a command on a text as `./proxy.toml`; `check` without the network.
async fn run_in(folder: &Path, name: &str, text: &str) -> Finished {
    fs::write(folder.join("proxy.toml"), text).unwrap();
    let mut command = program();
    command
        .arg(name)
        .args((name == "check").then_some("--offline"))
        .current_dir(folder)
        .env("DEFENDER_CLIENT_SECRET", "a")
        .env("PROXY_CLIENT_KEY", "b");
    run(command).await
}
