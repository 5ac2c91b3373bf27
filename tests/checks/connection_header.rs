//! What is stripped off a request, and what no client can take off it.

use std::{sync::LazyLock, time::Duration};

use defender_proxy::{
    auth::AccessToken,
    body::Outgoing,
    config::{Config, Source},
    guard::Guard,
    headers,
    route::Routes,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request,
    header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, VIA},
};

/// No credential passes however it is spelled, nothing that `Connection` names passes, nothing else is lost; and the token is
/// attached whatever the client named.
pub(crate) fn connection_header(mut request: Request<()>) {
    let before = request.headers().clone();
    for method_override in [true, false] {
        let mut after = before.clone();
        headers::strip_request(&mut after, method_override);
        stripped(&before, &after);
    }

    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static("localhost"));
    let guard = Guard::new(Vec::new(), Vec::new(), None, false);
    let Ok(admitted) = guard.admit(request) else {
        return;
    };
    let Ok((outbound, ())) = ROUTES.resolve(admitted) else {
        return;
    };
    let token = AccessToken::new("ours", Duration::from_hours(1), None, 0).expect("a token");
    let sent = outbound.authorize(&token, Outgoing::Empty);
    let mut after = sent.as_request().headers().clone();
    let tokens: Vec<_> = after.get_all(AUTHORIZATION).iter().collect();
    assert_eq!(tokens, ["Bearer ours"]);
    let via = after.get_all(VIA).iter().next_back().expect("Via");
    assert!(
        via.to_str()
            .is_ok_and(|via| via.contains(" defender-proxy-"))
    );
    after.remove(AUTHORIZATION);
    after.remove(VIA);
    if !before.contains_key(CONTENT_LENGTH) {
        // The proxy's own, of a body that it was given.
        after.remove(CONTENT_LENGTH);
    }
    stripped(&before, &after);
}

fn stripped(before: &HeaderMap, after: &HeaderMap) {
    let lines = before.get_all(CONNECTION).iter();
    let named: Vec<_> = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in after.keys() {
        assert!(!named.contains(name), "{name} is named in Connection");
        assert!(!is_forbidden(name.as_str()), "{name} passed");
        let passed = |name| (before.get_all(name), after.get_all(name));
        assert_eq!(passed(name).0, passed(name).1, "{name} is changed");
    }
    for name in HARMLESS.map(HeaderName::from_static) {
        let lost = before.contains_key(&name) && !after.contains_key(&name);
        assert!(!lost || named.contains(&name), "{name} is lost");
    }
}

/// What must not pass. Of what claims who the client is, an underscore counts as a dash.
fn is_forbidden(name: &str) -> bool {
    let hop_by_hop = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let credentials = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-proxy-key",
        "forwarded",
        "host",
    ];
    let claim = name.replace('_', "-");
    hop_by_hop.contains(&name)
        || credentials.contains(&&*claim)
        || claim.starts_with("x-forwarded-")
        || (claim.starts_with("x-ms-") && claim.ends_with("-token"))
}

const HARMLESS: [&str; 6] = [
    "accept",
    "content-type",
    "if-match",
    "prefer",
    "user-agent",
    "x-ms-client-request-id",
];

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let text = r#"
        [identity.soc]
        kind = "application"
        tenant = "contoso.example"
        client_id = "11111111-1111-1111-1111-111111111111"
        credential = { secret = { env = "SECRET" } }
    "#;
    let source = Source::File("proxy.toml".into());
    Routes::new(&Config::parse(text, source, &|_| None).expect("a configuration"))
});
