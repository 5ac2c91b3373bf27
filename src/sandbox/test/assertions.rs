//! Client credentials other than a secret.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use jsonwebtoken::{Algorithm, Header};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

use super::super::federation;
use super::super::state::guid;
use super::super::tokens::unix_now;
use super::{Bench, Reply, XDR};
use crate::jwt::PrivateKey;

const APP: &[u8] = include_bytes!("../../../certs/sandbox/app.pem");
const OTHER: &[u8] = include_bytes!("../../../certs/sandbox/federation-key.pem");

fn key(pem: &[u8]) -> PrivateKey {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem).unwrap();
    PrivateKey::from_der(der.secret_pkcs8_der()).unwrap()
}

fn header(algorithm: Algorithm) -> Header {
    let certificate = CertificateDer::from_pem_slice(APP).unwrap();
    let mut header = Header::new(algorithm);
    if algorithm == Algorithm::PS256 {
        header.x5t_s256 = Some(BASE64URL.encode(digest(&SHA256, &certificate)));
    } else {
        header.x5t = Some(BASE64URL.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate)));
    }
    header
}

impl Bench {
    /// Claims as they are right.
    fn claims(&self) -> Value {
        let client_id = &self.sandbox.options().client_id;
        json!({
            "aud": format!("{}{}", self.sandbox.login(), self.token_path()),
            "iss": client_id,
            "sub": client_id,
            "jti": guid(),
            "nbf": unix_now(),
            "exp": unix_now() + 600,
        })
    }

    fn changed(&self, claim: &str, value: impl Into<Value>) -> String {
        let mut claims = self.claims();
        claims[claim] = value.into();
        key(APP).sign(&header(Algorithm::PS256), &claims).unwrap()
    }

    async fn present(&self, assertion: &str) -> Reply {
        let form = format!(
            "grant_type=client_credentials&client_id={}&scope={XDR}/.default&client_assertion={assertion}\
             &client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            self.sandbox.options().client_id
        );
        self.ask(&self.token_path(), &form).await
    }

    async fn refuses(&self, assertion: &str, status: u16, code: u32) {
        let reply = self.present(assertion).await;
        let body = reply.json();
        assert_eq!(
            (reply.status.as_u16(), &body["error_codes"]),
            (status, &json!([code])),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_certificate_gets_a_token_by_either_algorithm() {
    let bench = Bench::start().await;
    for algorithm in [Algorithm::PS256, Algorithm::RS256] {
        let assertion = key(APP).sign(&header(algorithm), &bench.claims()).unwrap();
        let reply = bench.present(&assertion).await;
        let token = reply.json()["access_token"].as_str().unwrap().to_owned();
        assert_eq!(
            bench.api("/api/incidents", &token).await.status.as_u16(),
            200
        );
        bench.refuses(&assertion, 401, 50012).await;
    }
}

#[tokio::test]
async fn times_may_be_text_or_have_a_fraction() {
    let bench = Bench::start().await;
    let (begins, ends) = (unix_now(), unix_now() + 600);
    for (begins, ends) in [
        (json!(begins.to_string()), json!(ends.to_string())),
        (
            Value::Null,
            serde_json::from_str(&format!("{ends}.25")).unwrap(),
        ),
    ] {
        let mut claims = bench.claims();
        claims["nbf"] = begins;
        claims["exp"] = ends;
        let assertion = key(APP).sign(&header(Algorithm::RS256), &claims).unwrap();
        assert_eq!(
            bench.present(&assertion).await.status.as_u16(),
            200,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn a_thumbprint_may_be_padded() {
    let bench = Bench::start().await;
    let unpadded = header(Algorithm::PS256);
    let padded = Header {
        x5t_s256: unpadded
            .x5t_s256
            .as_ref()
            .map(|digest| format!("{digest}=")),
        ..unpadded
    };
    let assertion = key(APP).sign(&padded, &bench.claims()).unwrap();
    assert_eq!(bench.present(&assertion).await.status.as_u16(), 200);
}

#[tokio::test]
async fn each_part_of_an_assertion_is_checked() {
    let bench = Bench::start().await;
    let v2 = header(Algorithm::PS256);
    let foreign = key(OTHER).sign(&v2, &bench.claims()).unwrap();
    let unnamed = key(APP)
        .sign(&Header::new(Algorithm::PS256), &bench.claims())
        .unwrap();
    for (assertion, status, code) in [
        (foreign, 401, 700_027),
        (unnamed, 401, 700_027),
        (bench.changed("exp", unix_now() - 600), 401, 700_024),
        (bench.changed("nbf", unix_now() + 600), 401, 700_024),
        (bench.changed("exp", Value::Null), 401, 50027),
        (bench.changed("jti", Value::Null), 401, 50027),
        (
            bench.changed("aud", "https://elsewhere.example"),
            401,
            50012,
        ),
        (bench.changed("sub", "someone"), 401, 50012),
        (bench.changed("iss", "someone"), 400, 70021),
        ("no.jwt".to_owned(), 401, 50027),
    ] {
        bench.refuses(&assertion, status, code).await;
    }
}

#[tokio::test]
async fn another_issuer_is_trusted_about_one_subject() {
    let bench = Bench::start().await;
    let token = bench.sandbox.federated_token();
    for _ in 0..2 {
        assert_eq!(
            bench.present(&token).await.status.as_u16(),
            200,
            "until it ends"
        );
    }
    let url = format!("{}/_sandbox/federated-token", bench.sandbox.login());
    let fetched = bench.get(&url, "").await.text();
    assert_eq!(bench.present(&fetched).await.status.as_u16(), 200);
    let other = bench.get(&format!("{url}?subject=other"), "").await.text();
    bench.refuses(&other, 400, 70021).await;
    let managed = federation::managed_identity_token(
        &bench.sandbox.state,
        federation::MANAGED_IDENTITY,
        std::time::Duration::from_mins(5),
    );
    assert_eq!(bench.present(&managed).await.status.as_u16(), 200);
    let forged = managed.rsplit_once('.').unwrap().0;
    let signature = token.rsplit_once('.').unwrap().1;
    bench
        .refuses(&format!("{forged}.{signature}"), 401, 700_027)
        .await;
}

#[tokio::test]
async fn a_public_client_has_no_credential() {
    let bench = Bench::start().await;
    let public = &bench.sandbox.options().public_client_id;
    let form = bench
        .form(XDR)
        .replace(&bench.sandbox.options().client_id, public);
    let reply = bench.ask(&bench.token_path(), &form).await;
    assert_eq!(
        (reply.status.as_u16(), &reply.json()["error_codes"]),
        (401, &json!([700_025]))
    );
}

#[tokio::test]
async fn tokens_are_signed_with_the_published_key() {
    let bench = Bench::start().await;
    let token = bench.token(XDR).await;
    let url = format!("{}/common/discovery/v2.0/keys", bench.sandbox.login());
    let keys = bench.get(&url, "").await.json();
    let part = |name: &str| {
        BASE64URL
            .decode(keys["keys"][0][name].as_str().unwrap())
            .unwrap()
    };
    let public = crate::jwt::PublicKey {
        n: part("n"),
        e: part("e"),
    };
    let mut validation = jsonwebtoken::Validation::new(Algorithm::RS256);
    validation.set_audience(&[XDR]);
    assert!(public.verify::<Value>(&token, &validation).is_ok());
}
