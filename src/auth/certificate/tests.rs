use std::{fs, path::Path};

use jsonwebtoken::{Algorithm, Validation};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::{
    auth::{TokenKey, identity::AssertionAlgorithm},
    jwt::{PrivateKey, PublicKey},
};

const PASSWORD: &str = "sandbox-password-do-not-use";

fn sandbox_file(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/sandbox");
    fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(bytes: &[u8], password: &str) -> Result<Signer, CertificateError> {
    let password = (!password.is_empty()).then(|| Secret::from(password.to_owned()));
    file::read(bytes, password.as_ref())
}

fn app_key() -> rcgen::KeyPair {
    let pem = String::from_utf8(sandbox_file("app.pem")).unwrap();
    let key = &pem[pem.find("-----BEGIN PRIVATE").unwrap()..];
    rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(key, &rcgen::PKCS_RSA_SHA256).unwrap()
}

/// A certificate for the app's key from and until so many days from now, with the key.
fn lasting(from: i64, until: i64) -> String {
    let day = |days: i64| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = i64::try_from(now.unwrap().as_secs()).unwrap() + days * 24 * 3600;
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds.try_into().unwrap())
    };
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    (params.not_before, params.not_after) = (day(from), day(until));
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, format!("lasts {until} days"));
    let key = app_key();
    let certificate = params.self_signed(&key).unwrap();
    format!("{}{}", certificate.pem(), key.serialize_pem())
}

#[test]
fn every_form_of_file_is_read() {
    let plain = read(&sandbox_file("app.pem"), "").unwrap();
    for (name, password) in [
        ("app.pem", PASSWORD),
        ("app-encrypted.pem", PASSWORD),
        ("app-3des.pem", PASSWORD),
        ("app.p12", PASSWORD),
        ("app-legacy.p12", PASSWORD),
        ("app-empty.p12", ""),
    ] {
        let signer =
            read(&sandbox_file(name), password).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(format!("{signer:?}"), format!("{plain:?}"), "{name}");
        assert_eq!(signer.subject(), "CN=defender-proxy sandbox app");
        assert_eq!(day(signer.ends()), "2126-10-29");
        signer.check_time(SystemTime::now()).unwrap();
    }
}

#[test]
fn a_key_of_pkcs1_and_text_between_sections_are_read() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let pkcs8 = app_key().serialize_der();
    let info = pkcs8::PrivateKeyInfoRef::try_from(pkcs8.as_slice()).unwrap();
    let base64 = STANDARD.encode(info.private_key.as_bytes());
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(64)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    let pem = String::from_utf8(sandbox_file("app.pem")).unwrap();
    let (certificate, _) = pem.split_once("-----BEGIN PRIVATE").unwrap();
    let text = format!(
        "Bag Attributes\r\n-----BEGIN RSA PRIVATE KEY-----\r\n{}\r\n-----END RSA PRIVATE KEY-----\r\nsubject=x\r\n{certificate}",
        lines.join("\r\n")
    );
    read(text.as_bytes(), "").unwrap();
}

#[test]
fn what_can_not_sign_is_refused_with_what_to_do() {
    let app = String::from_utf8(sandbox_file("app.pem")).unwrap();
    let (certificate, key) = app.split_at(app.find("-----BEGIN PRIVATE").unwrap());
    let other_key = String::from_utf8(sandbox_file("signing-key.pem")).unwrap();
    let short = String::from_utf8(sandbox_file("short.pem")).unwrap();
    let elliptic = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
    let elliptic = format!(
        "{}{}",
        elliptic.cert.pem(),
        elliptic.signing_key.serialize_pem()
    );
    for (bytes, password, told) in [
        (Vec::new(), "", "neither PEM nor PKCS#12"),
        (b"S3cret".to_vec(), "", "neither PEM nor PKCS#12"),
        (b"0S3cret".to_vec(), "", "damaged"),
        (app.as_bytes()[..app.len() - 40].to_vec(), "", "damaged"),
        (certificate.as_bytes().to_vec(), "", "no private key"),
        (key.as_bytes().to_vec(), "", "no certificate"),
        (
            format!("{certificate}{other_key}").into(),
            "",
            "belongs to none",
        ),
        (elliptic.into(), "", "not RSA"),
        (format!("{short}{key}").into(), "", "has 1024 bits"),
        (
            sandbox_file("app-traditional.pem"),
            PASSWORD,
            "openssl pkcs8 -topk8",
        ),
        (sandbox_file("app-pbes1.pem"), PASSWORD, "not supported"),
        (sandbox_file("app-encrypted.pem"), "", "add password"),
        (
            sandbox_file("app-encrypted.pem"),
            "S3cret",
            "doesn't open it",
        ),
        (sandbox_file("app.p12"), "", "add password"),
        (sandbox_file("app.p12"), "S3cret", "doesn't open it"),
        (sandbox_file("app-legacy.p12"), "S3cret", "doesn't open it"),
        (sandbox_file("app.p12")[..900].to_vec(), PASSWORD, "damaged"),
    ] {
        let error = read(&bytes, password).expect_err(told);
        let text = format!("{} {error:?}", Chain(&error));
        assert!(text.contains(told), "{told}: {text}");
        assert!(!text.contains("S3cret"), "{text}");
    }
}

#[test]
fn of_a_chain_the_certificate_of_the_key_is_taken() {
    let other = String::from_utf8(sandbox_file("signing-key.pem")).unwrap();
    let ca_key =
        rcgen::KeyPair::from_pkcs8_pem_and_sign_algo(&other, &rcgen::PKCS_RSA_SHA256).unwrap();
    let ca = rcgen::CertificateParams::new(Vec::new())
        .unwrap()
        .self_signed(&ca_key)
        .unwrap();
    let chain = format!("{}{}{}", ca.pem(), lasting(-1, 10), lasting(-1, 20));
    assert_eq!(
        read(chain.as_bytes(), "").unwrap().subject(),
        "CN=lasts 20 days"
    );
}

#[test]
fn a_certificate_outside_its_time_is_refused_before_entra_id_is_asked() {
    let now = SystemTime::now();
    let time = |from, until| {
        read(lasting(from, until).as_bytes(), "")
            .unwrap()
            .check_time(now)
    };
    assert!(matches!(time(-2, -1), Err(CertificateError::Expired(_))));
    assert!(matches!(time(1, 2), Err(CertificateError::NotYetValid(_))));
    assert!(time(-1, 1).is_ok());
}

/// A file in a folder of its own, and the state that a proxy has of it.
struct Case {
    dir: TempDir,
    certificate: Certificate,
    held: Certificates,
}

impl Case {
    fn new(content: impl AsRef<[u8]>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let certificate = Certificate {
            file: dir.path().join("app.pem"),
            password: None,
            algorithm: AssertionAlgorithm::Ps256,
        };
        fs::write(&certificate.file, content).unwrap();
        let held = Certificates::default();
        Self {
            dir,
            certificate,
            held,
        }
    }

    async fn sign(&self) -> Result<Secret, CertificateError> {
        let key = TokenKey {
            identity: "soc".into(),
            tenant: "contoso.example".parse().unwrap(),
            audience: "https://graph.microsoft.com".parse().unwrap(),
        };
        let asking = Asking {
            client_id: &CLIENT.parse().unwrap(),
            key: &key,
            token_url: URL,
        };
        self.held.sign(&self.certificate, asking).await
    }
}

const CLIENT: &str = "5a9db0c5-0000-4000-8000-0000000000aa";
const URL: &str = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token";

fn verified(token: &Secret, algorithm: Algorithm) -> jsonwebtoken::TokenData<Value> {
    let public: PublicKey = PrivateKey::from_der(&app_key().serialize_der())
        .unwrap()
        .public()
        .clone();
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[URL]);
    validation.set_issuer(&[CLIENT]);
    validation.validate_nbf = true;
    public.verify(token.expose(), &validation).unwrap()
}

#[tokio::test]
async fn assertions_are_as_entra_id_documents_them() {
    let mut case = Case::new(sandbox_file("app.pem"));
    let token = case.sign().await.unwrap();
    let data = verified(&token, Algorithm::PS256);
    // Of `openssl x509 -outform der | openssl dgst -sha256 -binary | basenc --base64url`, without padding.
    assert_eq!(data.header.x5t_s256.as_deref(), Some(SHA256));
    assert_eq!(
        (data.header.x5t, data.header.typ.as_deref()),
        (None, Some("JWT"))
    );
    let claim = |name: &str| data.claims[name].clone();
    assert_eq!((claim("iss"), claim("sub")), (CLIENT.into(), CLIENT.into()));
    let lives = claim("exp").as_u64().unwrap() - claim("nbf").as_u64().unwrap();
    assert_eq!(lives, 600);
    assert!(uuid::Uuid::parse_str(claim("jti").as_str().unwrap()).is_ok());
    let again = verified(&case.sign().await.unwrap(), Algorithm::PS256);
    assert_ne!(again.claims["jti"], claim("jti"));
    assert!(!token.expose().contains('='));

    case.certificate.algorithm = AssertionAlgorithm::Rs256;
    let data = verified(&case.sign().await.unwrap(), Algorithm::RS256);
    assert_eq!(data.header.x5t.as_deref(), Some(SHA1));
    assert_eq!(data.header.x5t_s256, None);
}

#[tokio::test]
async fn a_rotated_file_signs_at_once_and_a_broken_one_leaves_the_last() {
    let case = Case::new(sandbox_file("app.pem"));
    let thumbprint = async || {
        let token = case.sign().await.unwrap();
        verified(&token, Algorithm::PS256).header.x5t_s256
    };
    assert_eq!(thumbprint().await.as_deref(), Some(SHA256));
    let next = lasting(-1, 100);
    fs::write(&case.certificate.file, &next[..next.len() / 2]).unwrap();
    assert_eq!(thumbprint().await.as_deref(), Some(SHA256));
    fs::write(&case.certificate.file, lasting(1, 100)).unwrap();
    assert_eq!(thumbprint().await.as_deref(), Some(SHA256), "not yet valid");
    fs::remove_file(&case.certificate.file).unwrap();
    assert_eq!(thumbprint().await.as_deref(), Some(SHA256));
    let whole = case.dir.path().join("next.pem");
    fs::write(&whole, next).unwrap();
    fs::rename(&whole, &case.certificate.file).unwrap();
    let rotated = thumbprint().await;
    assert_ne!(rotated.as_deref(), Some(SHA256));
    assert_eq!(thumbprint().await, rotated);
}

#[tokio::test]
async fn a_file_that_was_never_of_use_is_an_error() {
    let case = Case::new("S3cret");
    assert!(matches!(case.sign().await, Err(CertificateError::Format)));
    fs::remove_file(&case.certificate.file).unwrap();
    assert!(matches!(case.sign().await, Err(CertificateError::Read(_))));
    fs::write(&case.certificate.file, lasting(-2, -1)).unwrap();
    assert!(matches!(
        case.sign().await,
        Err(CertificateError::Expired(_))
    ));
}

#[tokio::test]
async fn a_near_end_is_warned_of_once() {
    let case = Case::new(lasting(-1, 29));
    for _ in 0..2 {
        case.sign().await.unwrap();
    }
    let first = case
        .held
        .get(&case.certificate)
        .unwrap()
        .warned
        .expect("a warning");
    case.sign().await.unwrap();
    let warned = || case.held.get(&case.certificate).unwrap().warned;
    assert_eq!(warned(), Some(first));
    fs::write(&case.certificate.file, lasting(-1, 31)).unwrap();
    case.sign().await.unwrap();
    assert_eq!(warned(), None);
}

const SHA256: &str = "2-gyKCYbAlcTB489FNQd8TLkFOmPsGbnfTb1e5EPcmw";
const SHA1: &str = "z8MrbZAO5m26fcqCLPqR0jk8Ld8";
