//! The headers of an answer: links in them, what they say about the body, and taking that back when the body changes.

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_LOCATION, CONTENT_RANGE, CONTENT_TYPE,
    ETAG, LINK, LOCATION, VARY,
};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use memchr::memchr;

use super::links::Links;
use crate::headers::remove_where;

/// The content coding of a body, as far as this module can undo it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Coding {
    /// None.
    Identity,
    /// A single gzip.
    Gzip,
    /// Another, or several.
    Other,
}

/// Replaces our origins in `Location`, `Content-Location` and every target of every `Link` line. Where `local` has a path, it
/// is put before targets that are a path only.
pub(super) fn relink(headers: &mut HeaderMap, links: &Links, local: &str) {
    for (name, value) in headers.iter_mut() {
        let changed = if name == LINK {
            link_targets(value.as_bytes(), links, local)
        } else if name == LOCATION || name == CONTENT_LOCATION {
            let url = value.as_bytes();
            replacement(url, links, local)
                .map(|(len, start)| [start.as_bytes(), &url[len..]].concat())
        } else {
            None
        };
        if let Some(Ok(changed)) = changed.map(HeaderValue::try_from) {
            *value = changed;
        }
    }
}

/// Takes back what was true of the old bytes only.
pub(super) fn redeclare(headers: &mut HeaderMap, decoded: bool) {
    headers.remove(CONTENT_LENGTH);
    headers.remove(ACCEPT_RANGES);
    remove_digests(headers);
    if decoded {
        headers.remove(CONTENT_ENCODING);
    }
    // Equal in meaning, no longer equal byte for byte (RFC 9110 section 8.8.1).
    if let Some(tag) = headers.get_mut(ETAG)
        && tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::try_from([b"W/", tag.as_bytes()].concat())
    {
        *tag = weak;
    }
}

/// Trailers without the checksums of bytes that are no longer sent.
pub(super) fn without_digests(mut trailers: HeaderMap) -> HeaderMap {
    remove_digests(&mut trailers);
    trailers
}

/// Says that the answer depends on the client's `Accept-Encoding`, if it doesn't say so yet.
pub(super) fn vary_on_encoding(headers: &mut HeaderMap) {
    let said = tokens(headers, &VARY)
        .any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding"));
    if !said {
        headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Whether the answer holds byte ranges (RFC 9110 section 15.3.7). Graph answers 206 with all its JSON, too: when a
/// provider of some alerts failed.
pub(super) fn is_range(head: &Parts) -> bool {
    let multipart = |value: &HeaderValue| {
        let value = value.as_bytes();
        value
            .get(..RANGES.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(RANGES))
    };
    head.status == StatusCode::PARTIAL_CONTENT
        && (head.headers.contains_key(CONTENT_RANGE)
            || head.headers.get(CONTENT_TYPE).is_some_and(multipart))
}

/// Whether the content is declared to be JSON, that is `application/json` or `application/*+json`; `None` without a
/// declaration.
pub(super) fn is_json(headers: &HeaderMap) -> Option<bool> {
    let value = headers.get(CONTENT_TYPE)?;
    if value == "application/json" {
        return Some(true);
    }
    let value = value.to_str().unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    let subtype = essence
        .split_at_checked("application/".len())
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("application/"))
        .map(|(_, subtype)| subtype);
    let ends = |subtype: &str, suffix: &str| {
        let start = subtype.len().saturating_sub(suffix.len());
        subtype.is_char_boundary(start) && subtype[start..].eq_ignore_ascii_case(suffix)
    };
    Some(
        subtype
            .is_some_and(|subtype| subtype.eq_ignore_ascii_case("json") || ends(subtype, "+json")),
    )
}

/// How the content is coded, over all lines of `Content-Encoding`.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let is = |token: &str, name: &str| token.eq_ignore_ascii_case(name);
    let mut codings = tokens(headers, &CONTENT_ENCODING)
        .filter(|token| !token.is_empty() && !is(token, "identity"));
    match (codings.next(), codings.next()) {
        (None, _) => Coding::Identity,
        (Some(only), None) if is(only, "gzip") || is(only, "x-gzip") => Coding::Gzip,
        (Some(_), _) => Coding::Other,
    }
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    // A value that is no text is a single unknown token.
    headers
        .get_all(name)
        .iter()
        .flat_map(|line| line.to_str().unwrap_or("?").split(','))
        .map(str::trim)
}

fn remove_digests(headers: &mut HeaderMap) {
    remove_where(headers, |name| DIGESTS.contains(&name));
}

/// One line of `Link` (RFC 8288 section 3) with our origins replaced; `None` if it has none.
fn link_targets(value: &[u8], links: &Links, local: &str) -> Option<Vec<u8>> {
    let mut changed = Vec::new();
    let (mut copied, mut at, mut quoted) = (0, 0, false);
    while let Some(&byte) = value.get(at) {
        at += 1;
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'<' if !quoted => {
                let Some(end) = memchr(b'>', &value[at..]) else {
                    break;
                };
                if let Some((len, start)) = replacement(&value[at..at + end], links, local) {
                    changed.extend_from_slice(&value[copied..at]);
                    changed.extend_from_slice(start.as_bytes());
                    copied = at + len;
                }
                at += end;
            }
            _ => {}
        }
    }
    (!changed.is_empty()).then(|| {
        changed.extend_from_slice(&value[copied..]);
        changed
    })
}

/// How much of the start of a URL is replaced, and by what, so that it leads to `local`.
fn replacement<'l>(url: &[u8], links: &Links, local: &'l str) -> Option<(usize, &'l str)> {
    if let Some(len) = links.origin_len(url) {
        return Some((len, local));
    }
    let prefix = local.split_once("://").map_or(local, |(_, rest)| rest);
    let prefix = prefix.find('/').map(|at| &prefix[at..])?;
    // What starts with two slashes names a host (RFC 3986 section 4.2).
    (url.starts_with(b"/") && !url.starts_with(b"//")).then_some((0, prefix))
}

const RANGES: &[u8] = b"multipart/byteranges";
const DIGESTS: [&str; 4] = ["content-md5", "digest", "content-digest", "repr-digest"];

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "http://localhost:8080/t/contoso";

    fn links() -> Links {
        Links::new(["api.contoso.example".to_owned()])
    }

    fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_str(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn links_in_headers() {
        let mut headers = map(&[
            ("location", "https://api.contoso.example/api/alerts/1?a=b#c"),
            ("content-location", "HTTPS://Api.Contoso.Example:443"),
            (
                "link",
                r#"<https://api.contoso.example/p?2>; rel="next", <https://other.example/>; title="<https://api.contoso.example/>", <https://api.contoso.example>"#,
            ),
            ("link", "<https://api.contoso.example@evil.example/>"),
            ("link", "<https://api.contoso.example?a=<>;rel=prev"),
            ("x-link", "https://api.contoso.example/"),
            ("refresh", "0; url=https://api.contoso.example/"),
        ]);
        relink(&mut headers, &links(), LOCAL);
        let expected = map(&[
            (
                "location",
                "http://localhost:8080/t/contoso/api/alerts/1?a=b#c",
            ),
            ("content-location", "http://localhost:8080/t/contoso"),
            (
                "link",
                r#"<http://localhost:8080/t/contoso/p?2>; rel="next", <https://other.example/>; title="<https://api.contoso.example/>", <http://localhost:8080/t/contoso>"#,
            ),
            ("link", "<https://api.contoso.example@evil.example/>"),
            ("link", "<http://localhost:8080/t/contoso?a=<>;rel=prev"),
            ("x-link", "https://api.contoso.example/"),
            ("refresh", "0; url=https://api.contoso.example/"),
        ]);
        assert_eq!(headers, expected);
    }

    #[test]
    fn targets_without_an_origin_get_the_path_of_the_local_one() {
        let before = [
            ("location", "/api/alerts/1?a=b"),
            ("content-location", "//api.contoso.example/api"),
            ("link", "</p?2>; rel=next, <p?3>; rel=x, </>"),
        ];
        let after = [
            ("location", "/t/contoso/api/alerts/1?a=b"),
            ("content-location", "//api.contoso.example/api"),
            (
                "link",
                "</t/contoso/p?2>; rel=next, <p?3>; rel=x, </t/contoso/>",
            ),
        ];
        for (local, expected) in [
            (LOCAL, after),
            ("http://localhost:8080", before),
            ("http://contoso.localhost", before),
        ] {
            let mut headers = map(&before);
            relink(&mut headers, &links(), local);
            assert_eq!(headers, map(&expected), "{local}");
        }
    }

    #[test]
    fn broken_link_lines_stay() {
        for line in [
            "<https://api.contoso.example/",
            "",
            "<",
            r#"; title="\"<https://api.contoso.example/>"#,
        ] {
            assert_eq!(
                link_targets(line.as_bytes(), &links(), LOCAL),
                None,
                "{line}"
            );
        }
    }

    #[test]
    fn declared_json() {
        let cases = [
            ("application/json", true),
            (
                "Application/JSON;odata.metadata=minimal; charset=utf-8",
                true,
            ),
            ("application/problem+json", true),
            ("application/vnd.contoso+json ; x=y", true),
            ("application/x-ndjson", false),
            ("application/json-seq", false),
            ("application/octet-stream", false),
            ("text/json", false),
            ("text/csv", false),
            ("application/xml; a=application/json", false),
        ];
        for (value, expected) in cases {
            assert_eq!(
                is_json(&map(&[("content-type", value)])),
                Some(expected),
                "{value}"
            );
        }
        assert_eq!(is_json(&HeaderMap::new()), None);
    }

    #[test]
    fn declared_coding() {
        let cases: [(&[&str], Coding); 9] = [
            (&[], Coding::Identity),
            (&["identity"], Coding::Identity),
            (&["GZip"], Coding::Gzip),
            (&["x-gzip"], Coding::Gzip),
            (&["identity, gzip"], Coding::Gzip),
            (&["gzip, gzip"], Coding::Other),
            (&["gzip", "br"], Coding::Other),
            (&["br"], Coding::Other),
            (&["gz\u{fc}p"], Coding::Other),
        ];
        for (lines, expected) in cases {
            let headers = lines
                .iter()
                .map(|line| {
                    (
                        CONTENT_ENCODING,
                        HeaderValue::from_bytes(line.as_bytes()).unwrap(),
                    )
                })
                .collect();
            assert_eq!(coding(&headers), expected, "{lines:?}");
        }
    }

    #[test]
    fn vary_is_said_once() {
        let cases = [
            (vec![], vec!["accept-encoding"]),
            (vec![("vary", "Origin")], vec!["Origin", "accept-encoding"]),
            (
                vec![("vary", "Origin"), ("vary", "a, Accept-Encoding")],
                vec!["Origin", "a, Accept-Encoding"],
            ),
            (vec![("vary", "*")], vec!["*"]),
            (
                vec![("vary", "x-accept-encoding")],
                vec!["x-accept-encoding", "accept-encoding"],
            ),
        ];
        for (lines, expected) in cases {
            let mut headers = map(&lines);
            vary_on_encoding(&mut headers);
            assert_eq!(
                headers.get_all(VARY).iter().collect::<Vec<_>>(),
                expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn what_no_longer_holds_goes() {
        let lines = [
            ("content-length", "5"),
            ("content-md5", "x"),
            ("digest", "x"),
            ("content-digest", "x"),
            ("repr-digest", "x"),
            ("accept-ranges", "bytes"),
            ("content-encoding", "gzip"),
            ("etag", "\"a\""),
            ("content-type", "application/json"),
        ];
        let mut decoded = map(&lines);
        redeclare(&mut decoded, true);
        assert_eq!(
            decoded,
            map(&[("etag", "W/\"a\""), ("content-type", "application/json")])
        );

        let mut kept = map(&[("content-encoding", "identity"), ("etag", "W/\"a\"")]);
        redeclare(&mut kept, false);
        assert_eq!(
            kept,
            map(&[("content-encoding", "identity"), ("etag", "W/\"a\"")])
        );
    }
}
