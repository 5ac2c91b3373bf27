//! People who sign in: the program's `login`, and what they do in their browser.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
};

use http::{Method, Request, StatusCode};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;

use crate::{
    programs::{Finished, run},
    support::{Answer, PATIENCE, PlainClient, Proxy, Upstreams, connector, program},
};

pub(crate) const ALICE: &str = "alice@contoso.example";
pub(crate) const PASSWORD: &str = "sandbox-password-do-not-use";
/// What the tests' files are sealed with.
pub(crate) const KEY: &str = "sign-in-key-5f1c0a7e";

/// A machine on which Alice signs in.
pub(crate) struct Machine {
    pub(crate) upstreams: Upstreams,
    pub(crate) config: PathBuf,
}

impl Machine {
    /// With these lines in `[identity.alice]`.
    pub(crate) async fn with(lines: &str) -> Self {
        let upstreams = Upstreams::start().await;
        upstreams.settings(json!({"device_interval": 0})).await;
        let text = user_config(&upstreams, lines);
        let config = upstreams.dir.path().join("alice.toml");
        fs::write(&config, text).unwrap();
        Self { upstreams, config }
    }

    /// With a browser, and an encrypted file.
    pub(crate) async fn new() -> Self {
        Self::with(FILE).await
    }

    /// The file with Alice's sign-in.
    pub(crate) fn file(&self) -> PathBuf {
        self.upstreams.dir.path().join("alice.sign-in")
    }

    /// What lies beside the file: name by name, sorted.
    pub(crate) fn beside(&self) -> Vec<String> {
        let entries = fs::read_dir(self.upstreams.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names
            .filter(|name| name.starts_with("alice.sign-in"))
            .collect();
        names.sort();
        names
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = program();
        command
            .args(args)
            .arg("--config")
            .arg(&self.config)
            .env("SIGN_IN_KEY", KEY)
            .env("ALICE_PASSWORD", PASSWORD)
            .env("XDG_STATE_HOME", self.upstreams.dir.path());
        command
    }

    pub(crate) async fn run(&self, args: &[&str]) -> Finished {
        run(self.command(args)).await
    }

    pub(crate) fn serve(&self) -> Proxy {
        self.serve_with(&["-v"])
    }

    pub(crate) fn serve_with(&self, args: &[&str]) -> Proxy {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.args(args);
        let log = tempfile::Builder::new()
            .suffix(".log")
            .tempfile_in(self.upstreams.dir.path());
        let (_, log) = log.unwrap().keep().unwrap();
        Proxy::spawn(command, log)
    }

    pub(crate) fn login(&self, args: &[&str]) -> Login {
        Login::spawn(self.command(&[&["login"], args].concat()))
    }

    /// The same, logging all that it can.
    pub(crate) fn login_traced(&self, args: &[&str]) -> Login {
        let mut command = self.command(&[args, &["-vvv"]].concat());
        command.env("RUST_LOG", "trace");
        Login::spawn(command)
    }

    /// Replaces a text of the configuration.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        fs::write(&self.config, text.replace(from, to)).unwrap();
    }

    /// Signs Alice in with a browser, as every test may begin.
    pub(crate) async fn signed_in(&self) {
        let login = self.login(&["--no-browser"]);
        let link = login.line(|line| line.starts_with("https://"));
        self.browse(&link, &format!("sandbox_user={ALICE}")).await;
        login.end().await.ok();
    }

    /// Opens the link as a browser does, decides, and follows the redirect home. The last page.
    pub(crate) async fn browse(&self, link: &str, decision: &str) -> Answer {
        let home = self.visit(&format!("{link}&{decision}")).await;
        assert_eq!(home.status, StatusCode::FOUND, "{}", home.text());
        get(home.header("location")).await
    }

    /// A page of the login host.
    async fn visit(&self, url: &str) -> Answer {
        let ca = self.upstreams.dir.path().join("ca.pem");
        let client: Client<_, Full<bytes::Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector(&ca));
        let request = Request::get(url).body(Full::default()).unwrap();
        Answer::read(client.request(request).await.unwrap()).await
    }

    /// Enters a device code, as Alice or to decline.
    pub(crate) async fn enter(&self, code: &str, what: (&str, &str)) {
        let body = json!({"user_code": code, what.0: what.1});
        self.upstreams
            .control(Method::POST, "/_sandbox/device", body)
            .await;
    }

    pub(crate) async fn revoke(&self) {
        self.upstreams
            .control(Method::POST, "/_sandbox/revoke", json!({"user": ALICE}))
            .await;
    }

    /// Requests until one is answered with this status; the program finds out by itself within some seconds.
    pub(crate) async fn becomes(&self, proxy: &Proxy, status: StatusCode) -> Answer {
        let waiting = async {
            loop {
                let answer = proxy.get(INCIDENTS).await;
                if answer.status == status {
                    return answer;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it becomes so")
    }

    /// How many token requests of a grant there were.
    pub(crate) async fn grants(&self, grant: &str) -> u64 {
        let stats = self.upstreams.stats().await;
        stats["token_requests"]["by_grant"][grant]
            .as_u64()
            .unwrap_or(0)
    }
}

/// The sandbox's configuration with a user in place of the application.
pub(crate) fn user_config(upstreams: &Upstreams, lines: &str) -> String {
    let text = upstreams.config();
    let (before, rest) = text.split_once("[identity.sandbox]").unwrap();
    let (_, after) = rest.split_once("[upstream]").unwrap();
    let options = upstreams.sandbox.options();
    let (tenant, client) = (&options.tenant, &options.public_client_id);
    format!(
        "{before}[identity.alice]\nkind = \"user\"\ntenant = \"{tenant}\"\nclient_id = \"{client}\"\n{lines}\n[upstream]{after}"
    )
}

pub(crate) async fn get(url: &str) -> Answer {
    let client: PlainClient = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Full::default()).unwrap();
    Answer::read(client.request(request).await.expect("an answer")).await
}

/// A `login` that waits for a person.
pub(crate) struct Login {
    child: Child,
    lines: mpsc::Receiver<String>,
    /// The lines that were waited for, and those before them.
    seen: Mutex<Vec<String>>,
}

impl Login {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self {
            child,
            lines,
            seen: Mutex::default(),
        }
    }

    /// Waits for such a line of standard error.
    pub(crate) fn line(&self, is_wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("such a line");
            self.seen.lock().unwrap().push(line.clone());
            if is_wanted(&line) {
                return line;
            }
        }
    }

    /// How it ends, with all of standard error.
    pub(crate) async fn end(mut self) -> Finished {
        let stdout = self.child.stdout.take().unwrap();
        let (mut child, lines) = (self.child, self.lines);
        let ended = tokio::task::spawn_blocking(move || {
            let stdout = std::io::read_to_string(stdout).unwrap();
            (child.wait().unwrap().code(), stdout)
        });
        let (code, stdout) = tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("no hang")
            .unwrap();
        let mut stderr = self.seen.into_inner().unwrap();
        stderr.extend(lines.iter());
        Finished {
            code,
            stdout,
            stderr: stderr.join("\n"),
        }
    }
}

pub(crate) const INCIDENTS: &str = "/api/incidents";
/// One target of each audience.
pub(crate) const EACH_AUDIENCE: [&str; 3] =
    [INCIDENTS, "/api/machines", "/v1.0/security/incidents"];
/// An encrypted file for Alice's sign-in.
pub(crate) const FILE: &str =
    "store = \"file\"\nstore_file = \"alice.sign-in\"\nstore_key = { env = \"SIGN_IN_KEY\" }";
