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
        // The sample shows three credentials, of which there can be one.
        let example = shown.starts_with('[') || shown.contains(" = ") && !shown.contains("`");
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
fn one_faulty_key_is_named_with_its_line() {
    // Appended to a good identity of five lines, so the first line here is line 6.
    let table = [
        (
            "[listen]\naddress = '0.0.0.0:80'",
            "7 listen.address: would let the whole network",
        ),
        (
            "[listen]\naddress = '0.0.0.0:80'\nclient_key = { env = 'K' }",
            "7 listen.address: would",
        ),
        (
            "[listen]\naddress = '8080'",
            "7 listen.address: must be an IP address",
        ),
        (
            "[listen]\naddress = 8080",
            "7 listen.address: must be a text in quotes",
        ),
        (
            "[listen]\nadress = 'x'",
            "7 listen.adress: is no key known here: did you mean `address`?",
        ),
        (
            "[listen]\nzzzzzzzzzz = 1",
            "7 listen.zzzzzzzzzz: is no key known here: choose from address,",
        ),
        (
            "[listen]\nallowed_hosts = ['http://x']",
            "7 listen.allowed_hosts[0]: must be a host",
        ),
        (
            "[listen]\nallowed_hosts = [\n'ok',\n7]",
            "9 listen.allowed_hosts[1]: must be a text",
        ),
        (
            "[listen]\nallowed_origins = ['*']",
            "7 listen.allowed_origins[0]: must be exactly",
        ),
        (
            "[listen]\nclient_key = 'S3cret'",
            "7 listen.client_key: must not hold the secret itself",
        ),
        (
            "[listen]\ntls = { cert = 'c.pem' }",
            "7 listen.tls.key: is missing: write key = ",
        ),
        (
            "[listen]\nstand_in_login = true",
            "7 listen.stand_in_login: is not yet supported",
        ),
        (
            "[listen]\nstand_in_login = 'no'",
            "7 listen.stand_in_login: must be true or false",
        ),
        ("listen = 5", "6 identity.soc.listen: is no key known here"),
        (
            "[admin]\naddress = '127.0.0.1:9090'",
            "6 admin: is not yet supported in this version",
        ),
        (
            "[cloud]\nname = 'gcchigh'",
            "7 cloud.name: is no cloud known here: write one of public, gcc",
        ),
        (
            "[cloud]\nregion = 'mars'",
            "7 cloud.region: is no region known here: write one of us, eu",
        ),
        (
            "[cloud]\nname = 'dod'\nregion = 'eu'",
            "8 cloud.region: only the public cloud has regions",
        ),
        (
            "[cloud]\nname = 'custom'\nlogin = 'https://localhost:1'",
            "6 cloud: a custom cloud needs all its hosts: add defender_xdr, defender_endpoint, graph",
        ),
        (
            "[cloud]\nlogin = 'https://a.example/common'",
            "7 cloud.login: must end after the host",
        ),
        (
            "[cloud]\ngraph = 'http://a.example'",
            "7 cloud.graph: http:// would send a token unencrypted",
        ),
        (
            "[upstream]\nconnect_timeout = 10",
            "7 upstream.connect_timeout: must be a time with its unit, like \"10s\"",
        ),
        (
            "[upstream]\nconnect_timeout = '10'",
            "7 upstream.connect_timeout: must be a time with its unit",
        ),
        (
            "[upstream]\nresponse_timeout = '0s'",
            "7 upstream.response_timeout: must be a time from",
        ),
        (
            "[upstream]\nproxy = 'http://u:S3cret@p'",
            "7 upstream.proxy: must not hold a user name or password: never put a password in the file",
        ),
        ("[upstream]\nca = ''", "7 upstream.ca: must name a file"),
        (
            "[route]\nprefix = '/'",
            "6 route: must be a list: write [[route]]",
        ),
        (
            "[[route]]\napi = 'defender'",
            "6 route[0].prefix: is missing: write prefix = \"/\"",
        ),
        (
            "[[route]]\nprefix = '/a/../b'\napi = 'defender'",
            "7 route[0].prefix: must be a plain path",
        ),
        (
            "[[route]]\nprefix = '/'",
            "6 route[0]: must say where it leads",
        ),
        (
            "[[route]]\nprefix = '/'\nupstream = 'https://a.example'",
            "6 route[0]: must say where it leads",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'graph'",
            "8 route[0].api: must be \"defender\"",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nupstream = 'https://a.example'",
            "8 route[0].api: leads elsewhere",
        ),
        (
            "[[route]]\nprefix = '/'\nupstream = 'https://a.example/v1'\naudience = 'api://a'",
            "8 route[0].upstream: must end after the host and port",
        ),
        (
            "[[route]]\nprefix = '/'\nupstream = 'https://a.example'\naudience = 'a'",
            "9 route[0].audience: must be the identifier of the API",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nidentity = 'sok'",
            "9 route[0].identity: is no identity of this file: did you mean `soc`?",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nmethods = ['get']",
            "9 route[0].methods[0]: must be a method in capital letters",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nmethods = ['TRACE']",
            "9 route[0].methods[0]: must not be CONNECT or TRACE",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nmethods = []",
            "9 route[0].methods: would allow nothing",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\nmethods = ['GET']\nread_only = true",
            "9 route[0].methods: contradicts read_only",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\non_throttle = { wait = '30s' }",
            "9 route[0].on_throttle: is not yet supported",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\non_throttle = 'wait'",
            "9 route[0].on_throttle: must be",
        ),
        (
            "[[route]]\nprefix = '/'\napi = 'defender'\n[[route]]\nprefix = '/'\napi = 'defender'",
            "9 route[1]: has the prefix of the route in line 6",
        ),
        (
            "[rout]\nx = 1",
            "6 rout: is no key known here: did you mean `route`?",
        ),
        ("[\"a b\"]", "6 \"a b\": is no key known here"),
    ];
    for (text, start) in table {
        let found = faults(&format!("{SOC}{text}\n"));
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(start), "{text}: {found:#?}");
        assert!(!found[0].contains("S3cret"), "{found:#?}");
    }
}

#[test]
fn faulty_identities_are_named_with_their_line() {
    // Each replaces one line of the good identity.
    let credential = "credential = { secret = { env = 'DEFENDER_CLIENT_SECRET' } }";
    let table = [
        (
            "kind = 'application'",
            "",
            "1 identity.soc.kind: is missing: write kind = \"application\"",
        ),
        (
            "kind = 'application'",
            "kind = 'app'",
            "2 identity.soc.kind: must be \"application\"",
        ),
        (
            "kind = 'application'",
            "kind = 'user'\nsign_in = 'browser'",
            "2 identity.soc.kind: names a kind that is not yet supported",
        ),
        (
            "kind = 'application'",
            "kind = 'partner'\ncustomers = {}",
            "2 identity.soc.kind: names a kind that is not yet supported",
        ),
        (
            "'contoso.example'",
            "'common'",
            "3 identity.soc.tenant: `common` names no tenant",
        ),
        (
            "'contoso.example'",
            "'contoso'",
            "3 identity.soc.tenant: must be the tenant's id",
        ),
        (
            "tenant = 'contoso.example'",
            "",
            "1 identity.soc.tenant: is missing",
        ),
        (
            "'11111111-1111-1111-1111-111111111111'",
            "'soc'",
            "4 identity.soc.client_id: must be the application (client) id",
        ),
        (
            credential,
            "",
            "1 identity.soc.credential: is missing: write credential = { secret = { env =",
        ),
        (
            credential,
            "credential = 'default'",
            "5 identity.soc.credential: is not yet supported",
        ),
        (
            credential,
            "credential = 'S3cret'",
            "5 identity.soc.credential: must not hold the secret itself",
        ),
        (
            credential,
            "credential = { secret = 'S3cret' }",
            "5 identity.soc.credential.secret: must not hold the secret itself",
        ),
        (
            credential,
            "credential = { secret = 12345 }",
            "5 identity.soc.credential.secret: must be a table",
        ),
        (
            credential,
            "credential = {}",
            "5 identity.soc.credential: says not how to prove who it is",
        ),
        (
            credential,
            "credential = { certificate = { file = 'app.pem' } }",
            "5 identity.soc.credential.certificate: is not yet supported",
        ),
        (
            credential,
            "credential = { federated_token_file = '/var/t' }",
            "5 identity.soc.credential.federated_token_file: is not yet",
        ),
        (
            credential,
            "credential = { managed_identity = true }",
            "5 identity.soc.credential.managed_identity: is not yet supported",
        ),
        (
            credential,
            "credential = { secret = {} }",
            "5 identity.soc.credential.secret: says not where the secret is kept",
        ),
        (
            credential,
            "credential = { secret = { keyring = 'S3cret' } }",
            "5 identity.soc.credential.secret.keyring: is not yet supported",
        ),
        (
            credential,
            "credential = { secret = { env = 'A', file = 'b' } }",
            "5 identity.soc.credential.secret: must have exactly one key",
        ),
        (
            credential,
            "credential = { secret = { env = 'S3cret~x' } }",
            "5 identity.soc.credential.secret.env: must be the name of an environment variable",
        ),
        (
            credential,
            "credential = { secret = { command = 'S3cret x' } }",
            "5 identity.soc.credential.secret.command: must be a list of program",
        ),
        (
            credential,
            "credential = { secret = { command = [] } }",
            "5 identity.soc.credential.secret.command: must be a list of program",
        ),
        (
            credential,
            "credential = { secret = { comand = ['x'], env = 'X' } }",
            "5 identity.soc.credential.secret.comand: is no key known here: did you mean `command`?",
        ),
        (
            "kind =",
            "client_secret = 'S3cret'\nkind =",
            "2 identity.soc.client_secret: does not stand here: write credential = ",
        ),
        (
            "kind =",
            "store = 'keyring'\nkind =",
            "2 identity.soc.store: is not yet supported",
        ),
        (
            "[identity.soc]",
            "[identity.'a b']",
            "1 identity.\"a b\": must have a name of letters",
        ),
        (
            "[identity.soc]",
            "[identity]",
            "1 identity: must be a table under a name",
        ),
    ];
    for (good, bad, start) in table {
        let text = SOC.replace(good, bad);
        assert_ne!(text, SOC, "{good}");
        let found = faults(&text);
        assert!(found[0].starts_with(start), "{text}: {found:#?}");
        assert!(!found.concat().contains("S3cret"), "{found:#?}");
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
    }
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
        (9, "identity.old.kind"),
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
fn secrets_are_kept_in_three_kinds_of_places() {
    for (place, source) in [
        ("env = 'NAME'", SecretSource::Env("NAME".into())),
        (
            "file = 'client.secret'",
            SecretSource::File("etc/client.secret".into()),
        ),
        ("file = '/run/s'", SecretSource::File("/run/s".into())),
        (
            "command = ['pass', 'show']",
            SecretSource::Command(vec!["pass".into(), "show".into()]),
        ),
        (
            "command = ['bin/pass']",
            SecretSource::Command(vec!["etc/bin/pass".into()]),
        ),
    ] {
        let config = parse(&SOC.replace("env = 'DEFENDER_CLIENT_SECRET'", place)).expect(place);
        let Kind::Application {
            credential, tenant, ..
        } = &config.identities[0].kind;
        let Credential::Secret(found) = credential;
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
    for (authority, host) in [
        (
            "https://login.microsoftonline.us/",
            "login.microsoftonline.us",
        ),
        (
            "https://login.microsoftonline.us",
            "login.microsoftonline.us",
        ),
        ("login.microsoftonline.us", "login.microsoftonline.us"),
        ("", "login.microsoftonline.com"),
    ] {
        let mut variables = AZURE.to_vec();
        variables.push(("AZURE_AUTHORITY_HOST", authority));
        let config = Config::load_in(folder.path(), None, &environment(&variables));
        let config = config.expect("a configuration");
        assert_eq!(config.cloud.login().host(), host);
        assert_eq!(
            config.cloud.name(),
            "public",
            "only the place to sign in changes"
        );
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

    let federated = [
        AZURE[0],
        AZURE[1],
        ("AZURE_FEDERATED_TOKEN_FILE", "/var/token"),
    ];
    let error = load(&federated);
    assert!(
        error.contains("AZURE_FEDERATED_TOKEN_FILE: is not yet supported"),
        "{error}"
    );
    assert!(
        !error.contains("AZURE_CLIENT_SECRET: is not set"),
        "{error}"
    );

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
