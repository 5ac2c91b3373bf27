//! An upstream over HTTP/1 that answers one path with bytes that a test chose, and every other path with what was asked.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, mpsc, oneshot},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::support::{Proxy, Upstreams};

/// What comes after the chosen bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum End {
    /// The connection serves on.
    #[default]
    Stay,
    /// An orderly close, TLS included.
    Close,
    /// The connection is closed; TLS doesn't say so.
    Drop,
    /// A reset.
    Reset,
    /// The bytes once more, and again, as fast as they are taken.
    Flood,
    /// The last byte once more, and again, slowly.
    Dribble,
}

/// What is answered to `/api/raw/lie`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lie {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
    /// How many of them are written at a time.
    pub(crate) piece: usize,
}

impl Lie {
    pub(crate) fn new(bytes: impl AsRef<[u8]>, end: End) -> Self {
        Self {
            bytes: bytes.as_ref().to_vec(),
            end,
            piece: usize::MAX,
        }
    }
}

/// One request that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of its connection.
    pub(crate) connection: usize,
    pub(crate) method: String,
    pub(crate) target: String,
}

#[derive(Debug, Default)]
struct State {
    lie: Mutex<Lie>,
    seen: Mutex<Vec<Seen>>,
    finish: Notify,
    /// The way to each connection.
    idle: Mutex<Vec<mpsc::Sender<Disturbance>>>,
}

/// What a connection says unasked, and how it tells that it has.
type Disturbance = (Lie, oneshot::Sender<()>);

/// The upstream of `/api/raw`, whose other paths answer with themselves.
pub(crate) struct Liar {
    state: Arc<State>,
    /// Entra ID and the rest of the APIs.
    _upstreams: Upstreams,
    _tasks: JoinSet<()>,
}

impl Liar {
    /// Behind a new proxy, in plain text.
    pub(crate) async fn behind_proxy(keys: &str) -> (Self, Proxy) {
        Self::start(keys, None).await
    }

    /// Behind a new proxy, over TLS and HTTP/1.1.
    pub(crate) async fn behind_proxy_over_tls() -> (Self, Proxy) {
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        Self::start("", Some(generate_simple_self_signed(names).unwrap())).await
    }

    async fn start(keys: &str, tls: Option<CertifiedKey<rcgen::KeyPair>>) -> (Self, Proxy) {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let route = format!(
            "[[route]]\nprefix = \"/api/raw\"\nupstream = \"{scheme}://{}\"\n\
             audience = \"https://api.securitycenter.microsoft.com\"\n",
            listener.local_addr().unwrap()
        );
        let acceptor = tls.map(|pair| acceptor(&upstreams, &pair));
        let proxy = Proxy::start(
            &upstreams,
            &format!("{}{keys}\n{route}", upstreams.config()),
        );
        let state = Arc::<State>::default();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                connections.spawn(async move {
                    let stream = match acceptor {
                        None => Stream::Plain(stream),
                        // The proxy may hang up amid the handshake.
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => Stream::Tls(Box::new(stream)),
                            Err(_) => return,
                        },
                    };
                    serve(stream, number, &state).await;
                });
            }
        });
        let liar = Self {
            state,
            _upstreams: upstreams,
            _tasks: tasks,
        };
        (liar, proxy)
    }

    /// From now on that is the answer of `/api/raw/lie`.
    pub(crate) fn tell(&self, lie: Lie) {
        *self.state.lie.lock().unwrap() = lie;
    }

    /// Says that on every connection that waits for a request, and returns when it is said.
    pub(crate) async fn disturb(&self, lie: &Lie) {
        let connections = std::mem::take(&mut *self.state.idle.lock().unwrap());
        let mut alive = Vec::new();
        for connection in connections {
            let (said, told) = oneshot::channel();
            if connection.send((lie.clone(), said)).await.is_ok() && told.await.is_ok() {
                alive.push(connection);
            }
        }
        self.state.idle.lock().unwrap().extend(alive);
    }

    /// The requests that came since this was asked last.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }

    /// Lets one answer of `/api/raw/long` end.
    pub(crate) fn finish(&self) {
        self.state.finish.notify_one();
    }
}

fn acceptor(upstreams: &Upstreams, pair: &CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let roots = upstreams.dir.path().join("ca.pem");
    let all = fs::read_to_string(&roots).unwrap() + &pair.cert.pem();
    fs::write(roots, all).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![pair.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into()),
        )
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(config))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    async fn read(&mut self, buffer: &mut Vec<u8>) -> usize {
        let read = match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        };
        read.unwrap_or(0)
    }

    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    async fn shutdown(&mut self) {
        // The other side may have gone.
        let _ = match self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        };
    }

    /// Waits until the other side has closed too: unread bytes would turn the close into a reset.
    async fn rest(mut self) {
        while self.read(&mut Vec::with_capacity(1024)).await > 0 {}
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_mut().0,
        }
    }
}

async fn serve(mut stream: Stream, connection: usize, state: &State) {
    let mut buffer = Vec::new();
    let (sender, mut disturbances) = mpsc::channel(1);
    state.idle.lock().unwrap().push(sender);
    loop {
        let (lie, said) = tokio::select! {
            asked = request(&mut stream, &mut buffer) => {
                let Some((method, target)) = asked else { return };
                let path = target.clone();
                state.seen.lock().unwrap().push(Seen { connection, method, target });
                match path.as_str() {
                    "/api/raw/lie" => (state.lie.lock().unwrap().clone(), None),
                    "/api/raw/long" => {
                        long(&mut stream, state).await;
                        continue;
                    }
                    path => (truth(path), None),
                }
            }
            Some((lie, said)) = disturbances.recv() => (lie, Some(said)),
        };
        let stays = tell(&mut stream, &lie).await;
        if !stays {
            end(&mut stream, lie.end).await;
            if lie.end == End::Reset {
                drop(stream);
                return;
            }
        }
        if let Some(said) = said {
            let _ = said.send(());
        }
        if !stays {
            return stream.rest().await;
        }
    }
}

/// The answer of every path but one.
fn truth(path: &str) -> Lie {
    let length = path.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{path}");
    Lie::new(answer, End::Stay)
}

/// Reads a whole request. Cancel-safe: what was read stays in the buffer.
async fn request(stream: &mut Stream, buffer: &mut Vec<u8>) -> Option<(String, String)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = str::from_utf8(&buffer[..end + 4]).unwrap();
            let length = crate::wire::field(head, "content-length");
            let whole = end + 4 + length.map_or(0, |it| it.parse().unwrap());
            let mut words = head.split(' ').map(str::to_owned);
            let found = (words.next()?, words.next()?);
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Some(found);
            }
        }
        if stream.read(buffer).await == 0 {
            return None;
        }
    }
}

/// Does the connection serve on?
async fn tell(stream: &mut Stream, lie: &Lie) -> bool {
    for piece in lie.bytes.chunks(lie.piece) {
        if stream.write(piece).await.is_err() {
            return false;
        }
        tokio::task::yield_now().await;
    }
    match lie.end {
        End::Stay => return true,
        End::Close | End::Drop | End::Reset => {}
        End::Flood => {
            let many = lie.bytes.repeat(1 + 8192 / lie.bytes.len());
            while stream.write(&many).await.is_ok() {}
        }
        End::Dribble => {
            let last = &lie.bytes[lie.bytes.len() - 1..];
            while stream.write(last).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    false
}

async fn end(stream: &mut Stream, end: End) {
    match end {
        End::Close => stream.shutdown().await,
        End::Drop => stream.tcp_mut().shutdown().await.unwrap_or_default(),
        End::Reset => stream.tcp_mut().set_zero_linger().unwrap(),
        End::Stay | End::Flood | End::Dribble => {}
    }
}

/// An answer that is under way until the test lets it end.
async fn long(stream: &mut Stream, state: &State) {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nlong";
    stream.write(head.as_bytes()).await.unwrap();
    state.finish.notified().await;
    stream.write(b"long").await.unwrap();
}
