use std::{sync::Arc, time::Duration};

use http::Request;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{
    HandshakeKind, ServerConfig, SupportedProtocolVersion,
    pki_types::PrivateKeyDer,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use crate::{config::UpstreamConfig, upstream::Transport};

/// Answers one request, then closes. How was the handshake done?
async fn serve(listener: &TcpListener, acceptor: &TlsAcceptor) -> Option<HandshakeKind> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = acceptor.accept(stream).await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.unwrap();
        request.push(byte);
    }
    let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    let _ = stream.shutdown().await;
    stream.get_ref().1.handshake_kind()
}

#[tokio::test]
async fn the_next_connection_resumes_the_session_whichever_worker_opens_it() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, cert.pem()).unwrap();
    for version in [&TLS13, &TLS12] {
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let acceptor = acceptor(version, cert.der().clone(), key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let transport = Transport::new(&UpstreamConfig {
            ca: Some(ca.clone()),
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(10),
        })
        .unwrap();
        let mut kinds = Vec::new();
        // Each has a pool of its own.
        for client in [transport.direct_client(), transport.direct_client()] {
            let request = Request::get(format!("https://localhost:{port}/"));
            let request = request.body(Vec::new()).unwrap();
            let (answer, kind) =
                tokio::join!(client.fetch(request, 0), serve(&listener, &acceptor));
            assert_eq!(answer.unwrap().status(), 200);
            kinds.extend(kind);
        }
        let expected = [HandshakeKind::Full, HandshakeKind::Resumed];
        assert_eq!(kinds, expected, "{version:?}");
    }
}

fn acceptor(
    version: &'static SupportedProtocolVersion,
    certificate: rustls::pki_types::CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
