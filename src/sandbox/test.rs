//! The stand-ins over real TLS.

mod access;
mod assertions;
mod authorize;
mod bodies;
mod control;
mod delegated;
mod device;
mod entra;
mod faults;
mod managed;
mod start;
mod tenants;
mod users;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::{Options, Sandbox};

const XDR: &str = "https://api.security.microsoft.com";
const ENDPOINT: &str = "https://api.securitycenter.microsoft.com";
const GRAPH: &str = "https://graph.microsoft.com";

/// A sandbox and a client that trusts it.
struct Bench {
    sandbox: Sandbox,
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Bench {
    async fn start() -> Self {
        Self::speaking(Version::HTTP_2).await
    }

    async fn speaking(version: Version) -> Self {
        Self::with(Options::default(), version).await
    }

    async fn with(options: Options, version: Version) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(sandbox.ca_pem().as_bytes()).unwrap())
            .unwrap();
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let builder = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http();
        let connector = if version == Version::HTTP_2 {
            builder.enable_all_versions().build()
        } else {
            builder.enable_http1().build()
        };
        let pool = Pool::builder(TokioExecutor::new())
            .retry_canceled_requests(false)
            .build(connector);
        Self { sandbox, pool }
    }

    async fn send(
        &self,
        request: http::request::Builder,
        body: impl Into<Bytes>,
    ) -> Option<Response<Incoming>> {
        self.pool
            .request(request.body(Full::new(body.into())).unwrap())
            .await
            .ok()
    }

    async fn get(&self, url: &str, token: &str) -> Reply {
        let request = Request::get(url).header(AUTHORIZATION, format!("Bearer {token}"));
        Reply::of(self.send(request, "").await.unwrap()).await
    }

    async fn api(&self, path: &str, token: &str) -> Reply {
        self.get(&format!("{}{path}", self.sandbox.defender()), token)
            .await
    }

    async fn ask(&self, path: &str, form: &str) -> Reply {
        let url = format!("{}{path}", self.sandbox.login());
        let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        Reply::of(self.send(request, form.to_owned()).await.unwrap()).await
    }

    fn token_path(&self) -> String {
        format!("/{}/oauth2/v2.0/token", self.sandbox.options().tenant)
    }

    fn form(&self, resource: &str) -> String {
        let Options {
            client_id,
            client_secret,
            ..
        } = self.sandbox.options();
        format!(
            "grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}&scope={resource}/.default"
        )
    }

    async fn token(&self, resource: &str) -> String {
        let reply = self.ask(&self.token_path(), &self.form(resource)).await;
        reply.json()["access_token"].as_str().unwrap().to_owned()
    }

    async fn control(&self, path: &str, body: &Value) -> Reply {
        let url = format!("{}/_sandbox/{path}", self.sandbox.defender());
        Reply::of(
            self.send(Request::post(url), body.to_string())
                .await
                .unwrap(),
        )
        .await
    }

    async fn script(&self, body: Value) {
        let reply = self.control("faults", &body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    }

    async fn look(&self, path: &str) -> Value {
        self.get(&format!("{}/_sandbox/{path}", self.sandbox.graph()), "")
            .await
            .json()
    }
}

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// `None` when it broke off.
    body: Option<Bytes>,
}

impl Reply {
    async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .ok()
            .map(http_body_util::Collected::to_bytes);
        Self {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(self.body.as_ref().unwrap()).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.body.as_ref().unwrap()).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn error(&self) -> String {
        self.json()["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}
