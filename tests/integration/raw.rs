//! An upstream that answers every request with the same bytes, for answers that no stand-in gives.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::support::{Proxy, Upstreams};

/// A plain-HTTP server on loopback. One request a connection.
pub(crate) struct Raw {
    pub(crate) origin: String,
    heads: Arc<Mutex<Vec<String>>>,
    /// Entra ID for the proxy in front.
    _upstreams: Upstreams,
    _tasks: JoinSet<()>,
}

impl Raw {
    /// The upstream of every path of a new proxy.
    pub(crate) async fn behind_proxy(answer: Vec<u8>) -> (Self, Proxy) {
        Self::behind_proxy_of(Upstreams::config, answer).await
    }

    /// The same, of a proxy with this configuration.
    pub(crate) async fn behind_proxy_of(
        config: impl FnOnce(&Upstreams) -> String,
        answer: Vec<u8>,
    ) -> (Self, Proxy) {
        Self::start(config, |_| answer).await
    }

    /// The same, with an answer that names the upstream.
    pub(crate) async fn behind_proxy_with(answer: impl FnOnce(&str) -> String) -> (Self, Proxy) {
        Self::start(Upstreams::config, |origin| answer(origin).into_bytes()).await
    }

    async fn start(
        config: impl FnOnce(&Upstreams) -> String,
        answer: impl FnOnce(&str) -> Vec<u8>,
    ) -> (Self, Proxy) {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let config = format!(
            "{}\n[[route]]\nprefix = \"/\"\nupstream = \"{origin}\"\n\
             audience = \"https://api.security.microsoft.com\"\n",
            config(&upstreams)
        );
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let (answer, seen) = (answer(&origin), Arc::clone(&heads));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                exchange(stream, &answer, &seen).await;
            }
        });
        let proxy = Proxy::start(&upstreams, &config);
        let raw = Self {
            origin,
            heads,
            _upstreams: upstreams,
            _tasks: tasks,
        };
        (raw, proxy)
    }

    /// The heads of the requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

/// Reads a head and what comes with it, answers, and closes once the other side has.
async fn exchange(mut stream: TcpStream, answer: &[u8], seen: &Mutex<Vec<String>>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
    }
    seen.lock()
        .unwrap()
        .push(String::from_utf8_lossy(&head).into_owned());
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

/// A whole HTTP answer; `content_type` may carry more headers behind it.
pub(crate) fn answer(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
