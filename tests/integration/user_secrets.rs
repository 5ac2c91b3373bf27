//! Nothing that the program prints while people sign in holds what signs them in, however much it logs.

use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

use crate::{
    people::{ALICE, EACH_AUDIENCE, FILE, KEY, Machine, PASSWORD},
    support::{Answer, connector},
};

/// Stands between the program and the login host, and keeps every form and every answer.
#[derive(Clone, Default)]
struct Relay {
    seen: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    /// Listens; its URL.
    async fn start(&self, machine: &Machine) -> String {
        let ca = machine.upstreams.dir.path().join("ca.pem");
        let login = machine.upstreams.sandbox.login().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = self.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (relay, login, ca) = (relay.clone(), login.clone(), ca.clone());
                tokio::spawn(async move {
                    let service = service_fn(|request| relay.pass(&login, &ca, request));
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        url
    }

    async fn pass(
        &self,
        login: &str,
        ca: &std::path::Path,
        request: Request<Incoming>,
    ) -> Result<Response<Full<bytes::Bytes>>, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        self.keep(&body);
        let mut onward = Request::builder()
            .method(head.method)
            .uri(format!("{login}{}", head.uri));
        for name in ["content-type", "accept"] {
            if let Some(value) = head.headers.get(name) {
                onward = onward.header(name, value);
            }
        }
        let client = Client::builder(TokioExecutor::new()).build(connector(ca));
        let onward = onward.body(Full::new(body)).unwrap();
        let answer = Answer::read(client.request(onward).await.unwrap()).await;
        self.keep(&answer.body);
        let mut response = Response::new(Full::new(answer.body.clone()));
        *response.status_mut() = answer.status;
        let content = answer.headers.get("content-type").cloned();
        response
            .headers_mut()
            .extend(content.map(|value| (http::header::CONTENT_TYPE, value)));
        Ok(response)
    }

    fn keep(&self, body: &[u8]) {
        let text = String::from_utf8_lossy(body).into_owned();
        self.seen.lock().unwrap().push(text);
    }

    /// The values of these fields, in forms and in JSON.
    fn secrets(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for text in self.seen.lock().unwrap().iter() {
            let form = url::form_urlencoded::parse(text.as_bytes()).into_owned();
            let json: serde_json::Map<_, _> = serde_json::from_str(text).unwrap_or_default();
            let json = json
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
            found.extend(
                form.chain(json)
                    .filter(|(name, _)| FIELDS.contains(&name.as_str())),
            );
        }
        found
    }
}

/// The fields of forms and answers that nobody may see.
const FIELDS: [&str; 7] = [
    "code",
    "code_verifier",
    "refresh_token",
    "access_token",
    "id_token",
    "device_code",
    "password",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_in_however_nothing_is_shown() {
    let password = format!(
        "sign_in = \"password\"\nusername = \"{ALICE}\"\npassword = {{ env = \"ALICE_PASSWORD\" }}\n{FILE}"
    );
    for (lines, args) in [
        (FILE, &["login", "--no-browser"][..]),
        (FILE, &["login", "--device"]),
        (password.as_str(), &["login"]),
    ] {
        let machine = Machine::with(lines).await;
        let relay = Relay::default();
        let login = machine.upstreams.sandbox.login().to_owned();
        machine.edit(&login, &relay.start(&machine).await);
        let shown = all_output(&machine, args).await;
        let secrets = relay.secrets();
        for field in ["refresh_token", "access_token", "id_token"] {
            assert!(secrets.iter().any(|(name, _)| name == field), "no {field}");
        }
        assert!(
            shown.contains("TRACE") && secrets.len() > 8,
            "{} bytes",
            shown.len()
        );
        for (name, value) in secrets
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
        {
            assert!(!shown.contains(value), "{name} is shown by {args:?}");
        }
        for value in [KEY, PASSWORD, "eyJ"] {
            assert!(!shown.contains(value), "{value} is shown by {args:?}");
        }
    }
}

/// Everything that is printed from signing in, through serving and renewing, to signing out.
async fn all_output(machine: &Machine, args: &[&str]) -> String {
    let login = machine.login_traced(args);
    let mut shown = String::new();
    if args.contains(&"--no-browser") {
        let link = login.line(|line| line.starts_with("http://") && line.contains("/authorize?"));
        let path = link.splitn(4, '/').nth(3).unwrap();
        let link = format!("{}/{path}", machine.upstreams.sandbox.login());
        machine
            .browse(&link, &format!("sandbox_user={ALICE}"))
            .await;
    } else if args.contains(&"--device") {
        let line = login.line(|line| line.contains("enter the code"));
        let code = line.split("enter the code ").nth(1).unwrap();
        let code = code.split_whitespace().next().unwrap().to_owned();
        machine.enter(&code, ("user", ALICE)).await;
    }
    let ended = login.end().await;
    ended.ok();
    shown += &(ended.stdout + &ended.stderr);
    let proxy = machine.serve_with(&["-vvv"]);
    for target in EACH_AUDIENCE {
        assert_eq!(proxy.get(target).await.status, StatusCode::OK);
    }
    machine.revoke().await;
    for target in EACH_AUDIENCE {
        shown += &proxy.get(target).await.text();
    }
    shown += &proxy.log();
    for args in [
        &["status", "-vvv"][..],
        &["token", "-vvv"],
        &["check", "-vvv"],
        &["logout", "-vvv"],
    ] {
        let ended = machine.run(args).await;
        // `token` shows claims, never the token.
        shown += &(ended.stdout + &ended.stderr);
    }
    shown
}
