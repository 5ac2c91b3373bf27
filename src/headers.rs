//! Header fields: what is taken off a request and a response, and what is put on. Pure functions over [`HeaderMap`].
//!
//! Order is a security property: everything a client sent is stripped *before* the proxy adds what is its own, so nothing that
//! a client names in `Connection` can remove it again.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, Entry, VIA},
};

/// Strips an inbound request: hop-by-hop fields (RFC 9110 §7.6.1), credentials, forwarding claims, and what the proxy answers
/// for itself (`Expect`, `Origin`, `Host`). With `method_override` off, also the fields that change the method upstream.
pub fn strip_request(headers: &mut HeaderMap, method_override: bool) {
    strip_connection(headers);
    remove_where(headers, |name| {
        is_hop_by_hop(name)
            || matches!(name, "host" | "expect" | "origin" | "trailer")
            || is_claim(name)
            || (!method_override && is_method_override(name))
    });
}

/// Strips a response from upstream: hop-by-hop fields, and what would speak for the proxy's own origin (`Alt-Svc` would lead the
/// client past it, `Strict-Transport-Security` and `Access-Control-*` are for the proxy to decide, and `Proxy-Status` tells whose
/// an error is).
pub fn strip_response(headers: &mut HeaderMap) {
    strip_connection(headers);
    remove_where(headers, |name| {
        is_hop_by_hop(name)
            || matches!(
                name,
                "alt-svc"
                    | "strict-transport-security"
                    | "proxy-authenticate"
                    | "proxy-authentication-info"
                    | "proxy-status"
            )
            || name.starts_with("access-control-")
    });
}

/// Adds this proxy to `Via` (RFC 9110 §7.6.3).
pub fn add_via(headers: &mut HeaderMap, received: Version, pseudonym: &Pseudonym) {
    let value = if received == Version::HTTP_10 {
        &pseudonym.http10
    } else if received == Version::HTTP_2 {
        &pseudonym.http2
    } else {
        &pseudonym.http11
    };
    headers.append(VIA, value.clone());
}

/// Has the request passed through this very process before?
#[must_use]
pub fn has_looped(headers: &HeaderMap, pseudonym: &Pseudonym) -> bool {
    let members = headers
        .get_all(VIA)
        .iter()
        .filter_map(|value| value.to_str().ok());
    members
        .flat_map(|value| value.split(','))
        .filter_map(|member| member.split_ascii_whitespace().nth(1))
        .any(|by| by == pseudonym.name)
}

/// The name under which this process stands in `Via`; its random part tells one instance from another, so that chains of
/// proxies work and loops are found.
#[derive(Clone, Debug)]
pub struct Pseudonym {
    name: String,
    http10: HeaderValue,
    http11: HeaderValue,
    http2: HeaderValue,
}

impl Pseudonym {
    /// A new name.
    #[must_use]
    pub fn random() -> Self {
        let name = format!("defender-proxy-{:08x}", fastrand::u32(..));
        let value = |version: &str| {
            HeaderValue::try_from(format!("{version} {name}"))
                .unwrap_or(HeaderValue::from_static("1.1 defender-proxy"))
        };
        Self {
            http10: value("1.0"),
            http11: value("1.1"),
            http2: value("2.0"),
            name,
        }
    }
}

/// Strips the trailers of a response of every field that only a header section may carry: what frames, routes, authenticates,
/// directs a cache or says what the content is (RFC 9110 §6.5.1). Links go too, as those of the header section lead to this proxy.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    strip_response(trailers);
    remove_where(trailers, |name| is_claim(name) || is_for_heads_only(name));
}

fn is_for_heads_only(name: &str) -> bool {
    match name.strip_prefix("content-") {
        // RFC 9530: a digest is known at the end only.
        Some(rest) => rest != "digest",
        None => matches!(
            name,
            "age"
                | "authentication-info"
                | "cache-control"
                | "clear-site-data"
                | "date"
                | "expires"
                | "host"
                | "link"
                | "location"
                | "pragma"
                | "refresh"
                | "retry-after"
                | "set-cookie"
                | "set-cookie2"
                | "trailer"
                | "vary"
                | "www-authenticate"
        ),
    }
}

/// Removes every field that any `Connection` line names, and `Connection` itself.
fn strip_connection(headers: &mut HeaderMap) {
    let Entry::Occupied(entry) = headers.entry(CONNECTION) else {
        return;
    };
    let (_, mut lines) = entry.remove_entry_mult();
    // Hardly ever is there a second, for which alone there is room on the heap.
    let (first, others) = (lines.next(), lines.collect::<Vec<HeaderValue>>());
    let lines = first.iter().chain(&others);
    for name in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let name = name.trim_ascii();
        // They are removed anyway, and stand there more often than any other.
        let is_usual = [&b"close"[..], b"keep-alive"]
            .iter()
            .any(|usual| name.eq_ignore_ascii_case(usual));
        if !is_usual && let Ok(name) = HeaderName::from_bytes(name) {
            headers.remove(name);
        }
    }
}

/// Removes the fields with such names.
pub(crate) fn remove_where(headers: &mut HeaderMap, doomed: impl Fn(&str) -> bool) {
    // One pass to look, which allocates nothing where there is nothing to remove.
    let names: Vec<HeaderName> = headers
        .keys()
        .filter(|name| doomed(name.as_str()))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}

/// What concerns one connection only. (`Close` is no field, but reserved: RFC 9110 §16.3.1.)
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "keep-alive"
            | "close"
            | "proxy-connection"
            | "http2-settings"
    )
}

/// Does the field claim who the client is, where it comes from, or (to the proxy alone) whom it acts for? Servers that turn names into variables read an underscore as a
/// dash, so it counts as one.
fn is_claim(name: &str) -> bool {
    if name.contains('_') {
        return is_claim(&name.replace('_', "-"));
    }
    match name.as_bytes().first() {
        Some(b'a') => name == "authorization",
        Some(b'c') => matches!(name, "cookie" | "cookie2"),
        Some(b'f') => name == "forwarded",
        Some(b'p') => name == "proxy-authorization",
        Some(b'x') => is_x_claim(name),
        _ => false,
    }
}

fn is_x_claim(name: &str) -> bool {
    matches!(
        name,
        "x-proxy-key"
            | "x-defender-tenant"
            | "x-real-ip"
            | "x-original-url"
            | "x-original-host"
            | "x-rewrite-url"
    ) || name == "x-forwarded"
        || name.starts_with("x-forwarded-")
        || (name.starts_with("x-ms-")
            && (name.contains("token") || name.starts_with("x-ms-client-principal")))
}

fn is_method_override(name: &str) -> bool {
    if name.contains('_') {
        return is_method_override(&name.replace('_', "-"));
    }
    matches!(
        name,
        "x-http-method" | "x-http-method-override" | "x-method-override"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_static(value),
            );
        }
        headers
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn credentials_and_claims_go_whatever_their_spelling() {
        for name in [
            "authorization",
            "proxy-authorization",
            "proxy_authorization",
            "cookie",
            "x-proxy-key",
            "x_proxy_key",
            "x-defender-tenant",
            "x_defender-tenant",
            "forwarded",
            "x-forwarded-for",
            "x_forwarded_host",
            "x-forwarded_proto",
            "x-ms-token-aad-access-token",
            "x-ms-token-aad-refresh-token",
            "x_ms_token_aad_id_token",
            "x-ms-client-principal",
            "host",
            "origin",
            "expect",
        ] {
            let mut headers = map(&[
                (name, "a"),
                (name, "b"),
                ("user-agent", "MdatpPartner-Contoso-Siem/1"),
            ]);
            strip_request(&mut headers, true);
            assert_eq!(names(&headers), ["user-agent"], "{name}");
        }
    }

    #[test]
    fn fields_of_the_api_stay() {
        let kept = [
            ("user-agent", "a"),
            ("accept", "a"),
            ("x-ms-client-request-id", "a"),
            ("client-request-id", "a"),
            ("prefer", "a"),
            ("if-match", "a"),
            ("consistencylevel", "a"),
        ];
        let mut headers = map(&kept);
        strip_request(&mut headers, true);
        assert_eq!(headers.len(), kept.len());
    }

    #[test]
    fn every_connection_line_names_fields_to_remove() {
        let mut headers = map(&[
            ("connection", "close, X-One"),
            ("connection", " ,x-two ,, keep-alive"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("x-three", "3"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("proxy-connection", "x"),
        ]);
        strip_request(&mut headers, true);
        assert_eq!(names(&headers), ["x-three"]);
    }

    #[test]
    fn a_method_can_not_be_smuggled_past_a_limited_route() {
        let mut headers = map(&[
            ("x-http-method-override", "PATCH"),
            ("x_http_method", "PATCH"),
            ("accept", "a"),
        ]);
        strip_request(&mut headers, false);
        assert_eq!(names(&headers), ["accept"]);
    }

    #[test]
    fn a_response_says_nothing_for_the_local_origin() {
        let mut headers = map(&[
            ("connection", "x-gone"),
            ("x-gone", "1"),
            ("access-control-allow-origin", "*"),
            ("strict-transport-security", "max-age=1"),
            ("alt-svc", "h3"),
            ("proxy-status", "edge; error=dns_error"),
            ("retry-after", "7"),
            ("etag", "x"),
        ]);
        strip_response(&mut headers);
        assert_eq!(names(&headers), ["etag", "retry-after"]);
    }

    #[test]
    fn trailers_say_what_is_learned_at_the_end_only() {
        let mut trailers = map(&[
            ("authorization", "a"),
            ("set-cookie", "a"),
            ("location", "a"),
            ("link", "a"),
            ("content-length", "1"),
            ("content-type", "a"),
            ("transfer-encoding", "chunked"),
            ("retry-after", "1"),
            ("www-authenticate", "a"),
            ("content-digest", "a"),
            ("etag", "a"),
            ("x-checksum", "a"),
        ]);
        strip_trailers(&mut trailers);
        assert_eq!(names(&trailers), ["content-digest", "etag", "x-checksum"]);
    }

    #[test]
    fn a_loop_is_found_and_a_chain_is_not_one() {
        let (own, other) = (Pseudonym::random(), Pseudonym::random());
        let mut headers = map(&[("via", "1.0 fred, 1.1 p.example.net")]);
        add_via(&mut headers, Version::HTTP_11, &other);
        assert!(!has_looped(&headers, &own));
        add_via(&mut headers, Version::HTTP_2, &own);
        assert!(has_looped(&headers, &own));
    }
}
