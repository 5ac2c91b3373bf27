//! Entra ID and the APIs as a test scripts them, for answers that the sandbox doesn't give and to see what exactly was asked.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Proxy, Upstreams};

/// Entra ID and the APIs in one, on plain HTTP: says what a test wants it to, and shows what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Script {
    /// The next answers of the token endpoint and of the APIs; then each says yes.
    tokens: Arc<Mutex<VecDeque<String>>>,
    apis: Arc<Mutex<VecDeque<String>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) authorization: String,
    pub(crate) body: Vec<u8>,
}

impl Script {
    pub(crate) async fn start() -> (Self, Proxy) {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let config = format!(
            "[cloud]\nname = \"custom\"\nlogin = \"{origin}\"\ndefender_xdr = \"{origin}\"\n\
             defender_endpoint = \"{origin}\"\ngraph = \"{origin}\"\n\n[identity.sandbox]\nkind = \"application\"\n\
             tenant = \"contoso.example\"\nclient_id = \"5a9db0c5-0000-4000-8000-0000000000aa\"\n\
             credential = {{ secret = {{ env = \"SANDBOX_CLIENT_SECRET\" }} }}\n"
        );
        let proxy = Proxy::start(&upstreams, &config);
        let script = Self::default();
        let server = script.clone();
        // Until the test's runtime ends; it keeps the folder with the proxy's log.
        tokio::spawn(async move {
            let _folder = upstreams;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(server.clone().exchange(stream));
            }
        });
        (script, proxy)
    }

    async fn exchange(self, mut stream: TcpStream) {
        let Some(seen) = read(&mut stream).await else {
            return;
        };
        let answer = self.answer(seen);
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.shutdown().await;
    }

    fn answer(&self, seen: Seen) -> String {
        let is_token = seen.target.ends_with("/token");
        let queue = if is_token { &self.tokens } else { &self.apis };
        self.seen.lock().unwrap().push(seen);
        let next = queue.lock().unwrap().pop_front();
        next.unwrap_or_else(|| {
            let token = format!("token-{}", self.forms().len());
            let token = json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token});
            let list = json!({"value": []});
            response(200, "", if is_token { &token } else { &list })
        })
    }

    /// The calls of the APIs so far.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.seen_by(|target| !target.ends_with("/token"))
    }

    fn seen_by(&self, listener: impl Fn(&str) -> bool) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let wanted = seen.iter().filter(|one| listener(&one.target));
        wanted.cloned().collect()
    }

    /// The token requests so far.
    pub(crate) fn forms(&self) -> Vec<HashMap<String, String>> {
        let parse = |one: Seen| {
            url::form_urlencoded::parse(&one.body)
                .into_owned()
                .collect()
        };
        self.seen_by(|target| target.ends_with("/token"))
            .into_iter()
            .map(parse)
            .collect()
    }

    /// The tokens that the APIs saw.
    pub(crate) fn shown(&self) -> Vec<String> {
        self.calls()
            .into_iter()
            .map(|one| one.authorization)
            .collect()
    }

    pub(crate) fn api_says(&self, answer: String) {
        self.apis.lock().unwrap().push_back(answer);
    }

    pub(crate) fn entra_says(&self, answer: String) {
        self.tokens.lock().unwrap().push_back(answer);
    }
}

/// The next request of a connection.
pub(crate) async fn read(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let field = |name| {
        crate::wire::field(&head, name)
            .unwrap_or_default()
            .to_owned()
    };
    let length: usize = field("content-length").parse().unwrap_or(0);
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    Some(Seen {
        target: head.split_whitespace().nth(1)?.to_owned(),
        authorization: field("authorization"),
        body: bytes[end..].to_vec(),
    })
}

/// A whole HTTP answer; `fields` are lines of its head.
pub(crate) fn response(status: u16, fields: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{fields}Connection: close\r\n\r\n{body}",
        body.len()
    )
}
