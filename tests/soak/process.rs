//! The two programs: the stand-ins, and the proxy in front.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::relay::Relay;

/// `sandbox --upstreams-only`, with a relay in front of the login host and of the API host.
pub(crate) struct StandIns {
    _program: Program,
    pub(crate) login: Relay,
    pub(crate) api: Relay,
    config: String,
    control: Client<HttpConnector, Full<Bytes>>,
    control_url: String,
}

impl StandIns {
    pub(crate) async fn start(binary: &str) -> Self {
        let mut command = Command::new(binary);
        command.args(["sandbox", "--upstreams-only"]);
        let (program, lines) = Program::start(command, |line| line.starts_with("# listening on "));
        let port = |key: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(key));
            let port = line.and_then(|rest| rest.trim_matches('"').rsplit_once(':'));
            port.expect("an origin").1.parse::<u16>().expect("a port")
        };
        let (login_port, api_port) = (port("login = "), port("defender_xdr = "));
        let (login, api) = (Relay::to(login_port).await, Relay::to(api_port).await);
        let control = lines.iter().find_map(|line| {
            line.trim_start_matches("#   ")
                .strip_prefix("AZURE_POD_IDENTITY_AUTHORITY_HOST=")
        });
        // The stand-ins' links name their own origins: the other routes stay as they are, so that the proxy knows them.
        let printed = lines.join("\n");
        let (cloud, rest) = printed.split_once("\n\n").expect("the cloud comes first");
        let cloud = cloud
            .replace(&format!(":{login_port}\""), &format!(":{}\"", login.port))
            .replace(&format!(":{api_port}\""), &format!(":{}\"", api.port));
        let config = format!("{cloud}\n\n{rest}");
        Self {
            _program: program,
            login,
            api,
            config,
            control: Client::builder(TokioExecutor::new()).build_http(),
            control_url: control.expect("a control origin").to_owned(),
        }
    }

    /// Nothing goes wrong, and tokens live for seconds.
    pub(crate) async fn calm(&self) {
        self.control("reset", json!({})).await;
        let settings = json!({"token_lifetime": TOKEN_LIFE, "page_size": 5});
        self.control("faults", json!({ "settings": settings }))
            .await;
    }

    pub(crate) async fn control(&self, what: &str, body: Value) {
        let request = Request::post(format!("{}/_sandbox/{what}", self.control_url));
        let request = request.body(Full::from(body.to_string())).unwrap();
        let answer = self.control.request(request).await.expect("an answer");
        assert_eq!(answer.status(), 200, "{what} {body}");
    }
}

/// `serve`.
pub(crate) struct Proxy {
    program: Program,
    pub(crate) url: String,
    _dir: TempDir,
}

impl Proxy {
    pub(crate) fn start(binary: &str, stand_ins: &StandIns) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("proxy.toml");
        fs::write(&config, &stand_ins.config).unwrap();
        let mut command = Command::new(binary);
        command.args(["serve", "-qq", "--listen", "127.0.0.1:0", "--config"]);
        command.arg(config);
        let (program, lines) = Program::start(command, |line| line.starts_with("listening on "));
        let url = lines.last().and_then(|line| line.split(' ').next_back());
        Self {
            url: url.expect("a URL").to_owned(),
            program,
            _dir: dir,
        }
    }

    /// What it holds now; nothing where the system has no `/proc`.
    pub(crate) fn usage(&self) -> Usage {
        let folder = format!("/proc/{}", self.program.0.id());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Usage {
            memory: field("VmRSS:").unwrap_or_default(),
            threads: field("Threads:").unwrap_or_default(),
            files: fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count) as u64,
        }
    }

    /// Asks it to end; the code it ends with.
    pub(crate) async fn stop(mut self) -> Option<i32> {
        let pid = self.program.0.id().to_string();
        Command::new("kill").arg(pid).status().expect("kill");
        let ended = tokio::task::spawn_blocking(move || self.program.0.wait());
        ended.await.unwrap().expect("an end").code()
    }
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Resident memory, in KiB.
    pub(crate) memory: u64,
    pub(crate) threads: u64,
    /// Open file descriptors.
    pub(crate) files: u64,
}

struct Program(Child);

impl Program {
    /// Starts it; returns what it printed up to and with the line that `is_last`.
    fn start(mut command: Command, is_last: impl Fn(&str) -> bool) -> (Self, Vec<String>) {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = Self(command.spawn().expect("the program starts"));
        let mut printed = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| is_last(line)) {
            lines.push(printed.next().expect("a ready line").unwrap());
        }
        // Whatever it prints later must find a reader.
        std::thread::spawn(move || printed.for_each(drop));
        (program, lines)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// In seconds: a renewal is due all the time.
const TOKEN_LIFE: u64 = 12;
