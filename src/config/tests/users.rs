//! Identities of kind `user`.

use super::*;
use crate::auth::identity::{SignIn, StoreConfig, User};

const ALICE: &str = "[identity.alice]
kind = 'user'
tenant = 'contoso.example'
client_id = '11111111-1111-1111-1111-111111111111'
";

fn user(lines: &str) -> User {
    let config = parse(&format!("{ALICE}{lines}")).unwrap_or_else(|error| panic!("{error}"));
    let Kind::User(user) = &config.identities[0].kind else {
        panic!("a user");
    };
    user.clone()
}

#[test]
fn browser_and_keyring_are_usual() {
    let user = user("");
    assert_eq!(user.store, StoreConfig::Keyring);
    assert!(matches!(user.sign_in, SignIn::Browser));
}

#[test]
fn other_ways_and_places() {
    let device = user("sign_in = 'device'\nstore = 'memory'");
    assert!(matches!(device.sign_in, SignIn::Device));
    assert_eq!(device.store, StoreConfig::Memory);

    let password = user(
        "sign_in = 'password'\nusername = 'alice@contoso.example'\npassword = { env = 'PASSWORD' }",
    );
    let SignIn::Password { username, password } = password.sign_in else {
        panic!("a password");
    };
    assert_eq!(username, "alice@contoso.example");
    assert_eq!(password, SecretSource::Env("PASSWORD".to_owned()));

    let file = user("store = 'file'\nstore_key = { env = 'KEY' }\nstore_file = 'alice.sign-in'");
    let expected = StoreConfig::File {
        // Relative to the folder of the file.
        path: Some("etc/alice.sign-in".into()),
        key: SecretSource::Env("KEY".to_owned()),
    };
    assert_eq!(file.store, expected);
}

#[test]
fn faults_name_key_and_remedy() {
    for (lines, start) in [
        (
            "sign_in = 'app'",
            "5 identity.alice.sign_in: must be \"browser\", \"device\" or \"password\"",
        ),
        (
            "store = 'disk'",
            "5 identity.alice.store: must be \"keyring\", \"file\" or \"memory\"",
        ),
        ("store = 1", "5 identity.alice.store: must be"),
        (
            "store = 'file'",
            "1 identity.alice.store_key: is missing: write store_key = { env",
        ),
        (
            "store_key = { env = 'KEY' }",
            "5 identity.alice.store_key: is only used with store = \"file\"",
        ),
        (
            "store = 'file'\nstore_key = 'S3cret'",
            "6 identity.alice.store_key: must not hold the secret itself",
        ),
        (
            "username = 'alice'",
            "5 identity.alice.username: is only used with sign_in = \"password\"",
        ),
        (
            "sign_in = 'password'\nusername = 'alice'",
            "1 identity.alice.password: is missing: write password = { env",
        ),
        (
            "sign_in = 'password'\nusername = 'a'\npassword = 'S3cret'",
            "7 identity.alice.password: must not hold the secret itself",
        ),
        (
            "credential = { secret = { env = 'A' } }",
            "5 identity.alice.credential: is for applications",
        ),
        (
            "stor = 'file'",
            "5 identity.alice.stor: is no key known here: did you mean `store`?",
        ),
    ] {
        let found = faults(&format!("{ALICE}{lines}"));
        assert_eq!(found.len(), 1, "{lines}: {found:#?}");
        assert!(
            found[0].starts_with(start) && !found[0].contains("S3cret"),
            "{lines}: {found:#?}"
        );
    }
}
