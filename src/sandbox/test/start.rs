//! Starting, pointing a proxy here, stopping.

use std::path::Path;

use http::Request;
use http_body_util::Full;
use serde_json::json;

use super::super::{Options, Sandbox, SecretSource};
use super::{Bench, XDR};

#[tokio::test]
async fn links_name_the_host_that_is_set() {
    let bench = Bench::start().await;
    let token = bench.token(XDR).await;
    for (links, origin) in [
        ("global", XDR),
        ("regional", "https://api-eu.security.microsoft.com"),
        ("legacy", "https://api.securitycenter.windows.com"),
        ("self", bench.sandbox.defender()),
    ] {
        bench.script(json!({"settings": {"links": links}})).await;
        let context = bench.api("/api/incidents", &token).await.json()["@odata.context"].clone();
        assert!(
            context.as_str().unwrap().starts_with(origin),
            "{links}: {context}"
        );
    }
}

#[tokio::test]
async fn the_config_is_toml_that_points_here() {
    let sandbox = Sandbox::start(Options::default()).await.unwrap();
    let text = sandbox.proxy_toml(
        Path::new(r"C:\a b\ca.pem"),
        SecretSource::Env("SANDBOX_CLIENT_SECRET"),
    );
    let config: toml::Table = text.parse().unwrap();
    assert_eq!(config["cloud"]["login"].as_str(), Some(sandbox.login()));
    assert_eq!(
        config["cloud"]["defender_xdr"].as_str(),
        Some(sandbox.defender())
    );
    assert_eq!(config["upstream"]["ca"].as_str(), Some(r"C:\a b\ca.pem"));
    let secret = &config["identity"]["sandbox"]["credential"]["secret"];
    assert_eq!(secret["env"].as_str(), Some("SANDBOX_CLIENT_SECRET"));
    assert!(!text.contains(&sandbox.options().client_secret));
}

#[tokio::test]
async fn dropping_it_closes_the_ports() {
    let bench = Bench::start().await;
    bench.token(XDR).await;
    let Bench { sandbox, pool } = bench;
    let url = format!("{}/", sandbox.login());
    drop(sandbox);
    // The accept loops end when the runtime next turns to them.
    tokio::task::yield_now().await;
    assert!(
        pool.request(Request::get(url).body(Full::default()).unwrap())
            .await
            .is_err()
    );
}
