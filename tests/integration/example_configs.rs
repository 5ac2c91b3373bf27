//! The configurations of examples/, as they stand there: each is without a fault, and each serves in front of the stand-ins.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use defender_proxy::config::Config;
use http::StatusCode;
use serde_json::json;

use crate::{
    credentials::{INCIDENTS, PASSWORD, sandbox_file},
    customers::{CONTOSO, FABRIKAM},
    people::{ALICE, Machine},
    sign_in::code,
    support::{Proxy, Upstreams},
};

/// An example, and what makes it serve.
struct Example {
    name: &'static str,
    target: &'static str,
    /// The file of certs/sandbox in the place of its app.pem.
    certificate: &'static str,
    sign_in: SignIn,
}

/// What a person does before.
#[derive(Clone, Copy)]
enum SignIn {
    Nothing,
    Browser,
    Device,
}

const APPLICATION: Example = Example {
    name: "",
    target: INCIDENTS,
    certificate: "app.pem",
    sign_in: SignIn::Nothing,
};
const PARTNER: Example = Example {
    target: "/t/contoso/api/incidents",
    ..APPLICATION
};

/// Every file of the folder stands here: a new one is not an example before a test has seen it serve.
const EXAMPLES: &[Example] = &[
    Example {
        name: "application-certificate.toml",
        certificate: "app-encrypted.pem",
        ..APPLICATION
    },
    Example {
        name: "application-default.toml",
        ..APPLICATION
    },
    Example {
        name: "application-federated.toml",
        ..APPLICATION
    },
    Example {
        name: "application-managed-identity.toml",
        ..APPLICATION
    },
    Example {
        name: "application-secret.toml",
        ..APPLICATION
    },
    Example {
        name: "partner-certificate.toml",
        ..PARTNER
    },
    Example {
        name: "partner-federated.toml",
        ..PARTNER
    },
    Example {
        name: "partner-managed-identity.toml",
        ..PARTNER
    },
    Example {
        name: "partner-secret.toml",
        ..PARTNER
    },
    Example {
        name: "user-browser.toml",
        sign_in: SignIn::Browser,
        ..APPLICATION
    },
    Example {
        name: "user-device.toml",
        sign_in: SignIn::Device,
        ..APPLICATION
    },
    Example {
        name: "user-password.toml",
        ..APPLICATION
    },
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

fn files() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|kind| kind == "toml")
        })
        .collect()
}

/// What the examples ask their reader to set, and where the platforms of the stand-ins are.
fn variables(upstreams: &Upstreams) -> Vec<(&'static str, String)> {
    let options = upstreams.sandbox.options();
    let metadata = upstreams.sandbox.managed_identity().to_owned();
    vec![
        ("DEFENDER_CLIENT_SECRET", options.client_secret.clone()),
        ("APP_CERTIFICATE_PASSWORD", PASSWORD.to_owned()),
        ("AZURE_TENANT_ID", options.tenant.clone()),
        ("AZURE_CLIENT_ID", options.client_id.clone()),
        ("AZURE_CLIENT_SECRET", options.client_secret.clone()),
        ("AZURE_POD_IDENTITY_AUTHORITY_HOST", metadata),
    ]
}

/// The example with the ids, files and hosts of the stand-ins in the place of those it shows.
fn led_to(upstreams: &Upstreams, example: &Example) -> String {
    let options = upstreams.sandbox.options();
    let dir = upstreams.dir.path();
    let token = dir.join("token");
    fs::write(&token, upstreams.sandbox.federated_token()).unwrap();
    fs::copy(sandbox_file(example.certificate), dir.join("app.pem")).unwrap();
    let mut text = fs::read_to_string(folder().join(example.name)).unwrap();
    let client_id = match example.name.split('-').next() {
        Some("user") => &options.public_client_id,
        _ => &options.client_id,
    };
    for (shown, real) in [
        ("00000000-0000-0000-0000-000000000000", &*options.tenant),
        ("00000000-0000-0000-0000-00000000000a", CONTOSO),
        ("00000000-0000-0000-0000-00000000000b", FABRIKAM),
        ("11111111-1111-1111-1111-111111111111", client_id),
        (
            "/var/run/secrets/azure/tokens/azure-identity-token",
            token.to_str().unwrap(),
        ),
        // No machine that runs tests has a keyring.
        (
            "store = \"keyring\"",
            "store = \"file\"\nstore_key = { env = \"SIGN_IN_KEY\" }",
        ),
    ] {
        text = text.replace(shown, real);
    }
    let own = upstreams.config();
    let (cloud, _) = own.split_once("[identity.").unwrap();
    let (_, upstream) = own.split_once("[upstream]").unwrap();
    format!("{cloud}{text}\n[upstream]{upstream}")
}

#[test]
fn every_example_is_tried() {
    let tried: BTreeSet<_> = EXAMPLES
        .iter()
        .map(|example| example.name.to_owned())
        .collect();
    assert_eq!(files(), tried);
}

/// As it stands, and with each of the other credentials that it shows in comments.
#[test]
fn every_example_and_all_that_it_shows_is_without_a_fault() {
    let variables = [
        ("AZURE_TENANT_ID", "contoso.example"),
        ("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
        ("AZURE_CLIENT_SECRET", "secret"),
    ];
    let env = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    for name in files() {
        let path = folder().join(&name);
        Config::load(Some(&path), &env).unwrap_or_else(|error| panic!("{error}"));
        let text = fs::read_to_string(&path).unwrap();
        let shown = text.lines().filter_map(|line| line.strip_prefix("# "));
        for other in shown.filter(|line| line.starts_with("credential = ")) {
            let used = text.lines().find(|line| line.starts_with("credential = "));
            let text = text.replace(used.expect("a credential"), other);
            let source = defender_proxy::config::Source::File(path.clone());
            Config::parse(&text, source, &env).unwrap_or_else(|error| panic!("{other}: {error}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_example_serves() {
    for example in EXAMPLES {
        let upstreams = Upstreams::start().await;
        let config = upstreams.write_config(&led_to(&upstreams, example)).into();
        let machine = Machine { upstreams, config };
        sign_in(&machine, example.sign_in).await;
        let mut serve = machine.command(&["serve", "--listen", "127.0.0.1:0", "-v"]);
        serve.envs(variables(&machine.upstreams));
        let proxy = Proxy::spawn(serve, machine.upstreams.dir.path().join("serve.log"));
        let answer = proxy.get(example.target).await;
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "{}: {}",
            example.name,
            answer.text()
        );
        assert!(!answer.json()["value"].as_array().unwrap().is_empty());
    }
}

/// Signs Alice in as the example asks for.
async fn sign_in(machine: &Machine, way: SignIn) {
    match way {
        SignIn::Nothing => {}
        SignIn::Browser => machine.signed_in().await,
        SignIn::Device => {
            machine
                .upstreams
                .settings(json!({"device_interval": 0}))
                .await;
            let login = machine.login(&[]);
            let message = login.line(|line| line.contains("enter the code"));
            machine.enter(&code(&message), ("user", ALICE)).await;
            login.end().await.ok();
        }
    }
}
