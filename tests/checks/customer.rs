//! Whose tenant a request is sent for.

use std::sync::LazyLock;

use defender_proxy::{
    auth::AccessToken,
    body::Outgoing,
    config::{Config, Source},
    guard::Guard,
    route::Routes,
};
use http::{Request, header::HOST};

/// A request that is forwarded is for the customer that it names in any way, as whoever reads it: never for another, and never
/// with a name left for upstream to see.
pub(crate) fn customer(target: &str, fields: &[(String, String)], host: &str) {
    let mut builder = Request::get(target).header(HOST, host);
    for (name, value) in fields {
        builder = builder.header(name, value);
    }
    let Ok(request) = builder.body(()) else {
        return;
    };
    let guard = Guard::new(Vec::new(), Vec::new(), None, false)
        .with_customers(HOSTS.map(str::to_owned).into());
    let Ok(admitted) = guard.admit(request) else {
        return;
    };
    let Ok((outbound, ())) = ROUTES.resolve(admitted) else {
        return;
    };
    let shown = format!("{target} {fields:?} {host}");
    let tenant = outbound.key().tenant.as_str();
    let mut named = Vec::new();
    named.extend(below_t(target));
    named.extend(fields.iter().map(|(_, value)| value.trim().to_lowercase()));
    named.extend(host_name(host));
    assert!(!named.is_empty(), "{shown}");
    for name in named {
        assert_eq!(tenant_of(&name), Some(tenant), "{shown}");
    }
    let token =
        AccessToken::new("ours", std::time::Duration::from_hours(1), None, 0).expect("a token");
    let sent = outbound.authorize(&token, Outgoing::Empty);
    let sent = sent.as_request();
    let path = sent.uri().path_and_query().expect("a target").as_str();
    assert!(
        target.contains(path) || path == "/" || path.starts_with("/?"),
        "{shown}: {path}"
    );
    assert_eq!(below_t(path), None, "{shown}: {path}");
    let field = |name: &str| name.replace('_', "-") == "x-defender-tenant";
    assert!(
        !sent.headers().keys().any(|name| field(name.as_str())),
        "{shown}"
    );
}

/// The customer in the path, to a reader who decodes it as often as it can be, takes `\` for a slash and ignores path parameters,
/// empty segments and case.
fn below_t(target: &str) -> Option<String> {
    let origin_form = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => &rest[rest.find('/')?..],
        _ => target,
    };
    let mut path = origin_form.split(['?', '#']).next()?.to_lowercase();
    for _ in 0..3 {
        for (code, text) in [
            ("%2f", "/"),
            ("%5c", "\\"),
            ("%74", "t"),
            ("%3b", ";"),
            ("%63", "c"),
            ("%25", "%"),
        ] {
            path = path.replace(code, text);
        }
    }
    let mut segments = path
        .split(['/', '\\'])
        .map(|segment| segment.split(';').next().unwrap_or_default())
        .filter(|segment| !segment.is_empty());
    (segments.next()? == "t").then(|| segments.next().unwrap_or_default().to_owned())
}

fn host_name(host: &str) -> Option<String> {
    let host = host.to_lowercase();
    let name = host.split(':').next()?;
    name.strip_suffix(".localhost").map(str::to_owned)
}

fn tenant_of(name: &str) -> Option<&'static str> {
    match name {
        "contoso" | CONTOSO => Some(CONTOSO),
        "fabrikam" | FABRIKAM => Some(FABRIKAM),
        _ => None,
    }
}

const CONTOSO: &str = "5a9db0c5-0000-4000-8000-000000000002";
const FABRIKAM: &str = "5a9db0c5-0000-4000-8000-000000000003";
const HOSTS: [&str; 4] = ["contoso", CONTOSO, "fabrikam", FABRIKAM];

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let text = format!(
        "[identity.mssp]\nkind = 'partner'\nclient_id = '11111111-1111-1111-1111-111111111111'\n\
         credential = {{ secret = {{ env = 'SECRET' }} }}\n\
         customers = {{ contoso = '{CONTOSO}', Fabrikam = '{FABRIKAM}' }}\n\
         [[route]]\nprefix = '/'\nupstream = 'https://upstream.contoso.example'\naudience = 'https://contoso.example'\n"
    );
    let source = Source::File("proxy.toml".into());
    Routes::new(&Config::parse(&text, source, &|_| None).expect("a configuration"))
});
