//! The stand-ins, the proxy in front of them, and one request, in one program. No tenant is needed.
//!
//! ```sh
//! cargo run --example quickstart
//! ```

#![expect(
    clippy::print_stdout,
    reason = "the answer is what this program is for"
)]

use std::fs;

use anyhow::Result;
use bytes::Bytes;
use defender_proxy::{
    config::{Config, Source},
    sandbox::{Options, Sandbox, SecretSource},
    serve::Bound,
    server::Limits,
};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let stand_ins = Sandbox::start(Options::default()).await?;
    let folder = tempfile::tempdir()?;
    let (ca, secret) = (folder.path().join("ca.pem"), folder.path().join("secret"));
    fs::write(&ca, stand_ins.ca_pem())?;
    fs::write(&secret, &stand_ins.options().client_secret)?;

    let text = stand_ins.proxy_toml(&ca, SecretSource::File(&secret));
    let mut config = Config::parse(&text, Source::File("proxy.toml".into()), &|_| None)?;
    config.listen = config.listen.with_address("127.0.0.1:0".parse()?)?;
    let proxy = Bound::new(&config, Limits::default()).await?;
    println!("listening on {}", proxy.url());

    let incidents = format!("{}/api/incidents?$top=1", proxy.url()).parse()?;
    let call = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let response = client.get(incidents).await?;
        println!("{}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        println!("{}", String::from_utf8_lossy(&body));
        anyhow::Ok(())
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = async {
        let _ = stopped.await;
    };
    let (served, called) = tokio::join!(proxy.run(shutdown), async {
        let called = call.await;
        drop(stop);
        called
    });
    served?;
    called
}
