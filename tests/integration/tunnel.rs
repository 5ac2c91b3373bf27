//! Through an HTTP proxy, as corporate networks have them.

use std::{fs, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Proxy, Upstreams, serve_command};

const HOST: &str = "api.defender.example";

/// An HTTP proxy that leads every tunnel to one TLS server of its own, and tells what it was asked.
struct Corporate {
    port: u16,
    heads: mpsc::UnboundedReceiver<String>,
    ca: String,
}

impl Corporate {
    async fn start() -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([HOST.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, heads) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), asked));
        Self {
            port,
            heads,
            ca: cert.pem(),
        }
    }

    /// A configuration whose only route leads through the tunnel.
    fn config(&self, upstreams: &Upstreams) -> String {
        let ca = upstreams.dir.path().join("ca.pem");
        fs::write(&ca, format!("{}{}", upstreams.sandbox.ca_pem(), self.ca)).unwrap();
        let route = format!(
            "\n[[route]]\nprefix = \"/\"\nupstream = \"https://{HOST}\"\naudience = \"https://api.security.microsoft.com\"\n"
        );
        format!("{}{route}", upstreams.config())
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, asked: mpsc::UnboundedSender<String>) {
    loop {
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        asked.send(head(&mut stream).await).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut inside = BufReader::new(tls.accept(stream).await.unwrap());
        asked.send(head(&mut inside).await).unwrap();
        inside
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone")
            .await
            .unwrap();
        inside.shutdown().await.unwrap();
        let _ = inside.read_to_end(&mut Vec::new()).await;
    }
}

async fn head(stream: &mut (impl AsyncBufReadExt + Unpin)) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).await.unwrap(), 0, "{head}");
    }
    head
}

async fn check(corporate: &mut Corporate, proxy: &Proxy) {
    let answer = proxy.get("/api/incidents").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text().as_str()),
        (200, "done")
    );
    let tunnel = corporate.heads.recv().await.unwrap();
    assert!(
        tunnel.starts_with(&format!("CONNECT {HOST}:443 ")),
        "{tunnel}"
    );
    assert!(
        !tunnel.to_lowercase().contains("\r\nauthorization"),
        "{tunnel}"
    );
    let request = corporate.heads.recv().await.unwrap();
    assert!(request.starts_with("GET /api/incidents "), "{request}");
    assert!(
        request
            .to_lowercase()
            .contains("\r\nauthorization: bearer "),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_http_proxy_sees_the_tunnel_but_no_token() {
    let upstreams = Upstreams::start().await;
    let mut corporate = Corporate::start().await;
    let config = corporate.config(&upstreams);
    let config = config.replace(
        "[upstream]",
        &format!(
            "[upstream]\nproxy = \"http://127.0.0.1:{}\"",
            corporate.port
        ),
    );
    let proxy = Proxy::start(&upstreams, &config);
    check(&mut corporate, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_proxy_in_the_environment_is_used_and_loopback_is_reached_directly() {
    let upstreams = Upstreams::start().await;
    let mut corporate = Corporate::start().await;
    let (mut command, log) = serve_command(&upstreams, &corporate.config(&upstreams));
    command.env(
        "HTTPS_PROXY",
        format!("http://127.0.0.1:{}", corporate.port),
    );
    // The token is fetched from a stand-in on loopback: had it gone through the tunnel, it would have met the wrong server.
    check(&mut corporate, &Proxy::spawn(command, log)).await;
}
