//! Which upstream a request target leads to, and what is sent there.

use std::{fmt::Write, sync::LazyLock, time::Duration};

use defender_proxy::{
    auth::AccessToken,
    body::Outgoing,
    config::{Config, Source},
    guard::Guard,
    route::Routes,
};
use http::{HeaderValue, Method, Request, header::HOST};

/// A request goes to the upstream of the route that its path has to whoever reads it there, with that route's audience, under
/// that route's restrictions, and with the client's own target to the byte.
pub(crate) fn route_target(method: &Method, target: &str) {
    for table in &*TABLES {
        if let Some(sent) = table.send(method, target) {
            table.compare(method, target, &sent);
        }
    }
}

struct Table {
    routes: Routes,
    /// Prefix, upstream's host, and whether it is for reading only; the longest prefix first.
    known: &'static [(&'static str, &'static str, bool)],
}

/// Where a request went.
struct Sent {
    host: String,
    audience: String,
    target: String,
}

impl Table {
    fn send(&self, method: &Method, target: &str) -> Option<Sent> {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .body(())
            .ok()?;
        let host = request
            .uri()
            .authority()
            .map_or("localhost", |host| host.as_str());
        let host = HeaderValue::from_str(host).ok()?;
        request.headers_mut().insert(HOST, host);
        let guard = Guard::new(Vec::new(), Vec::new(), None, false);
        let (outbound, ()) = self.routes.resolve(guard.admit(request).ok()?).ok()?;
        let token = AccessToken::new("ours", Duration::from_hours(1), None, 0)?;
        let sent = outbound.authorize(&token, Outgoing::Empty);
        let uri = sent.as_request().uri();
        assert_eq!(uri.scheme_str(), Some("https"));
        assert_eq!(sent.as_request().method(), method);
        Some(Sent {
            host: uri.authority().expect("a host").to_string(),
            audience: outbound.key().audience.to_string(),
            target: uri.path_and_query().expect("a target").to_string(),
        })
    }

    fn compare(&self, method: &Method, target: &str, sent: &Sent) {
        assert_eq!(sent.target, origin_form(target));
        assert_eq!(sent.audience, audience(&sent.host));
        let (path, _) = sent.target.split_once('?').unwrap_or((&sent.target, ""));
        for depth in 0..=3 {
            let Some(read) = read_by_server(path.as_bytes(), depth) else {
                continue;
            };
            let shown = format!("{method} {target}, read as {read}, went to {}", sent.host);
            let (_, host, read_only) = *self
                .known
                .iter()
                .find(|(prefix, ..)| covers(prefix, &read))
                .expect(&shown);
            assert_eq!(
                sent.host,
                family(&read).filter(|_| host == FAMILY).unwrap_or(host),
                "{shown}"
            );
            let reads = ["GET", "HEAD", "OPTIONS"].contains(&method.as_str())
                || (method == Method::POST && HUNTING.contains(&read.trim_end_matches('/')));
            assert!(reads || !read_only, "{shown}");
        }
    }
}

/// The target without what stands before its path, and without a fragment, which is none of a server's business.
fn origin_form(target: &str) -> String {
    let target = target.split('#').next().unwrap_or_default();
    let Some((_, rest)) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    else {
        return target.to_owned();
    };
    let path = &rest[rest.find(['/', '?']).unwrap_or(rest.len())..];
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!("{slash}{path}")
}

/// A path as a server understands it that decodes it `depth` times, reads `\` as `/`, drops path parameters and empty
/// segments, resolves dot segments and ignores case; `None` if it is still encoded then.
fn read_by_server(path: &[u8], depth: usize) -> Option<String> {
    let mut path = path.to_vec();
    for _ in 0..depth {
        path = decode(&path);
    }
    if decode(&path) != path {
        return None;
    }
    let path = String::from_utf8_lossy(&path)
        .to_ascii_lowercase()
        .replace('\\', "/");
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    while let ["api", "v1.0", ..] = segments[..] {
        segments.remove(1);
    }
    let mut read = String::new();
    for segment in &segments {
        let _ = write!(read, "/{segment}");
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if last.is_empty() || last.starts_with(';') {
        read.push('/');
    }
    Some(read)
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [first, after @ ..] = rest {
        let pair = after
            .get(..2)
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        let pair = pair
            .filter(|_| *first == b'%')
            .and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => decoded.push(byte),
            None => decoded.push(*first),
        }
        rest = if pair.is_some() { &after[2..] } else { after };
    }
    decoded
}

fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| {
        prefix.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '('])
    })
}

/// The host of the API family of a path.
fn family(path: &str) -> Option<&'static str> {
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| covers(prefix, path));
    if is(&["/api/incidents", "/api/advancedhunting"]) {
        Some("xdr.contoso.example")
    } else if is(&["/v1.0/security", "/beta/security"]) {
        Some("graph.contoso.example")
    } else {
        is(&["/api/"]).then_some("endpoint.contoso.example")
    }
}

/// The audience that goes with a host; those of the APIs are the same in every place.
fn audience(host: &str) -> String {
    let host = match host {
        "xdr.contoso.example" => "api.security.microsoft.com",
        "endpoint.contoso.example" => "api.securitycenter.microsoft.com",
        "graph.contoso.example" => "graph.microsoft.com",
        host => host,
    };
    format!("https://{host}")
}

const FAMILY: &str = "the host of the family";
const HUNTING: [&str; 6] = [
    "/api/advancedhunting/run",
    "/api/advancedqueries/run",
    "/v1.0/security/runhuntingquery",
    "/beta/security/runhuntingquery",
    "/v1.0/security/microsoft.graph.security.runhuntingquery",
    "/beta/security/microsoft.graph.security.runhuntingquery",
];

static TABLES: LazyLock<[Table; 2]> = LazyLock::new(|| {
    [
        Table {
            routes: routes(&[
                ("/API/Machines", "closed.contoso.example", true),
                ("/api/v1.0/machines/open/", "open.contoso.example", false),
                ("/v1.0/security", "guarded.contoso.example", true),
            ]),
            known: &[
                ("/api/machines/open", "open.contoso.example", false),
                ("/v1.0/security", "guarded.contoso.example", true),
                ("/api/machines", "closed.contoso.example", true),
                ("/", FAMILY, false),
            ],
        },
        Table {
            routes: routes(&[
                ("/", "all.contoso.example", true),
                ("/api/v1.0", "api.contoso.example", false),
                ("/api/incidents/", "incidents.contoso.example", true),
            ]),
            known: &[
                ("/api/incidents", "incidents.contoso.example", true),
                ("/api", "api.contoso.example", false),
                ("/", "all.contoso.example", true),
            ],
        },
    ]
});

fn routes(table: &[(&str, &str, bool)]) -> Routes {
    let mut text = CONFIG.to_owned();
    for (prefix, host, read_only) in table {
        let _ = write!(
            text,
            "[[route]]\nprefix = {prefix:?}\nupstream = 'https://{host}'\naudience = 'https://{host}'\nread_only = {read_only}\n"
        );
    }
    let source = Source::File("proxy.toml".into());
    Routes::new(&Config::parse(&text, source, &|_| None).expect("a configuration"))
}

const CONFIG: &str = "
[cloud]
name = 'custom'
login = 'https://login.contoso.example'
defender_xdr = 'https://xdr.contoso.example'
defender_endpoint = 'https://endpoint.contoso.example'
graph = 'https://graph.contoso.example'
[identity.soc]
kind = 'application'
tenant = 'contoso.example'
client_id = '11111111-1111-1111-1111-111111111111'
credential = { secret = { env = 'SECRET' } }
";
