//! How applications prove who they are: in the file, and by the environment.

use crate::auth::identity::{AssertionAlgorithm, Certificate, ManagedIdentity};

use super::*;

const GUID: &str = "5a9db0c5-0000-4000-8000-0000000000dd";

/// The kind of an application with this credential, tenant and client id left out.
fn kind(credential: &str, env: &[(&str, &str)]) -> Result<(Kind, Vec<String>), ConfigError> {
    let text = format!("[identity.soc]\nkind = 'application'\ncredential = {credential}\n");
    let source = Source::File("etc/proxy.toml".into());
    let config = Config::parse(&text, source, &environment(env))?;
    Ok((config.identities[0].kind.clone(), config.notes))
}

fn credential(text: &str) -> Credential {
    let config = parse(&SOC.replace("{ secret = { env = 'DEFENDER_CLIENT_SECRET' } }", text));
    let config = config.expect(text);
    let Kind::Application { credential, .. } = &config.identities[0].kind else {
        panic!("{config:?}");
    };
    credential.clone()
}

#[test]
fn certificates_are_relative_to_the_file() {
    let Credential::Certificate(certificate) = credential("{ certificate = { file = 'app.pem' } }")
    else {
        panic!("a certificate");
    };
    assert_eq!(certificate.file, Path::new("etc/app.pem"));
    assert!(certificate.password.is_none());
    assert_eq!(certificate.algorithm, AssertionAlgorithm::Ps256);

    let text =
        "{ certificate = { file = '/app.p12', password = { env = 'P' }, algorithm = 'RS256' } }";
    let Credential::Certificate(certificate) = credential(text) else {
        panic!("a certificate");
    };
    assert_eq!(certificate.password, Some(SecretSource::Env("P".into())));
    assert_eq!(certificate.algorithm, AssertionAlgorithm::Rs256);
}

#[test]
fn federated_token_files_are_relative_to_the_file() {
    let Credential::FederatedTokenFile(file) = credential("{ federated_token_file = 'token' }")
    else {
        panic!("a file");
    };
    assert_eq!(file, Path::new("etc/token"));
}

#[test]
fn a_managed_identity_needs_neither_tenant_nor_client_id() {
    let guid = || GUID.parse().expect("an id");
    for (text, expected) in [
        ("true".to_owned(), ManagedIdentity::SystemAssigned),
        (
            format!("{{ client_id = '{GUID}' }}"),
            ManagedIdentity::ClientId(guid()),
        ),
        (
            "{ object_id = 'o' }".to_owned(),
            ManagedIdentity::ObjectId("o".into()),
        ),
        (
            "{ resource_id = '/r' }".to_owned(),
            ManagedIdentity::ResourceId("/r".into()),
        ),
        // One that stands beside it selects as well.
        (
            format!("true }}\nclient_id = '{GUID}'\ntenant = 'contoso.example' #"),
            ManagedIdentity::ClientId(guid()),
        ),
        (
            format!("{{ client_id = '{GUID}' }} }}\nclient_id = '{GUID}' #"),
            ManagedIdentity::ClientId(guid()),
        ),
    ] {
        let (kind, _) = kind(&format!("{{ managed_identity = {text} }}"), &[]).expect(&text);
        let Kind::Managed { managed, .. } = kind else {
            panic!("{kind:?}");
        };
        assert_eq!(managed, expected, "{text}");
    }
}

const DEFAULTS: [(&str, &str); 3] = [
    ("AZURE_CLIENT_SECRET", "S3cret"),
    ("AZURE_CLIENT_CERTIFICATE_PATH", "/app.pem"),
    ("AZURE_FEDERATED_TOKEN_FILE", "/token"),
];

/// What is taken of what there is, from the file and without one.
fn taken(variables: &[(&str, &str)]) -> (Credential, String) {
    let variables = [&AZURE[..2], variables].concat();
    let (kind, notes) = kind("'default'", &variables).expect("a credential");
    let folder = tempfile::tempdir().expect("a folder");
    let alone = Config::load_in(folder.path(), None, &environment(&variables)).expect("the same");
    let of = |kind: &Kind| {
        let Kind::Application {
            tenant,
            client_id,
            credential,
        } = kind
        else {
            panic!("{kind:?}");
        };
        assert_eq!(tenant.as_str(), AZURE[0].1);
        assert_eq!(client_id.as_str(), AZURE[1].1);
        credential.clone()
    };
    let credential = of(&kind);
    assert_eq!(
        format!("{credential:?}"),
        format!("{:?}", of(&alone.identities[0].kind))
    );
    let [note] = notes.as_slice() else {
        panic!("{notes:?}");
    };
    assert_eq!(alone.notes, [note.replace("identity.soc.", "")]);
    (credential, note.clone())
}

#[test]
fn the_default_takes_the_first_that_is_there_and_says_why() {
    let (credential, why) = taken(&DEFAULTS);
    assert!(
        matches!(&credential, Credential::Secret(SecretSource::Env(name)) if name == DEFAULTS[0].0)
    );
    assert_eq!(
        why,
        "identity.soc.credential: took the client secret of AZURE_CLIENT_SECRET, which is looked for first"
    );

    let (credential, why) = taken(&DEFAULTS[1..]);
    let Credential::Certificate(Certificate { file, password, .. }) = credential else {
        panic!("{credential:?}");
    };
    assert_eq!((file.as_path(), password), (Path::new("/app.pem"), None));
    assert!(
        why.ends_with("of AZURE_CLIENT_CERTIFICATE_PATH, as there is no AZURE_CLIENT_SECRET"),
        "{why}"
    );

    let password = ("AZURE_CLIENT_CERTIFICATE_PASSWORD", "S3cret");
    let (credential, _) = taken(&[DEFAULTS[1], password, ("AZURE_CLIENT_SECRET", "")]);
    let Credential::Certificate(Certificate { password, .. }) = credential else {
        panic!("{credential:?}");
    };
    assert_eq!(
        password,
        Some(SecretSource::Env(
            "AZURE_CLIENT_CERTIFICATE_PASSWORD".into()
        ))
    );

    let (credential, why) = taken(&DEFAULTS[2..]);
    assert!(
        matches!(&credential, Credential::FederatedTokenFile(file) if file == Path::new("/token"))
    );
    assert!(
        why.contains("no AZURE_CLIENT_SECRET and no AZURE_CLIENT_CERTIFICATE_PATH"),
        "{why}"
    );
}

#[test]
fn the_file_wins_over_the_variables_of_tenant_and_client_id() {
    let own = format!("'default'\ntenant = 'fabrikam.example'\nclient_id = '{GUID}'");
    let variables = [&AZURE[..2], &DEFAULTS].concat();
    let (kind, _) = kind(&own, &variables).expect("a configuration");
    let Kind::Application {
        tenant, client_id, ..
    } = kind
    else {
        panic!("{kind:?}");
    };
    assert_eq!(
        (tenant.as_str(), client_id.as_str()),
        ("fabrikam.example", GUID)
    );
}

#[test]
fn what_the_default_lacks_is_named() {
    let error = kind("'default'", &DEFAULTS)
        .expect_err("no tenant")
        .to_string();
    for part in [
        "identity.soc.tenant: is missing",
        "or set AZURE_TENANT_ID",
        "or set AZURE_CLIENT_ID",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let tenant = [("AZURE_TENANT_ID", "common"), AZURE[1], DEFAULTS[0]];
    let error = kind("'default'", &tenant)
        .expect_err("no tenant")
        .to_string();
    assert!(
        error.contains("takes AZURE_TENANT_ID, but: `common` names no tenant"),
        "{error}"
    );
    assert!(!error.contains("S3cret"), "{error}");
}
