//! Playing a client or an upstream byte by byte, and clients that speak HTTP/2 in plain text.

use std::{
    fs,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::support::{PATIENCE, Proxy, Upstreams};

/// An upstream without TLS, played by the test.
pub(crate) struct RawUpstream {
    listener: TcpListener,
}

impl RawUpstream {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener }
    }

    /// A proxy that leads `/api/raw` here and the rest to the stand-ins.
    pub(crate) async fn behind_proxy() -> (Upstreams, Proxy, Self) {
        Self::behind_proxy_with("").await
    }

    /// The same, with more keys of `[upstream]`.
    pub(crate) async fn behind_proxy_with(keys: &str) -> (Upstreams, Proxy, Self) {
        let (upstreams, raw) = (Upstreams::start().await, Self::bind().await);
        let config = format!("{}{keys}\n{}", upstreams.config(), raw.route());
        let proxy = Proxy::start(&upstreams, &config);
        (upstreams, proxy, raw)
    }

    /// The route that leads here.
    pub(crate) fn route(&self) -> String {
        let address = self.listener.local_addr().unwrap();
        format!(
            "[[route]]\nprefix = \"/api/raw\"\nupstream = \"http://{address}\"\n\
             audience = \"https://api.securitycenter.microsoft.com\"\n"
        )
    }

    /// The next connection of the proxy.
    pub(crate) async fn accept(&self) -> Wire {
        let accepted = timeout(PATIENCE, self.listener.accept()).await;
        Wire::new(accepted.expect("a connection").unwrap().0)
    }

    /// Is no connection waiting? A connection of our own would come behind it.
    pub(crate) async fn is_idle(&self) -> bool {
        let address = self.listener.local_addr().unwrap();
        let own = TcpStream::connect(address).await.unwrap();
        let (_, first) = self.listener.accept().await.unwrap();
        first == own.local_addr().unwrap()
    }
}

/// One end of a connection, and what was read ahead.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    /// A client's end.
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        Self::new(proxy.connect().await)
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Start line and fields, up to the empty line.
    pub(crate) async fn head(&mut self) -> String {
        self.up_to(b"\r\n\r\n").await
    }

    async fn line(&mut self) -> String {
        self.up_to(b"\r\n").await
    }

    async fn up_to(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = find(&self.buffer, end) {
                return text(self.take(at + end.len()).await);
            }
            assert!(self.fill().await > 0, "ended early: {:?}", self.buffered());
        }
    }

    /// That many bytes of a body.
    pub(crate) async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill().await > 0, "ended early: {:?}", self.buffered());
        }
        self.buffer.drain(..length).collect()
    }

    /// A chunked body up to its end, framing and trailers included.
    pub(crate) async fn chunked(&mut self) -> String {
        let mut body = String::new();
        loop {
            let line = self.line().await;
            let size = usize::from_str_radix(line.trim_end(), 16).expect("a size");
            body += &line;
            if size == 0 {
                break;
            }
            body += &text(self.take(size + 2).await);
        }
        while !body.ends_with("\r\n\r\n") {
            body += &self.line().await;
        }
        body
    }

    /// A whole message: its head, and its body by `Content-Length`, or in chunks.
    pub(crate) async fn message(&mut self) -> (String, String) {
        let head = self.head().await;
        if field(&head, "transfer-encoding").is_some() {
            let body = self.chunked().await;
            return (head, body);
        }
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = text(self.take(length).await);
        (head, body)
    }

    /// Everything until the other end closes, in order or not.
    pub(crate) async fn rest(&mut self) -> String {
        let ended = timeout(PATIENCE, self.stream.read_to_end(&mut self.buffer));
        // A reset is an end as well.
        let _ = ended.await.expect("no hang");
        text(std::mem::take(&mut self.buffer))
    }

    /// Reads to the end: `Ok` if it is an orderly one.
    pub(crate) async fn end(&mut self) -> std::io::Result<usize> {
        let ended = timeout(PATIENCE, self.stream.read_to_end(&mut self.buffer));
        ended.await.expect("no hang")
    }

    /// How many bytes were read ahead.
    pub(crate) fn ahead(&self) -> usize {
        self.buffer.len()
    }

    /// What was read ahead.
    pub(crate) fn ahead_bytes(&self) -> &[u8] {
        &self.buffer
    }

    fn buffered(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    async fn fill(&mut self) -> usize {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
        read.await.expect("no hang").unwrap_or(0)
    }
}

/// The value of a field of a head, by its name in lower case.
pub(crate) fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The names of all fields of a head, in lower case.
pub(crate) fn names(head: &str) -> Vec<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.map(|(name, _)| name.to_ascii_lowercase()).collect()
}

/// Writes a certificate for loopback, and returns the keys of `[listen]` that name it.
pub(crate) fn tls_keys(dir: &Path) -> String {
    let names = ["localhost", "127.0.0.1"].map(str::to_owned);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    fs::write(dir.join("listen.pem"), cert.pem()).unwrap();
    fs::write(dir.join("listen.key"), signing_key.serialize_pem()).unwrap();
    "tls = { cert = \"listen.pem\", key = \"listen.key\" }\n".to_owned()
}

/// A client that speaks HTTP/2 with prior knowledge.
pub(crate) fn h2c<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

/// A body of so many bytes, made as it is sent.
#[derive(Debug)]
pub(crate) struct Flood {
    left: u64,
    declared: bool,
}

impl Flood {
    /// With its length declared, or in chunks without.
    pub(crate) fn new(bytes: u64, declared: bool) -> Self {
        let left = bytes;
        Self { left, declared }
    }
}

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static BLOCK: [u8; 64 * 1024] = [b'x'; 64 * 1024];
        let take = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(BLOCK.len());
        self.left -= take as u64;
        let frame = || Ok(Frame::data(Bytes::from_static(&BLOCK[..take])));
        Poll::Ready((take > 0).then(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared {
            SizeHint::with_exact(self.left)
        } else {
            SizeHint::default()
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}
