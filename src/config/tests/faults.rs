//! One fault each, and what is said of it.

use super::{SOC, faults};

#[test]
fn one_faulty_key_is_named_with_its_line() {
    for (text, start) in cases(IN_THE_FILE) {
        // After a good identity of five lines, so the first line of a case is line 6.
        assert_one_fault(&format!("{SOC}{text}\n"), start);
    }
}

#[test]
fn faulty_identities_are_named_with_their_line() {
    for (change, start) in cases(IN_THE_IDENTITY) {
        // The lines a case numbers replace the line of that number in a good identity.
        let (number, _) = change.split_once(':').expect("a numbered line");
        let change = change.lines().map(|line| {
            let (mark, line) = line.split_once(':').expect("a numbered line");
            assert_eq!(mark, number);
            line.trim_start()
        });
        let change: Vec<_> = change.collect();
        let mut lines: Vec<_> = SOC.lines().collect();
        let place = number.parse::<usize>().expect(number) - 1;
        lines.splice(place..=place, change);
        assert_one_fault(&lines.join("\n"), start);
    }
}

#[test]
fn one_fault_hides_no_other() {
    let text = "[identity.soc]\nkind = 'app'\ntenant = 'common'\ncredential = 'S3cret'\nkeys = 1\n\
                [cloud]\nname = 'custom'\nregion = 'eu'\nlogin = 'https://localhost:1'\n";
    let found = faults(text);
    for start in [
        "1 identity.soc.client_id: is missing",
        "2 identity.soc.kind: must be",
        "3 identity.soc.tenant: `common` names no tenant",
        "4 identity.soc.credential: must not hold the secret itself",
        "5 identity.soc.keys: is no key known here",
        "6 cloud: a custom cloud needs all its hosts: add defender_xdr, defender_endpoint, graph",
        "8 cloud.region: only the public cloud has regions",
    ] {
        assert!(
            found.iter().any(|fault| fault.starts_with(start)),
            "{start}: {found:#?}"
        );
    }
    assert_eq!(found.len(), 7, "{found:#?}");
}

/// The cases of a table: each a text, then `=>` and how the fault begins, then an empty line.
fn cases(table: &str) -> impl Iterator<Item = (&str, &str)> {
    let cases = table.trim().split("\n\n");
    cases.map(|case| case.split_once("\n=> ").expect(case))
}

fn assert_one_fault(text: &str, start: &str) {
    let found = faults(text);
    assert_eq!(found.len(), 1, "{text}: {found:#?}");
    assert!(found[0].starts_with(start), "{text}: {found:#?}");
    assert!(!found[0].contains("S3cret"), "{found:#?}");
}

const IN_THE_FILE: &str = r#"
[listen]
address = '0.0.0.0:80'
=> 7 listen.address: would let the whole network

[listen]
address = '0.0.0.0:80'
client_key = { env = 'K' }
=> 7 listen.address: would

[listen]
address = '8080'
=> 7 listen.address: must be an IP address

[listen]
address = 8080
=> 7 listen.address: must be a text in quotes

[listen]
adress = 'x'
=> 7 listen.adress: is no key known here: did you mean `address`?

[listen]
zzzzzzzzzz = 1
=> 7 listen.zzzzzzzzzz: is no key known here: choose from address,

[listen]
allowed_hosts = ['http://x']
=> 7 listen.allowed_hosts[0]: must be a host

[listen]
allowed_hosts = [
'ok',
7]
=> 9 listen.allowed_hosts[1]: must be a text

[listen]
allowed_origins = ['*']
=> 7 listen.allowed_origins[0]: must be exactly

[listen]
client_key = 'S3cret'
=> 7 listen.client_key: must not hold the secret itself

[listen]
tls = { cert = 'c.pem' }
=> 7 listen.tls.key: is missing: write key = 

[listen]
stand_in_login = 'no'
=> 7 listen.stand_in_login: must be true or false

listen = 5
=> 6 identity.soc.listen: is no key known here

[admin]
address = '127.0.0.1:9090'
=> 6 admin: is not yet supported in this version

[cloud]
name = 'gcchigh'
=> 7 cloud.name: is no cloud known here: write one of public, gcc

[cloud]
region = 'mars'
=> 7 cloud.region: is no region known here: write one of us, eu

[cloud]
name = 'dod'
region = 'eu'
=> 8 cloud.region: only the public cloud has regions

[cloud]
name = 'custom'
login = 'https://localhost:1'
=> 6 cloud: a custom cloud needs all its hosts: add defender_xdr, defender_endpoint, graph

[cloud]
login = 'https://a.example/common'
=> 7 cloud.login: must end after the host

[cloud]
graph = 'http://a.example'
=> 7 cloud.graph: http:// would send a token unencrypted

[upstream]
connect_timeout = 10
=> 7 upstream.connect_timeout: must be a time with its unit, like "10s"

[upstream]
connect_timeout = '10'
=> 7 upstream.connect_timeout: must be a time with its unit

[upstream]
response_timeout = '0s'
=> 7 upstream.response_timeout: must be a time from

[upstream]
proxy = 'http://u:S3cret@p'
=> 7 upstream.proxy: must not hold a user name or password: never put a password in the file

[upstream]
ca = ''
=> 7 upstream.ca: must name a file

[route]
prefix = '/'
=> 6 route: must be a list: write [[route]]

[[route]]
api = 'defender'
=> 6 route[0].prefix: is missing: write prefix = "/"

[[route]]
prefix = '/a/../b'
api = 'defender'
=> 7 route[0].prefix: must be a plain path

[[route]]
prefix = '/'
=> 6 route[0]: must say where it leads

[[route]]
prefix = '/'
upstream = 'https://a.example'
=> 6 route[0]: must say where it leads

[[route]]
prefix = '/'
api = 'graph'
=> 8 route[0].api: must be "defender"

[[route]]
prefix = '/'
api = 'defender'
upstream = 'https://a.example'
=> 8 route[0].api: leads elsewhere

[[route]]
prefix = '/'
upstream = 'https://a.example/v1'
audience = 'api://a'
=> 8 route[0].upstream: must end after the host and port

[[route]]
prefix = '/'
upstream = 'https://a.example'
audience = 'a'
=> 9 route[0].audience: must be the identifier of the API

[[route]]
prefix = '/'
api = 'defender'
identity = 'sok'
=> 9 route[0].identity: is no identity of this file: did you mean `soc`?

[[route]]
prefix = '/'
api = 'defender'
methods = ['get']
=> 9 route[0].methods[0]: must be a method in capital letters

[[route]]
prefix = '/'
api = 'defender'
methods = ['TRACE']
=> 9 route[0].methods[0]: must not be CONNECT or TRACE

[[route]]
prefix = '/'
api = 'defender'
methods = []
=> 9 route[0].methods: would allow nothing

[[route]]
prefix = '/'
api = 'defender'
methods = ['GET']
read_only = true
=> 9 route[0].methods: contradicts read_only

[[route]]
prefix = '/'
api = 'defender'
on_throttle = { wait = '30' }
=> 9 route[0].on_throttle.wait: must be a time with its unit

[[route]]
prefix = '/'
api = 'defender'
on_throttle = { wait = '999ms' }
=> 9 route[0].on_throttle.wait: must be a time from "1s" to "1h"

[[route]]
prefix = '/'
api = 'defender'
on_throttle = { wait = '61m' }
=> 9 route[0].on_throttle.wait: must be a time from "1s" to "1h"

[[route]]
prefix = '/'
api = 'defender'
on_throttle = {}
=> 9 route[0].on_throttle.wait: is missing

[[route]]
prefix = '/'
api = 'defender'
on_throttle = { wait = '30s', most = 3 }
=> 9 route[0].on_throttle.most: is no key known here

[[route]]
prefix = '/'
api = 'defender'
pace = 100
=> 9 route[0].pace: must be true or false

[[route]]
prefix = '/'
api = 'defender'
on_throttle = 'wait'
=> 9 route[0].on_throttle: must be

[[route]]
prefix = '/'
api = 'defender'
[[route]]
prefix = '/'
api = 'defender'
=> 9 route[1]: has the prefix of the route in line 6

[rout]
x = 1
=> 6 rout: is no key known here: did you mean `route`?

["a b"]
=> 6 "a b": is no key known here
"#;

const IN_THE_IDENTITY: &str = r#"
2:
=> 1 identity.soc.kind: is missing: write kind = "application"

2: kind = 'app'
=> 2 identity.soc.kind: must be "application"

2: kind = 'user'
=> 5 identity.soc.credential: is for applications: a user's app is a public client and has none

3: tenant = 'common'
=> 3 identity.soc.tenant: `common` names no tenant

3: tenant = 'contoso'
=> 3 identity.soc.tenant: must be the tenant's id

3:
=> 1 identity.soc.tenant: is missing

4: client_id = 'soc'
=> 4 identity.soc.client_id: must be the application (client) id

5:
=> 1 identity.soc.credential: is missing: write credential = { secret = { env =

5: credential = 'default'
=> 5 identity.soc.credential: finds nothing in the environment: set one of AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH, AZURE_FEDERATED_TOKEN_FILE

5: credential = 'S3cret'
=> 5 identity.soc.credential: must not hold the secret itself

5: credential = { secret = 'S3cret' }
=> 5 identity.soc.credential.secret: must not hold the secret itself

5: credential = { secret = 12345 }
=> 5 identity.soc.credential.secret: must be a table

5: credential = {}
=> 5 identity.soc.credential: says not how to prove who it is

5: credential = { secret = { env = 'A' }, managed_identity = true }
=> 5 identity.soc.credential: must have exactly one key

5: credential = { certificat = { file = 'app.pem' }, secret = { env = 'A' } }
=> 5 identity.soc.credential.certificat: is no key known here: did you mean `certificate`?

5: credential = { certificate = 'app.pem' }
=> 5 identity.soc.credential.certificate: must be a table

5: credential = { certificate = {} }
=> 5 identity.soc.credential.certificate.file: is missing: write file = "app.pem"

5: credential = { certificate = { file = 'app.pem', password = 'S3cret' } }
=> 5 identity.soc.credential.certificate.password: must not hold the secret itself

5: credential = { certificate = { file = 'app.pem' }, password = 'S3cret' }
=> 5 identity.soc.credential.password: belongs to the certificate

5: credential = { certificate = { file = 'app.pem', algorithm = 'ES256' } }
=> 5 identity.soc.credential.certificate.algorithm: must be "PS256" (the default) or "RS256"

5: credential = { federated_token_file = '' }
=> 5 identity.soc.credential.federated_token_file: must name a file

5: credential = { managed_identity = false }
=> 5 identity.soc.credential.managed_identity: must be true, { client_id = 

5: credential = { managed_identity = 'yes' }
=> 5 identity.soc.credential.managed_identity: must be true or false

5: credential = { managed_identity = {} }
=> 5 identity.soc.credential.managed_identity: must name one identity

5: credential = { managed_identity = { client_id = 'x' } }
=> 5 identity.soc.credential.managed_identity.client_id: must be the application (client) id

5: credential = { managed_identity = { object_id = 'x' } }
=> 1 identity.soc: names two managed identities: remove `client_id`

5: credential = { secret = {} }
=> 5 identity.soc.credential.secret: says not where the secret is kept

5: credential = { secret = { keyring = 'S3cret~x' } }
=> 5 identity.soc.credential.secret.keyring: must be the user name of an entry in the keyring

5: credential = { secret = { env = 'A', file = 'b' } }
=> 5 identity.soc.credential.secret: must have exactly one key

5: credential = { secret = { env = 'S3cret~x' } }
=> 5 identity.soc.credential.secret.env: must be the name of an environment variable

5: credential = { secret = { command = 'S3cret x' } }
=> 5 identity.soc.credential.secret.command: must be a list of program

5: credential = { secret = { command = [] } }
=> 5 identity.soc.credential.secret.command: must be a list of program

5: credential = { secret = { comand = ['x'], env = 'X' } }
=> 5 identity.soc.credential.secret.comand: is no key known here: did you mean `command`?

2: client_secret = 'S3cret'
2: kind = 'application'
=> 2 identity.soc.client_secret: does not stand here: write credential = 

2: store = 'keyring'
2: kind = 'application'
=> 2 identity.soc.store: is no key known here

1: [identity.'a b']
=> 1 identity."a b": must have a name of letters

1: [identity]
=> 1 identity: must be a table under a name
"#;
