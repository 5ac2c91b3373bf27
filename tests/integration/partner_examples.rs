//! The examples for partners, as they stand there: each serves two customers, through a renewal.

use std::{collections::HashSet, fs, path::Path};

use http::StatusCode;
use serde_json::json;

use crate::{
    credentials::{sandbox_file, serve},
    customers::{CONTOSO, FABRIKAM, tenant},
    support::{PATIENCE, Proxy, Upstreams, header},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_serves_each_customer() {
    serves_both("partner-secret.toml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_serves_each_customer() {
    serves_both("partner-certificate.toml").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_federated_token_serves_each_customer() {
    serves_both("partner-federated.toml").await;
}

/// The example, led to the stand-ins.
fn config(upstreams: &Upstreams, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut example = fs::read_to_string(folder.join(name)).unwrap();
    let token = upstreams.dir.path().join("token");
    fs::write(&token, upstreams.sandbox.federated_token()).unwrap();
    fs::copy(
        sandbox_file("app.pem"),
        upstreams.dir.path().join("app.pem"),
    )
    .unwrap();
    for (shown, real) in [
        (
            "11111111-1111-1111-1111-111111111111",
            &*upstreams.sandbox.options().client_id,
        ),
        ("00000000-0000-0000-0000-00000000000a", CONTOSO),
        ("00000000-0000-0000-0000-00000000000b", FABRIKAM),
        (
            "/var/run/secrets/azure/tokens/azure-identity-token",
            token.to_str().unwrap(),
        ),
    ] {
        example = example.replace(shown, real);
    }
    let stand_ins = upstreams.config();
    let (cloud, rest) = stand_ins.split_once("[identity.").unwrap();
    let (_, upstream) = rest.split_once("[upstream]").unwrap();
    format!("{cloud}{example}\n[upstream]{upstream}")
}

async fn serves_both(name: &str) {
    let upstreams = Upstreams::start().await;
    upstreams.settings(json!({"token_lifetime": 6})).await;
    let secret = &*upstreams.sandbox.options().client_secret;
    let proxy = serve(
        &upstreams,
        &config(&upstreams, name),
        &[("DEFENDER_CLIENT_SECRET", secret)],
    );
    let mut tokens = HashSet::new();
    for (customer, id) in [("contoso", CONTOSO), ("fabrikam", FABRIKAM)] {
        tokens.insert(served(&upstreams, &proxy, (customer, id)).await);
    }
    assert_eq!(tokens.len(), 2);
    // Both are in use, so both are renewed before they end.
    upstreams.wait("token_requests=4").await;
    for customer in [("contoso", CONTOSO), ("fabrikam", FABRIKAM)] {
        // The answer of Entra ID may still be on its way, while the first token serves.
        let renewed = async { while !tokens.insert(served(&upstreams, &proxy, customer).await) {} };
        tokio::time::timeout(PATIENCE, renewed)
            .await
            .expect("a new token");
    }
    assert_eq!(tokens.len(), 4);
}

/// The token that a request of a customer was answered with.
async fn served(upstreams: &Upstreams, proxy: &Proxy, (name, id): (&str, &str)) -> String {
    let answer = proxy.get(&format!("/t/{name}/api/incidents")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let requests = upstreams.api_requests().await;
    let last = requests.last().unwrap();
    assert_eq!(tenant(last), id);
    header(last, "authorization").unwrap().to_owned()
}
