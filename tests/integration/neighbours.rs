//! Other users and programs of the same machine, and what web pages have fetched ahead.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    process::{Command, Output},
};

use crate::{
    guarding::{ask, assert_untouched, start},
    programs::{run, run_with},
    support::{self, Proxy, Upstreams, program, serve_command},
    wire::tls_keys,
};

/// Users with no rights of their own; only root can become them.
const NOBODY: u32 = 65534;
const SOMEBODY: u32 = 65533;

/// A command of another user, with nothing but `PATH` in its environment.
fn command(user: Option<u32>, words: &[&str]) -> Command {
    let mut command = match user {
        None => Command::new(words[0]),
        Some(user) => {
            let mut command = Command::new("setpriv");
            command.args([format!("--reuid={user}"), format!("--regid={user}")]);
            command.args(["--clear-groups", words[0]]);
            command
        }
    };
    command.args(&words[1..]);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    command
}

async fn output(mut command: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended.await.unwrap()
}

/// Is this root, and can others run the program where it lies? Otherwise only this user's part is tested.
async fn may_become_others() -> bool {
    let program = env!("CARGO_BIN_EXE_defender-proxy");
    let version = command(Some(NOBODY), &[program, "--version"]);
    let ran = tokio::task::spawn_blocking(|| { version }.output());
    ran.await
        .unwrap()
        .is_ok_and(|output| output.status.success())
}

fn set(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `serve` of a user, at a unix socket that the file system lets everybody use.
fn serve_at_socket(upstreams: &Upstreams, user: Option<u32>) -> (Proxy, String) {
    let config = upstreams.write_config(&upstreams.config());
    let dir = upstreams.dir.path();
    set(dir, 0o755);
    set(dir.join("ca.pem"), 0o644);
    set(&config, 0o644);
    let folder = dir.join("socket");
    fs::create_dir(&folder).unwrap();
    set(&folder, 0o755);
    chown(&folder, user, user).unwrap();
    let path = format!("{}/s", folder.display());
    let program = env!("CARGO_BIN_EXE_defender-proxy");
    let listen = format!("unix:{path}");
    let words = [program, "serve", "--config", &config, "--listen", &listen];
    let mut serve = command(user, &words);
    let secret = &upstreams.sandbox.options().client_secret;
    serve.env("SANDBOX_CLIENT_SECRET", secret);
    let proxy = Proxy::spawn(serve, dir.join("log"));
    set(&path, 0o777);
    (proxy, path)
}

/// The status that a user gets at a unix socket; "000" where there is no answer.
async fn ask_socket(user: Option<u32>, path: &str) -> String {
    let to = ["--unix-socket", path, "http://localhost/api/incidents"];
    let curl = [
        "curl",
        "-s",
        "-m",
        "30",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
    ];
    let output = output(command(user, &[&curl[..], &to].concat())).await;
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_serves_its_owner_whatever_its_mode() {
    let upstreams = Upstreams::start().await;
    let (proxy, path) = serve_at_socket(&upstreams, None);
    assert_eq!(ask_socket(None, &path).await, "200");
    if !may_become_others().await {
        return;
    }
    for _ in 0..3 {
        assert_eq!(ask_socket(Some(NOBODY), &path).await, "000");
    }
    assert_eq!(ask_socket(None, &path).await, "200");
    assert_eq!(upstreams.api_calls().await, 2);
    let log = proxy.log();
    assert_eq!(log.matches("user 65534 was refused").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_users_proxy_serves_them_and_root_and_shows_nobody_its_memory() {
    if !may_become_others().await {
        return;
    }
    let upstreams = Upstreams::start().await;
    let (proxy, path) = serve_at_socket(&upstreams, Some(NOBODY));
    for (user, expected) in [
        (Some(NOBODY), "200"),
        (None, "200"),
        (Some(SOMEBODY), "000"),
        (Some(NOBODY), "200"),
    ] {
        assert_eq!(ask_socket(user, &path).await, expected, "{user:?}");
    }
    assert_eq!(upstreams.api_calls().await, 3);

    let process = format!("/proc/{}", proxy.pid());
    for user in [NOBODY, SOMEBODY] {
        for look in [
            ["head", "-c1", "environ"],
            ["head", "-c1", "mem"],
            ["head", "-c1", "maps"],
            ["ls", "-A", "fd"],
        ] {
            let [program, option, file] = look;
            let path = format!("{process}/{file}");
            let output = output(command(Some(user), &[program, option, &path])).await;
            assert!(!output.status.success(), "{user} {look:?} {output:?}");
            assert!(output.stdout.is_empty(), "{user} {look:?} {output:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_no_core_dumps() {
    let (_upstreams, proxy) = support::start().await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let core = limits.lines().find(|line| line.contains("core file size"));
    let core: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(core, ["0", "0"], "{limits}");
}

/// A configuration with a file of every kind; all of them tight.
fn every_file(upstreams: &Upstreams) -> String {
    let dir = upstreams.dir.path();
    let tls = tls_keys(dir);
    for (name, content) in [("secret", "s"), ("key", "k"), ("token", "a.b.c")] {
        fs::write(dir.join(name), content).unwrap();
    }
    fs::write(dir.join("program"), "#!/bin/sh\necho secret\n").unwrap();
    symlink(dir.join("secret"), dir.join("link")).unwrap();
    let own = "credential = { secret = { env = \"SANDBOX_CLIENT_SECRET\" } }";
    let config = upstreams.config();
    assert!(config.contains(own), "{config}");
    let config = config.replace(own, "credential = { secret = { file = \"link\" } }");
    let identity = |name: &str, credential: &str| {
        format!(
            "[identity.{name}]\nkind = \"application\"\ntenant = \"{tenant}\"\nclient_id = \"{client}\"\n\
             credential = {{ {credential} }}\n[[route]]\nprefix = \"/{name}/\"\napi = \"defender\"\nidentity = \"{name}\"\n",
            tenant = upstreams.sandbox.options().tenant,
            client = upstreams.sandbox.options().client_id,
        )
    };
    let listen = format!("[listen]\nclient_key = {{ file = \"key\" }}\n{tls}");
    let program = format!("secret = {{ command = [\"{}/program\"] }}", dir.display());
    let program = identity("run", &program);
    let federated = identity("federated", "federated_token_file = \"token\"");
    // One route is nobody's by itself once there are several identities.
    let config = config.replace(
        "api = \"defender\"",
        "api = \"defender\"\nidentity = \"sandbox\"",
    );
    let path = upstreams.write_config(&format!("{config}\n{listen}\n{federated}\n{program}"));
    for name in [
        "secret",
        "key",
        "token",
        "listen.key",
        "written.toml",
        "ca.pem",
    ] {
        set(dir.join(name), 0o600);
    }
    set(dir.join("program"), 0o700);
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_others_may_read_or_change_are_reported() {
    let upstreams = Upstreams::start().await;
    let dir = upstreams.dir.path();
    let config = every_file(&upstreams);
    let check = async || run_with(&["check", "--offline", "--config", &config]).await;
    let finding = |line: &&str| line.contains("other users");
    let tight = check().await;
    assert!(!tight.stderr.contains("other users"), "{}", tight.stderr);
    for (file, mode, usual, said) in [
        ("secret", 0o640, 0o600, "chmod 600 "),
        ("secret", 0o602, 0o600, "chmod go-w "),
        ("key", 0o604, 0o600, "chmod 600 "),
        ("token", 0o644, 0o600, "chmod 600 "),
        ("listen.key", 0o644, 0o600, "chmod 600 "),
        ("written.toml", 0o620, 0o600, "chmod go-w "),
        ("written.toml", 0o646, 0o600, "chmod go-w "),
        ("ca.pem", 0o666, 0o600, "chmod go-w "),
        ("program", 0o777, 0o700, "chmod go-w "),
    ] {
        set(dir.join(file), mode);
        let loose = check().await;
        set(dir.join(file), usual);
        let found: Vec<_> = loose.stderr.lines().filter(finding).collect();
        // Of a link the link is named, as that is what the configuration names.
        let file = if file == "secret" { "link" } else { file };
        let command = format!("{said}{}", dir.join(file).display());
        assert_eq!(found.len(), 1, "{file} {mode:o} {}", loose.stderr);
        assert!(found[0].contains(&command), "{file} {mode:o} {found:?}");
        assert_eq!(loose.code, tight.code, "{file} {mode:o}");
    }
    // Readable is enough for a configuration, which holds no secret.
    set(dir.join("written.toml"), 0o644);
    assert!(!check().await.stderr.contains("other users"));

    set(dir, 0o777);
    let loose = check().await;
    let serving = Proxy::start(&upstreams, &fs::read_to_string(&config).unwrap());
    set(dir, 0o700);
    let folder = format!("chmod go-w {}", dir.display());
    assert!(
        loose.stderr.matches(&folder).count() > 5,
        "{}",
        loose.stderr
    );
    assert!(serving.log().contains(&folder), "{}", serving.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_where_others_may_put_theirs_is_reported() {
    let upstreams = Upstreams::start().await;
    let folder = upstreams.dir.path().join("open");
    fs::create_dir(&folder).unwrap();
    set(&folder, 0o1777);
    let config = upstreams.write_config(&upstreams.config());
    let mut serve = program();
    let listen = format!("unix:{}/s", folder.display());
    serve.args(["serve", "--config", &config, "--listen", &listen]);
    let proxy = Proxy::spawn(serve, upstreams.dir.path().join("log"));
    let log = proxy.log();
    assert!(log.contains("may put a socket of theirs"), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_way_to_write_an_address_opens_the_network() {
    let upstreams = Upstreams::start().await;
    for (address, code) in [
        ("0.0.0.0:0", 78),
        ("[::]:0", 78),
        ("[::ffff:0.0.0.0]:0", 78),
        ("[::ffff:192.0.2.1]:0", 78),
        ("[::0.0.0.1]:65536", 2),
        ("192.0.2.1:0", 78),
        ("169.254.1.1:0", 78),
        ("[fe80::1]:0", 78),
        ("[::2]:0", 78),
        ("128.0.0.1:0", 78),
        // Names are not looked up, and there is one form of an address.
        ("localhost.contoso.example:0", 2),
        ("localhost.:0", 2),
        ("0:0", 2),
        ("127.1:0", 2),
        ("2130706433:0", 2),
        (":0", 2),
        ("*:0", 2),
        ("unix:", 2),
    ] {
        let (mut serve, _) = serve_command(&upstreams, &upstreams.config());
        let args: Vec<_> = serve.get_args().map(ToOwned::to_owned).collect();
        serve = program();
        serve.args(args.iter().map(|arg| {
            if arg == "127.0.0.1:0" {
                address.as_ref()
            } else {
                arg.as_os_str()
            }
        }));
        let ended = run(serve).await;
        assert_eq!(ended.code, Some(code), "{address}: {}", ended.stderr);
        assert!(ended.stdout.is_empty(), "{address}: {}", ended.stdout);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_has_fetched_ahead_goes_nowhere() {
    let (upstreams, proxy) = start("").await;
    let none = ("sec-fetch-site", "none");
    for fields in [
        // As Chromium sends it for speculation rules of any page.
        vec![
            none,
            ("sec-purpose", "prefetch"),
            ("sec-fetch-mode", "navigate"),
        ],
        vec![none, ("sec-purpose", "prefetch;prerender")],
        vec![("sec-purpose", "prefetch;anonymous-client-ip")],
        vec![("purpose", "prefetch")],
        vec![none, ("referer", "https://contoso.example/")],
        vec![none, ("sec-fetch-mode", "no-cors")],
        vec![none, ("sec-fetch-dest", "webidentity")],
        vec![
            none,
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "iframe"),
        ],
    ] {
        let answer = ask(&proxy, "GET", "/api/incidents", &fields).await;
        assert_eq!(answer.status, 403, "{fields:?}");
        assert!(answer.is_own("http_request_denied"), "{answer:?}");
    }
    assert_untouched(&upstreams).await;
    let typed = [
        none,
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(
        ask(&proxy, "GET", "/api/incidents", &typed).await.status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_the_client_key_locks_nobody_out() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.dir.path().join("client-key");
    fs::write(&file, "open sesame").unwrap();
    let listen = format!("[listen]\nclient_key = {{ file = {file:?} }}\n");
    let proxy = Proxy::start(&upstreams, &format!("{}\n{listen}", upstreams.config()));
    let right = "open sesame";
    let guesses = (0..=right.len() * 2).map(|length| right.repeat(2)[..length].to_owned());
    let guesses: Vec<_> = guesses.filter(|guess| guess != right).collect();
    for guess in &guesses {
        let answer = ask(&proxy, "GET", "/api/incidents", &[("x-proxy-key", guess)]).await;
        assert_eq!(answer.status, 401, "{guess}");
    }
    assert_untouched(&upstreams).await;
    let answer = ask(&proxy, "GET", "/api/incidents", &[("x-proxy-key", right)]).await;
    assert_eq!(answer.status, 200);
}
