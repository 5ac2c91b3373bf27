//! A real proxy in front of real stand-ins: the sandbox in this process, the program as a child.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use defender_proxy::sandbox::{Options, Sandbox, SecretSource};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) type PlainClient = Client<HttpConnector, Full<Bytes>>;

/// Nothing in the tests takes this long unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The stand-ins, and a client for their control paths.
pub(crate) struct Upstreams {
    pub(crate) sandbox: Sandbox,
    pub(crate) dir: TempDir,
    control: Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Upstreams {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let sandbox = Sandbox::start(options).await.expect("the sandbox starts");
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), sandbox.ca_pem()).unwrap();
        let control =
            Client::builder(TokioExecutor::new()).build(connector(&dir.path().join("ca.pem")));
        Self {
            sandbox,
            dir,
            control,
        }
    }

    /// A complete proxy.toml that leads here; tests append routes or replace parts of it.
    pub(crate) fn config(&self) -> String {
        let text = self.sandbox.proxy_toml(
            &self.dir.path().join("ca.pem"),
            SecretSource::Env("SANDBOX_CLIENT_SECRET"),
        );
        assert!(text.contains("[identity."), "{text}");
        text
    }

    /// Writes a configuration, and tells where.
    pub(crate) fn write_config(&self, text: &str) -> String {
        let file = self.dir.path().join("written.toml");
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let body = if body.is_null() {
            Full::default()
        } else {
            Full::from(body.to_string())
        };
        let uri = format!("{}{path}", self.sandbox.defender());
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .body(body)
            .unwrap();
        let response = self
            .control
            .request(request)
            .await
            .expect("the control path answers");
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert!(
            status.is_success(),
            "{path}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        serde_json::from_slice(&bytes).unwrap_or(Value::Null)
    }

    /// What a browser gets that opens a URL of the stand-ins, redirects not followed.
    pub(crate) async fn visit(&self, url: &str) -> Answer {
        let request = Request::get(url).body(Full::default()).unwrap();
        Answer::read(self.control.request(request).await.expect("an answer")).await
    }

    pub(crate) async fn faults(&self, faults: Value) {
        self.control(Method::POST, "/_sandbox/faults", faults).await;
    }

    pub(crate) async fn settings(&self, settings: Value) {
        self.faults(json!({ "settings": settings })).await;
    }

    pub(crate) async fn stats(&self) -> Value {
        self.control(Method::GET, "/_sandbox/stats", Value::Null)
            .await
    }

    pub(crate) async fn token_requests(&self) -> u64 {
        self.stats().await["token_requests"]["total"]
            .as_u64()
            .expect("a count")
    }

    pub(crate) async fn api_calls(&self) -> u64 {
        self.stats().await["api_calls"]["total"]
            .as_u64()
            .expect("a count")
    }

    /// What a URL of an API stand-in answers when it is asked directly, with the token of the proxy's last request.
    pub(crate) async fn direct(&self, url: &str, encoding: &str) -> Answer {
        let seen = self.api_requests().await;
        let mut tokens = seen.iter().rev();
        let token = tokens.find_map(|request| header(request, "authorization"));
        let request = Request::get(url)
            .header("authorization", token.expect("a request of the proxy"))
            .header("accept-encoding", encoding)
            .body(Full::default())
            .unwrap();
        Answer::read(self.control.request(request).await.expect("an answer")).await
    }

    /// Waits until a counter has reached a number: `token_requests=2`, `api_calls=5`, `aborted=1`, `held=name`.
    pub(crate) async fn wait(&self, what: &str) {
        self.control(Method::GET, &format!("/_sandbox/wait?{what}"), Value::Null)
            .await;
    }

    pub(crate) async fn release(&self, name: &str) {
        self.control(Method::POST, "/_sandbox/release", json!({ "name": name }))
            .await;
    }

    /// The requests that reached the stand-ins.
    pub(crate) async fn requests(&self) -> Vec<Value> {
        let log = self
            .control(Method::GET, "/_sandbox/requests", Value::Null)
            .await;
        log["requests"].as_array().expect("a list").clone()
    }

    /// The requests that reached the API stand-ins.
    pub(crate) async fn api_requests(&self) -> Vec<Value> {
        self.requests()
            .await
            .into_iter()
            .filter(|request| request["listener"] != "entra")
            .collect()
    }
}

/// The program, serving.
pub(crate) struct Proxy {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    log: PathBuf,
    pub(crate) client: PlainClient,
}

impl Proxy {
    /// Starts `serve` with a configuration, and waits for its ready line.
    pub(crate) fn start(upstreams: &Upstreams, config: &str) -> Self {
        Self::start_with(upstreams, config, &["-v"])
    }

    pub(crate) fn start_with(upstreams: &Upstreams, config: &str, args: &[&str]) -> Self {
        let (mut command, log) = serve_command(upstreams, config);
        command.args(args);
        Self::spawn(command, log)
    }

    /// Runs a command that ends in a ready line on standard output; its log goes to `log`.
    pub(crate) fn spawn(mut command: Command, log: PathBuf) -> Self {
        command
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        let Some(url) = url else {
            let status = child.wait().unwrap();
            panic!(
                "no ready line, {status}: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
        };
        // Whatever it prints later must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            child,
            url,
            log,
            client,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.url.split("://").nth(1).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn request(&self, method: Method, target: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{target}", self.url))
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        tokio::time::timeout(PATIENCE, self.client.request(request))
            .await
            .expect("no hang")
            .expect("an answer")
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.exchange(
            self.request(Method::GET, target)
                .body(Full::default())
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn post(&self, target: &str, body: impl Into<Bytes>) -> Answer {
        self.exchange(
            self.request(Method::POST, target)
                .body(Full::new(body.into()))
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn exchange(&self, request: Request<Full<Bytes>>) -> Answer {
        Answer::read(self.send(request).await).await
    }

    /// A raw connection.
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.unwrap()
    }

    /// Sends bytes and reads until the proxy closes (ask for `Connection: close`).
    pub(crate) async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        // A reset after the answer is an end as well.
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .expect("no hang");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for the program's end, without blocking the sandbox that runs in this process.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        let mut child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
        tokio::task::spawn_blocking(move || child.wait().unwrap().code())
            .await
            .unwrap()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status_field("VmRSS:")
    }

    /// The highest resident memory since [`Proxy::reset_peak`], in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.status_field("VmHWM:")
    }

    pub(crate) fn reset_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
    }

    fn status_field(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "--- the proxy's log\n{}",
                fs::read_to_string(&self.log).unwrap_or_default()
            );
        }
    }
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Reads a response to its end.
    pub(crate) async fn read(response: Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = tokio::time::timeout(PATIENCE, body.collect())
            .await
            .expect("no hang")
            .expect("a whole body");
        Self {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Is it the proxy's own, with this `Proxy-Status` error?
    pub(crate) fn is_own(&self, error: &str) -> bool {
        self.header("content-type") == "application/problem+json"
            && self.header("proxy-status") == format!("defender-proxy; error={error}")
    }
}

/// A header of a request that a stand-in recorded.
pub(crate) fn header<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let headers = request["headers"].as_array().unwrap();
    let field = headers.iter().find(|field| field[0] == name)?;
    field[1].as_str()
}

/// The stand-ins and one proxy in front, as most tests need them.
pub(crate) async fn start() -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let proxy = Proxy::start(&upstreams, &upstreams.config());
    (upstreams, proxy)
}

/// Asks for a plain-HTTP URL of this machine.
pub(crate) async fn get(url: &str) -> Answer {
    let client: PlainClient = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::get(url).body(Full::default()).unwrap();
    let response = tokio::time::timeout(PATIENCE, client.request(request));
    Answer::read(response.await.expect("no hang").expect("an answer")).await
}

/// `serve` with a configuration, and the file for its log.
pub(crate) fn serve_command(upstreams: &Upstreams, config: &str) -> (Command, PathBuf) {
    let file = tempfile::Builder::new()
        .suffix(".toml")
        .tempfile_in(upstreams.dir.path())
        .unwrap();
    let (_, path) = file.keep().unwrap();
    fs::write(&path, config).unwrap();
    let mut command = program();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--config"])
        .arg(&path);
    command.env(
        "SANDBOX_CLIENT_SECRET",
        &upstreams.sandbox.options().client_secret,
    );
    (command, path.with_extension("log"))
}

/// The program under test, without what the environment says about identities and proxies.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_defender-proxy"));
    // A sandbox that a test kills can't remove its folder; it shall lie where `cargo clean` finds it.
    command.env("TMPDIR", env!("CARGO_TARGET_TMPDIR"));
    for (name, _) in std::env::vars() {
        if name.starts_with("AZURE_")
            || name.to_lowercase().ends_with("_proxy")
            || name.starts_with("DEFENDER_PROXY")
            || ["IDENTITY_", "IMDS_", "MSI_"]
                .iter()
                .any(|start| name.starts_with(start))
            || name == "RUST_LOG"
        {
            command.env_remove(name);
        }
    }
    command
}

/// The value of a field of a recorded request.
pub(crate) fn field(request: &Value, name: &str) -> Option<String> {
    let fields = request["headers"].as_array().expect("a list");
    let found = fields.iter().find(|field| field[0] == name)?;
    Some(found[1].as_str().unwrap().to_owned())
}

/// Trusts the certificates of a file, and offers both versions of HTTP.
pub(crate) fn connector(ca: &std::path::Path) -> hyper_rustls::HttpsConnector<HttpConnector> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = builder.with_tls_config(trusting(ca)).https_only();
    builder.enable_all_versions().build()
}

/// The same, offering HTTP/1.1 alone.
pub(crate) fn http1_connector(ca: &std::path::Path) -> hyper_rustls::HttpsConnector<HttpConnector> {
    let builder = hyper_rustls::HttpsConnectorBuilder::new();
    let builder = builder.with_tls_config(trusting(ca)).https_only();
    builder.enable_http1().build()
}

fn trusting(ca: &std::path::Path) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(ca).unwrap())
        .unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}
