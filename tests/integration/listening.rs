//! Where the proxy listens: TLS, a unix socket, and not the network by accident.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command};

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tokio::net::UnixStream;

use crate::{
    support::{self, Proxy, Upstreams, connector, program},
    wire::{Wire, tls_keys},
};

/// `serve` with a configuration and these arguments, and the file for its log.
fn serve(upstreams: &Upstreams, more: &str, args: &[&str]) -> (Command, PathBuf) {
    let config = tempfile::NamedTempFile::new_in(upstreams.dir.path()).unwrap();
    let (_, path) = config.keep().unwrap();
    fs::write(&path, format!("{}\n{more}", upstreams.config())).unwrap();
    let mut command = program();
    command.arg("serve").args(args).arg("--config").arg(&path);
    command.env(
        "SANDBOX_CLIENT_SECRET",
        &upstreams.sandbox.options().client_secret,
    );
    (command, path.with_extension("log"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_listener_speaks_both_versions_by_alpn() {
    let upstreams = Upstreams::start().await;
    let config = format!(
        "{}\n[listen]\n{}",
        upstreams.config(),
        tls_keys(upstreams.dir.path())
    );
    let proxy = Proxy::start(&upstreams, &config);
    assert!(proxy.url.starts_with("https://127.0.0.1:"), "{}", proxy.url);
    let ca = upstreams.dir.path().join("listen.pem");
    for (versions, version) in [
        (connector(&ca), Version::HTTP_2),
        (support::http1_connector(&ca), Version::HTTP_11),
    ] {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(versions);
        let answer = client
            .get(format!("{}/api/incidents", proxy.url).parse().unwrap())
            .await
            .unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        // Links lead to the listener's own scheme.
        assert!(
            body["@odata.context"]
                .as_str()
                .unwrap()
                .starts_with(&proxy.url),
            "{}",
            body["@odata.context"]
        );
        let request = Request::get(format!("{}/api/incidents", proxy.url));
        let plain_page = request.header("origin", proxy.url.replace("https", "http"));
        let answer = client
            .request(plain_page.body(Full::default()).unwrap())
            .await
            .unwrap();
        assert_eq!(answer.status(), 403);
    }
    // Plain HTTP on the TLS port gets nothing, and harms nothing.
    let mut plain = Wire::connect(&proxy).await;
    plain
        .send("GET /api/incidents HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(!plain.rest().await.contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_its_owners_alone() {
    let upstreams = Upstreams::start().await;
    let path = upstreams.dir.path().join("proxy.sock");
    // What a crashed predecessor left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let address = format!("unix:{}", path.display());
    let (command, log) = serve(&upstreams, "", &["--listen", &address]);
    let proxy = Proxy::spawn(command, log);
    assert_eq!(proxy.url, address);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");

    let stream = UnixStream::connect(&path).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut client, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/api/incidents")
        .header("host", "localhost")
        .body(Full::<Bytes>::default());
    let answer = client.send_request(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    drop((answer, client));

    // One that is alive is not taken over.
    let (mut second, _) = serve(&upstreams, "", &["--listen", &address]);
    let output = tokio::task::spawn_blocking(move || second.output().unwrap())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(UnixStream::connect(&path).await.is_ok());

    proxy.signal("TERM");
    assert_eq!(proxy.exit_code().await, Some(0));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_is_served_with_tls_and_a_client_key_only() {
    let upstreams = Upstreams::start().await;
    let tls = tls_keys(upstreams.dir.path());
    let key_file = upstreams.dir.path().join("client-key");
    fs::write(&key_file, "open sesame").unwrap();
    let key = format!("client_key = {{ file = {key_file:?} }}\n");
    for address in ["0.0.0.0:0", "[::]:0"] {
        for keys in [String::new(), tls.clone(), key.clone()] {
            let in_file = format!("[listen]\naddress = \"{address}\"\n{keys}");
            let beside = format!("[listen]\n{keys}");
            for (listen, args) in [(in_file, &[][..]), (beside, &["--listen", address])] {
                let (mut command, _) = serve(&upstreams, &listen, args);
                let output = tokio::task::spawn_blocking(move || command.output().unwrap())
                    .await
                    .unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.code(), Some(78), "{args:?} {listen}: {said}");
                assert!(
                    said.contains("listen.tls") && said.contains("listen.client_key"),
                    "{said}"
                );
                assert!(output.stdout.is_empty());
            }
        }
    }
    let guarded = format!("[listen]\n{tls}{key}");
    let (command, log) = serve(&upstreams, &guarded, &["--listen", "0.0.0.0:0"]);
    let proxy = Proxy::spawn(command, log);
    assert!(proxy.url.starts_with("https://0.0.0.0:"), "{}", proxy.url);
}
