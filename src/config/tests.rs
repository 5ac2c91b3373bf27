mod credentials;
mod faults;
mod partner;
mod users;

use std::fs;
use std::time::Duration;

use http::Method;
use proptest::prelude::*;

use super::*;
use crate::auth::identity::{Credential, Kind};
use crate::auth::secret::SecretSource;
use crate::cloud::Family;

const SAMPLE: &str = include_str!("../../proxy.toml");

/// The four lines of one good identity.
const SOC: &str = "[identity.soc]
kind = 'application'
tenant = 'contoso.example'
client_id = '11111111-1111-1111-1111-111111111111'
credential = { secret = { env = 'DEFENDER_CLIENT_SECRET' } }
";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Source::File("etc/proxy.toml".into()), &|_| None)
}

/// The faults of a text as `line key: message`.
fn faults(text: &str) -> Vec<String> {
    let error = parse(text).expect_err(text);
    assert!(!error.faults().is_empty(), "{text}");
    let show = |fault: &Fault| format!("{} {fault}", fault.line.unwrap_or(0));
    error.faults().iter().map(show).collect()
}

/// A second identity like the first.
fn also(name: &str) -> String {
    SOC.replace("soc", name)
}

#[test]
fn sample_is_a_configuration() {
    let config = parse(SAMPLE).expect("the sample");
    assert_eq!(&*config.identities[0].name, "soc");
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.cloud.name(), "public");
    let [route] = config.routes.as_slice() else {
        panic!("one built-in route: {:?}", config.routes);
    };
    assert_eq!(
        (route.prefix.as_str(), &route.target),
        ("/", &RouteTarget::Defender)
    );
    assert_eq!((&route.methods, route.rewrite_links), (&Methods::All, true));
}

#[test]
fn everything_the_sample_shows_is_possible() {
    let mut text = String::new();
    for line in SAMPLE.lines() {
        let shown = line.strip_prefix("# ").unwrap_or(line);
        // The sample shows several credentials, of which there can be one.
        let example = shown.starts_with('[') || shown.contains(" = ") && !shown.contains('`');
        let other_credential = line.starts_with("# credential");
        text += if example && !other_credential {
            shown
        } else {
            ""
        };
        text += "\n";
    }
    let config = parse(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.listen.allowed_hosts, ["proxy.contoso.example:8080"]);
    assert_eq!(config.listen.allowed_origins, ["http://localhost:3000"]);
    assert!(config.listen.client_key.is_some());
    let tls = config.listen.tls.expect("tls");
    // Relative to the folder of the file.
    assert_eq!(tls.cert, Path::new("etc/certs/localhost.pem"));
    assert_eq!(
        config.upstream.ca.as_deref(),
        Some(Path::new("etc/corp-root.pem"))
    );
    let proxy = config.upstream.proxy.expect("a proxy").to_string();
    assert_eq!(proxy, "http://proxy.contoso.example:3128/");
    assert_eq!(config.routes.len(), 2);
    assert_eq!(
        config.routes[0].methods,
        Methods::Only(vec![Method::GET, Method::HEAD, Method::POST])
    );
    assert_eq!(config.routes[1].methods, Methods::ReadOnly);
    let RouteTarget::Api(api) = &config.routes[1].target else {
        panic!("an upstream: {:?}", config.routes[1]);
    };
    assert_eq!(api.origin.host(), "graph.microsoft.com");
}

#[test]
fn all_faults_come_at_once_in_the_order_of_lines() {
    let text = "[[route]]
prefix = 'x'
identity = 'nobody'
[upstream]
connect_timeout = 5
[identity.soc]
kind = 'application'
[identity.old]
kind = 'user'
[cloud]
regoin = 'eu'
";
    let keys: Vec<_> = parse(text)
        .expect_err("faulty")
        .faults()
        .iter()
        .map(|fault| (fault.line, fault.key.clone()))
        .collect();
    let expected = [
        (1, "route[0]"),
        (2, "route[0].prefix"),
        (3, "route[0].identity"),
        (5, "upstream.connect_timeout"),
        (6, "identity.soc.tenant"),
        (6, "identity.soc.client_id"),
        (6, "identity.soc.credential"),
        (8, "identity.old.tenant"),
        (8, "identity.old.client_id"),
        (11, "cloud.regoin"),
    ];
    let expected: Vec<_> = expected
        .map(|(line, key)| (Some(line), key.to_owned()))
        .into();
    assert_eq!(keys, expected);
}

#[test]
fn an_error_is_one_line_per_fault() {
    let error = parse("[upstream]\nca = 1\n").expect_err("faulty");
    let text = error.to_string();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(lines[0].starts_with("etc/proxy.toml: identity: there is nobody to sign in as"));
    assert_eq!(
        lines[1],
        "etc/proxy.toml:2: upstream.ca: must be a text in quotes"
    );
}

#[test]
fn syntax_errors_come_all_at_once_and_show_nothing() {
    let text = "[identity.soc]\nclient_secret = S3cret~x\ntenant = 'ok'\nclient_id = 'S3cret\n";
    let error = parse(text).expect_err("no TOML");
    let lines: Vec<_> = error.faults().iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [Some(2), Some(4)], "{error}");
    assert!(!error.to_string().contains("S3cret"), "{error}");
    assert!(!format!("{error:?}").contains("S3cret"));
}

#[test]
fn secrets_are_kept_in_four_kinds_of_places() {
    for (place, source) in [
        ("env = 'NAME'", SecretSource::Env("NAME".into())),
        (
            "file = 'client.secret'",
            SecretSource::File("etc/client.secret".into()),
        ),
        ("file = '/run/s'", SecretSource::File("/run/s".into())),
        (
            "keyring = 'soc@app'",
            SecretSource::Keyring("soc@app".into()),
        ),
        (
            "command = ['pass', 'show']",
            SecretSource::Command(vec!["pass".into(), "show".into()]),
        ),
        (
            "command = ['bin/pass']",
            SecretSource::Command(vec![
                Path::new("etc").join("bin/pass").display().to_string(),
            ]),
        ),
    ] {
        let config = parse(&SOC.replace("env = 'DEFENDER_CLIENT_SECRET'", place)).expect(place);
        let Kind::Application {
            credential, tenant, ..
        } = &config.identities[0].kind
        else {
            panic!("{:?}", config.identities[0]);
        };
        let Credential::Secret(found) = credential else {
            panic!("{credential:?}");
        };
        assert_eq!(found, &source);
        assert_eq!(tenant.as_str(), "contoso.example");
    }
}

#[test]
fn routes_add_to_the_built_in_one_or_replace_it() {
    let hunting = "[[route]]\nprefix = '/api/incidents'\napi = 'defender'\nrewrite_links = false\n";
    let config = parse(&format!("{SOC}{hunting}")).expect("one more route");
    let prefixes: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.prefix.as_str())
        .collect();
    assert_eq!(prefixes, ["/api/incidents", "/"]);
    assert!(!config.routes[0].rewrite_links);

    let root = "[[route]]\nprefix = '/'\napi = 'defender'\nread_only = true\n";
    let config = parse(&format!("{SOC}{root}")).expect("a replaced route");
    assert_eq!(config.routes.len(), 1);
    assert_eq!(config.routes[0].methods, Methods::ReadOnly);
}

#[test]
fn several_identities_need_routes_that_name_them() {
    let two = format!("{SOC}{}", also("hunting"));
    let found = faults(&two);
    assert!(
        found[0].starts_with("0 route: with several identities"),
        "{found:?}"
    );
    assert!(found[0].contains("soc, hunting"), "{found:?}");

    let route = "[[route]]\nprefix = '/api'\napi = 'defender'\n";
    let found = faults(&format!("{two}{route}"));
    assert!(
        found[0].starts_with("11 route[0].identity: is missing"),
        "{found:?}"
    );

    let config = parse(&format!("{two}{route}identity = 'hunting'\n")).expect("a named identity");
    assert_eq!(config.routes.len(), 1, "no built-in route");
    assert_eq!(&*config.routes[0].identity.name, "hunting");
    let names: Vec<_> = config
        .identities
        .iter()
        .map(|identity| &*identity.name)
        .collect();
    assert_eq!(names, ["soc", "hunting"], "in the order of the file");
}

#[test]
fn users_share_no_file() {
    let user = |name: &str, file: &str| {
        format!(
            "[identity.{name}]\nkind = \"user\"\ntenant = \"contoso.com\"\n\
             client_id = \"5a9db0c5-0000-4000-8000-0000000000cc\"\nstore = \"file\"\n\
             store_key = {{ env = \"KEY\" }}\nstore_file = \"{file}\"\n"
        )
    };
    let shared = |file: &str| faults(&(user("alice", "a/one") + &user("bob", file)));
    let own = |faults: Vec<String>| faults.iter().any(|fault| fault.contains("already that of"));
    assert!(!own(shared("a/two")));
    for file in ["a/one", "a/./one"] {
        let faults = shared(file);
        let found = faults
            .iter()
            .find(|fault| fault.starts_with("14 ") && fault.contains("identity 'alice'"));
        assert!(found.is_some(), "{faults:?}");
    }
}

#[test]
fn cloud_and_times_are_read() {
    let text = format!(
        "{SOC}[cloud]\nregion = 'eu'\ndefender_xdr = 'https://localhost:4430'\n\
         [upstream]\nconnect_timeout = '1500ms'\n"
    );
    let config = parse(&text).expect("a configuration");
    assert_eq!(
        config.cloud.api(Family::Endpoint).origin.host(),
        "eu.api.security.microsoft.com"
    );
    assert_eq!(
        config.cloud.api(Family::Xdr).origin.authority(),
        "localhost:4430"
    );
    assert_eq!(config.upstream.connect_timeout, Duration::from_millis(1500));
    assert_eq!(config.upstream.response_timeout, Duration::from_mins(5));
}

#[test]
fn guarded_listeners_may_be_open_to_the_network() {
    let text = format!(
        "{SOC}[listen]\naddress = '[::]:8443'\nclient_key = {{ env = 'KEY' }}\n\
         tls = {{ cert = 'c.pem', key = 'k.pem' }}\n"
    );
    let config = parse(&text).expect("guarded");
    assert_eq!(config.listen.address.to_string(), "[::]:8443");
}

#[cfg(unix)]
#[test]
fn socket_files_are_relative_to_the_file() {
    let text = format!("{SOC}[listen]\naddress = 'unix:proxy.sock'\n");
    let config = parse(&text).expect("a socket");
    assert_eq!(
        config.listen.address,
        ListenAddress::Unix("etc/proxy.sock".into())
    );
}

/// An environment of the given variables.
fn environment<'a>(variables: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

const AZURE: [(&str, &str); 3] = [
    ("AZURE_TENANT_ID", "contoso.example"),
    ("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111"),
    ("AZURE_CLIENT_SECRET", "S3cret"),
];

#[test]
fn files_are_looked_for_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let own = at("config").join("defender-proxy");
    let work = at("work");
    fs::create_dir_all(&own).expect("a folder");
    fs::create_dir_all(&work).expect("a folder");
    let config = at("config").to_string_lossy().into_owned();
    let asked = at("asked.toml").to_string_lossy().into_owned();
    let mut variables = AZURE.to_vec();
    variables.push(("XDG_CONFIG_HOME", config.as_str()));
    variables.push(("APPDATA", config.as_str()));
    let load = |file: Option<&Path>, variables: &[(&str, &str)]| {
        Config::load_in(&work, file, &environment(variables)).map(|config| config.source)
    };

    assert_eq!(
        load(None, &variables).expect("variables"),
        Source::Environment
    );
    for path in [own.join("proxy.toml"), work.join("proxy.toml")] {
        fs::write(&path, SOC).expect("a file");
        assert_eq!(load(None, &variables).expect("a file"), Source::File(path));
    }
    variables.push(("DEFENDER_PROXY_CONFIG", asked.as_str()));
    let error = load(None, &variables)
        .expect_err("asked for and absent")
        .to_string();
    assert!(error.contains("asked.toml: does not exist"), "{error}");
    fs::write(&asked, SOC).expect("a file");
    assert_eq!(
        load(None, &variables).expect("a file"),
        Source::File(at("asked.toml"))
    );
    fs::write(at("given.toml"), SOC).expect("a file");
    let given = load(Some(&at("given.toml")), &variables).expect("a file");
    assert_eq!(given, Source::File(at("given.toml")));
}

#[test]
fn unreadable_files_are_faults() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = Config::load(Some(folder.path()), &|_| None).expect_err("a folder");
    assert!(error.to_string().contains("cannot be read"), "{error}");
    let path = folder.path().join("proxy.toml");
    fs::write(&path, b"# ok\n\n# \xff\n").expect("a file");
    let error = Config::load(Some(&path), &|_| None).expect_err("no text");
    assert_eq!(error.faults()[0].line, Some(3));
}

#[test]
fn variables_alone_are_enough() {
    let folder = tempfile::tempdir().expect("a folder");
    for (authority, host, cloud) in [
        (
            "https://login.microsoftonline.us/",
            "login.microsoftonline.us",
            "gcc-high",
        ),
        (
            "login.microsoftonline.us",
            "login.microsoftonline.us",
            "gcc-high",
        ),
        (
            "https://login.contoso.example",
            "login.contoso.example",
            "public",
        ),
        ("", "login.microsoftonline.com", "public"),
    ] {
        let mut variables = AZURE.to_vec();
        variables.push(("AZURE_AUTHORITY_HOST", authority));
        let config = Config::load_in(folder.path(), None, &environment(&variables));
        let config = config.expect("a configuration");
        assert_eq!(config.cloud.login().host(), host);
        assert_eq!(config.cloud.name(), cloud);
        assert_eq!(config.routes.len(), 1);
        assert!(!format!("{config:?}").contains("S3cret"));
    }
}

#[test]
fn missing_variables_are_all_named_with_the_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let load = |variables: &[(&str, &str)]| {
        let config = Config::load_in(folder.path(), None, &environment(variables));
        config.expect_err("incomplete").to_string()
    };
    let error = load(&[("HOME", "/home/alice"), ("APPDATA", "/home/alice/.config")]);
    for part in [
        "environment: AZURE_TENANT_ID: is not set",
        "environment: AZURE_CLIENT_ID: is not set",
        "environment: AZURE_CLIENT_SECRET: is not set",
        "AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE",
        "work/proxy.toml",
        "defender-proxy init",
    ] {
        let part = part.replace("work", &folder.path().to_string_lossy());
        assert!(error.contains(&part), "{part}: {error}");
    }
    let own = Path::new("/home/alice/.config")
        .join("defender-proxy")
        .join("proxy.toml");
    assert!(error.contains(&*own.to_string_lossy()), "{error}");

    let error = load(&[("AZURE_TENANT_ID", "common"), AZURE[1], AZURE[2]]);
    assert!(
        error.starts_with("environment: AZURE_TENANT_ID: `common` names no tenant"),
        "{error}"
    );
}

/// Texts near to good ones, where the readers' own branches are.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,8}",
        Just("[[route]]\n".to_owned()),
        Just("[identity.".to_owned()),
        Just("= { env = ".to_owned()),
        Just("\n[cloud]\nname = 'custom'\n".to_owned()),
        Just("''".to_owned()),
        Just("\"\"\"".to_owned()),
        Just("=".to_owned()),
        Just("\r\n".to_owned()),
    ];
    let cut = (any::<prop::sample::Index>(), 0..20usize, piece);
    prop::collection::vec(cut, 1..4).prop_map(|cuts| {
        let shown: Vec<_> = SAMPLE
            .lines()
            .map(|line| line.trim_start_matches("# "))
            .collect();
        let mut text: Vec<char> = shown.join("\n").chars().collect();
        for (index, length, piece) in cuts {
            let start = index.index(text.len());
            let end = text.len().min(start + length);
            text.splice(start..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_panics(text in prop_oneof!["\\PC{0,60}", "[\\[\\]a-z=\"'.{},\n# ]{0,60}", mutated()]) {
        if let Err(error) = parse(&text) {
            prop_assert!(!error.faults().is_empty());
            let lines = 1 + text.matches('\n').count();
            for fault in error.faults() {
                prop_assert!(fault.line.is_none_or(|line| (1..=lines).contains(&line)));
                prop_assert!(!fault.message.contains('\n'));
            }
        }
    }

    #[test]
    fn a_secret_in_the_wrong_place_is_never_shown(place in 0..8usize, quote in any::<bool>()) {
        let secret = if quote { "'q7w~S3cret'" } else { "q7w~S3cret" };
        let text = format!("{SOC}[listen]\n[[route]]\nprefix = '/'\napi = 'defender'\n");
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let line = &mut lines[place];
        *line = match line.split_once(" = ") {
            Some((key, _)) => format!("{key} = {secret}"),
            None => format!("{line}\nclient_key = {secret}"),
        };
        if let Err(error) = parse(&lines.join("\n")) {
            let shown = format!("{error} {error:?}");
            prop_assert!(!shown.contains("S3cret"), "{}", shown);
        }
    }
}
