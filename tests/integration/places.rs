//! A place on the network that a test takes away and gives back: every way in which a connection, or TLS, can fail.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

/// What a place does with who connects.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    /// Answers every request over TLS with 200.
    Good,
    /// Leads on to another.
    To(SocketAddr),
    /// An HTTP proxy, whose every tunnel leads there.
    Tunnel(SocketAddr),
    /// An HTTP proxy that finds no way.
    NoTunnel,
    /// Nobody listens.
    Refused,
    /// Segments are dropped, so that nothing answers at all.
    BlackHole,
    /// The kernel connects, and nobody speaks.
    Mute,
    /// Connected, and reset.
    Reset,
    /// Reset after the first bytes have come.
    ResetInHandshake,
    /// Connected, and closed.
    Closed,
    /// Says something that is no TLS.
    NoTls,
    Expired,
    NotYet,
    WrongHost,
    WrongAuthority,
    /// Knows TLS 1.1 only, and says so.
    OldTls,
    /// Knows TLS 1.1 only, and goes on with it.
    OldHello,
}

/// A place at one port, for as long as it lives.
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    certificates: Arc<Certificates>,
    connects: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    serving: Mutex<Option<JoinHandle<()>>>,
    way: Mutex<Way>,
    freeze: Arc<Notify>,
    /// Bound, and nothing else: while nobody listens, no other socket gets the port.
    _claim: TcpSocket,
}

impl Place {
    pub(crate) fn open(certificates: &Arc<Certificates>, way: Way) -> Self {
        let claim = TcpSocket::new_v4().unwrap();
        claim.set_reuseaddr(true).unwrap();
        claim.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let place = Self {
            address: claim.local_addr().unwrap(),
            _claim: claim,
            certificates: Arc::clone(certificates),
            connects: Arc::default(),
            requests: Arc::default(),
            serving: Mutex::default(),
            way: Mutex::new(way),
            freeze: Arc::default(),
        };
        place.serve(place.bind(1024), way);
        place
    }

    /// Ends all connections, and takes new ones in another way.
    pub(crate) async fn becomes(&self, way: Way) {
        let before = self.serving.lock().unwrap().take();
        if let Some(before) = before {
            before.abort();
            let _ = before.await;
        }
        *self.way.lock().unwrap() = way;
        if way != Way::Refused {
            let queue = if way == Way::BlackHole { 1 } else { 1024 };
            self.serve(self.bind(queue), way);
        }
    }

    fn bind(&self, queue: u32) -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        socket.listen(queue).unwrap()
    }

    fn serve(&self, listener: TcpListener, way: Way) {
        let visits = Visits {
            way,
            certificates: Arc::clone(&self.certificates),
            requests: Arc::clone(&self.requests),
            freeze: Arc::clone(&self.freeze),
        };
        let connects = Arc::clone(&self.connects);
        let task = tokio::spawn(async move {
            if way == Way::BlackHole {
                swallow(&listener).await;
            }
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connects.fetch_add(1, Relaxed);
                open.spawn(visits.clone().meet(stream));
            }
        });
        *self.serving.lock().unwrap() = Some(task);
    }

    /// From now on no byte passes on the connections that lead on; but they stay open, and new ones are as they were.
    pub(crate) fn freeze(&self) {
        self.freeze.notify_waiters();
    }

    /// What it does now.
    pub(crate) fn way(&self) -> Way {
        *self.way.lock().unwrap()
    }

    /// How many connections there were, whatever became of them. (None is counted that the kernel refuses or drops.)
    pub(crate) fn connects(&self) -> usize {
        self.connects.load(Relaxed)
    }

    /// How many requests were answered.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// How many connections wait for an answer to their first segment at this moment.
    pub(crate) fn half_open(&self) -> usize {
        let port = format!(":{:04X}", self.address.port());
        let is_ours = |line: &&str| {
            let mut fields = line.split_whitespace().skip(2);
            let to_us = fields.next().is_some_and(|remote| remote.ends_with(&port));
            to_us && fields.next() == Some("02")
        };
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        table.lines().filter(is_ours).count()
    }
}

#[derive(Clone)]
struct Visits {
    way: Way,
    certificates: Arc<Certificates>,
    requests: Arc<AtomicUsize>,
    freeze: Arc<Notify>,
}

impl Visits {
    async fn meet(self, mut stream: TcpStream) {
        match self.way {
            Way::Good => self.answer(stream, &self.certificates.good).await,
            Way::Expired => self.answer(stream, &self.certificates.expired).await,
            Way::NotYet => self.answer(stream, &self.certificates.not_yet).await,
            Way::WrongHost => self.answer(stream, &self.certificates.wrong_host).await,
            Way::WrongAuthority => {
                self.answer(stream, &self.certificates.wrong_authority)
                    .await;
            }
            Way::To(address) => self.lead(stream, address).await,
            Way::Tunnel(address) => {
                head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                self.lead(stream, address).await;
            }
            Way::NoTunnel => {
                head(&mut stream).await;
                let refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
                says(stream, refusal).await;
            }
            Way::Reset => reset(&stream),
            Way::ResetInHandshake => {
                let _ = stream.read(&mut [0; 16]).await;
                reset(&stream);
            }
            Way::Mute => until_closed(stream).await,
            Way::NoTls => says(stream, b"220 mail.example ESMTP\r\n").await,
            // A fatal alert: protocol_version (RFC 4346 §7.2).
            Way::OldTls => says(stream, &[0x15, 3, 2, 0, 2, 2, 70]).await,
            // A ServerHello of TLS 1.1 (RFC 4346 §7.4.1.3).
            Way::OldHello => {
                let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
                hello.extend([7; 32]);
                hello.extend([0, 0xc0, 0x13, 0]);
                says(stream, &hello).await;
            }
            Way::Closed | Way::Refused | Way::BlackHole => {}
        }
    }

    async fn lead(&self, mut stream: TcpStream, address: SocketAddr) {
        let Ok(mut other) = TcpStream::connect(address).await else {
            return;
        };
        tokio::select! {
            _ = copy_bidirectional(&mut stream, &mut other) => {}
            () = self.freeze.notified() => std::future::pending().await,
        }
    }

    async fn answer(&self, stream: TcpStream, tls: &Arc<ServerConfig>) {
        let Ok(mut stream) = TlsAcceptor::from(Arc::clone(tls)).accept(stream).await else {
            return;
        };
        let (mut bytes, good) = (
            Vec::new(),
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood",
        );
        while stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {
            if bytes.ends_with(b"\r\n\r\n") {
                bytes.clear();
                self.requests.fetch_add(1, Relaxed);
                let _ = stream.write_all(good.as_bytes()).await;
            }
        }
    }
}

/// Fills the queue of who waits to be accepted; then the kernel drops who comes. Never ends.
async fn swallow(listener: &TcpListener) {
    let (address, mut fillers) = (listener.local_addr().unwrap(), Vec::new());
    while let Ok(filler) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        fillers.push(filler.unwrap());
    }
    std::future::pending::<()>().await;
}

async fn head(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n")
        && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0)
    {}
}

fn reset(stream: &TcpStream) {
    stream.set_zero_linger().unwrap();
}

async fn says(mut stream: TcpStream, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    until_closed(stream).await;
}

async fn until_closed(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// The names of a place: by itself, and as an HTTP proxy knows it.
const HERE: [&str; 2] = ["localhost", "api.defender.example"];
const ELSEWHERE: [&str; 2] = ["localhost.example", "defender.example"];

/// An authority, and what it has signed for this machine.
pub(crate) struct Certificates {
    good: Arc<ServerConfig>,
    expired: Arc<ServerConfig>,
    not_yet: Arc<ServerConfig>,
    wrong_host: Arc<ServerConfig>,
    wrong_authority: Arc<ServerConfig>,
}

impl Certificates {
    /// Adds the authority to those of a PEM file.
    pub(crate) fn new(trusted: &Path) -> Arc<Self> {
        let (authority, other) = (authority(), authority());
        let pem = fs::read_to_string(trusted).unwrap() + &authority.pem();
        fs::write(trusted, pem).unwrap();
        let lasting = |from, until| leaf(&authority, HERE, (from, until));
        Arc::new(Self {
            good: lasting(2000, 4000),
            expired: lasting(2000, 2001),
            not_yet: lasting(3999, 4000),
            wrong_host: leaf(&authority, ELSEWHERE, (2000, 4000)),
            wrong_authority: leaf(&other, HERE, (2000, 4000)),
        })
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "An authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf(
    authority: &CertifiedIssuer<'static, KeyPair>,
    hosts: [&str; 2],
    (from, until): (i32, i32),
) -> Arc<ServerConfig> {
    let mut params = CertificateParams::new(hosts.map(str::to_owned)).unwrap();
    params.not_before = rcgen::date_time_ymd(from, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
    Arc::new(config)
}
