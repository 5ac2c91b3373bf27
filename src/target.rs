//! The request target: which targets are refused, and the form in which paths are compared.
//!
//! The bytes that are forwarded are always the client's. Servers behind may decode and resolve a path once more, so a path that
//! would mean another place then must not choose the route here.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::error::Error;

/// Refuses a path that could leave a route's prefix: dot segments in any encoding, `\`, a leading `//`.
///
/// An encoded slash by itself is legal in an API's identifiers and passes.
///
/// # Errors
/// `BadRequest`.
pub fn check(path: &str) -> Result<(), Error> {
    if !path.starts_with('/') {
        return Err(Error::BadRequest("the request's target is not a path"));
    }
    if path.starts_with("//") {
        return Err(Error::BadRequest("a path that starts with // is refused"));
    }
    if memchr(b'\\', path.as_bytes()).is_some() {
        return Err(Error::BadRequest("a path with a backslash is refused"));
    }
    if !has(path, *b"/.") && memchr(b'%', path.as_bytes()).is_none() {
        return Ok(());
    }
    let mut seen: Cow<'_, str> = path.into();
    for _ in 0..=DEPTH {
        let is_dots = |segment: &str| {
            matches!(segment, "." | "..") || segment.starts_with(".;") || segment.starts_with("..;")
        };
        if seen.split(['/', '\\']).any(is_dots) {
            return Err(Error::BadRequest("a path with dot segments is refused"));
        }
        seen = match decode(&seen) {
            Cow::Borrowed(_) => return Ok(()),
            Cow::Owned(decoded) => decoded.into(),
        };
    }
    Ok(())
}

/// The form of a path in which it is compared with prefixes: percent-decoded, lower-case, one slash at a time, and without the
/// API's version segment, as `/api/v1.0/machines` is `/api/machines` to Defender.
///
/// Some servers read `\` as a slash and drop path parameters (`/machines;v=1`), others do neither. The form does both, so that
/// neither spelling gets a request past a route that is narrower than the one around it.
#[must_use]
pub fn canonical(path: &str) -> Cow<'_, str> {
    let mut path = decode_deeply(path);
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        path = path.to_ascii_lowercase().into();
    }
    if memchr2(b'\\', b';', path.as_bytes()).is_some() || has(&path, *b"//") {
        path = plain_segments(&path).into();
    }
    let mut end = "/api".len();
    while path.starts_with("/api") && is_below(&path[end..], "/v1.0") {
        end += "/v1.0".len();
    }
    if end > "/api".len() {
        path.to_mut().replace_range("/api".len()..end, "");
    }
    path
}

/// The form of a route's prefix, without a slash at its end: `/api/machines/` must not let `/api/machines('id')` past.
#[must_use]
pub fn canonical_prefix(prefix: &str) -> String {
    let prefix = canonical(prefix);
    match prefix.strip_suffix('/') {
        None | Some("") => prefix.into_owned(),
        Some(rest) => rest.to_owned(),
    }
}

/// Is `path` the prefix itself, or below it? Both in canonical form. A prefix ends at a segment's end, or at the parenthesis of a
/// function-style segment (`findbyip(…)`).
#[must_use]
pub fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| {
        prefix.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '('])
    })
}

/// Paths are short: to look at each place takes less time than to prepare for a long text.
fn has(path: &str, pair: [u8; 2]) -> bool {
    path.as_bytes().windows(2).any(|window| window == pair)
}

/// One slash before each segment, and no path parameters.
fn plain_segments(path: &str) -> String {
    let segments = || {
        path.split(['/', '\\'])
            .map(|segment| segment.split(';').next().unwrap_or_default())
    };
    let mut plain = String::with_capacity(path.len());
    for segment in segments().filter(|segment| !segment.is_empty()) {
        plain.push('/');
        plain.push_str(segment);
    }
    if segments().next_back() == Some("") {
        plain.push('/');
    }
    plain
}

/// Percent-decodes until nothing is encoded any more, at most [`DEPTH`] times.
fn decode_deeply(path: &str) -> Cow<'_, str> {
    let mut decoded: Cow<'_, str> = path.into();
    for _ in 0..DEPTH {
        decoded = match decode(&decoded) {
            Cow::Borrowed(_) => return decoded,
            Cow::Owned(deeper) => deeper.into(),
        };
    }
    decoded
}

/// Percent-decodes once; borrows where nothing is encoded. Bytes that are no UTF-8 become replacement characters, which no
/// prefix holds.
fn decode(path: &str) -> Cow<'_, str> {
    if memchr(b'%', path.as_bytes()).is_none() {
        return path.into();
    }
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes
            .get(at + 1..at + 3)
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit))
            .and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(value) = pair
            .filter(|_| byte == b'%')
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        {
            decoded.push(value);
            at += 3;
        } else {
            decoded.push(byte);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).into_owned().into()
}

/// How often an encoding is looked through. Deeper nesting is decoded by no known server.
const DEPTH: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_leave_a_prefix() {
        for path in [
            "/api/../v1.0/security",
            "/api/..",
            "/api/./machines",
            "/api/%2e%2e/x",
            "/api/%2E./x",
            "/api/..%2fx",
            "/api/x%2f..%2fy",
            "/api/x%2F%2e%2E",
            "/api/%252e%252e%252fx",
            "/api/%25252e%25252e%25252fx",
            "/api/..;/x",
            "/api\\..\\x",
            "/api/x%5c..%5cy",
            "//evil.example/api",
            "api/incidents",
            "*",
            "",
        ] {
            assert!(check(path).is_err(), "{path}");
        }
    }

    #[test]
    fn paths_of_the_apis() {
        for path in [
            "/",
            "/api/machines/findbyip(ip='10.248.240.38',timestamp=2026-01-22T08:44:05Z)",
            "/api/files/a%2Fb",
            "/api/users/contoso%5Calice",
            "/api/v1.0/x.y/.hidden/a..b/...",
            "/api/machines/%41%",
            "/api/a//b",
        ] {
            assert!(check(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn canonical_forms() {
        for (path, form) in [
            ("/api/machines", "/api/machines"),
            ("/API/Machines", "/api/machines"),
            ("/api/%6dachines", "/api/machines"),
            ("/api/%256dachines", "/api/machines"),
            ("/api//machines", "/api/machines"),
            ("/api/v1.0/machines", "/api/machines"),
            ("/API/V1.0/machines", "/api/machines"),
            ("/api/v1.0", "/api"),
            ("/api/v1.0/", "/api/"),
            ("/api/v1.0/v1.0/incidents", "/api/incidents"),
            ("/v1.0/security/x", "/v1.0/security/x"),
            ("/api%5cmachines", "/api/machines"),
            ("/api;v=1/machines;a/", "/api/machines/"),
            ("///;a", "/"),
            ("/api/%+6", "/api/%+6"),
        ] {
            assert_eq!(canonical(path), form);
        }
        assert!(matches!(canonical("/api/machines"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_slash_at_the_end_of_a_prefix_says_nothing() {
        for (prefix, form) in [
            ("/", "/"),
            ("/API/Machines/", "/api/machines"),
            ("/x", "/x"),
        ] {
            assert_eq!(canonical_prefix(prefix), form);
        }
        assert!(is_below(
            "/api/machines('id')/isolate",
            &canonical_prefix("/api/machines/")
        ));
    }

    #[test]
    fn prefixes_end_with_a_segment() {
        assert!(is_below("/api/machines", "/api/machines"));
        assert!(is_below("/api/machines/1", "/api/machines"));
        assert!(is_below("/api/machines/1", "/api/"));
        assert!(is_below("/api/findbyip(x)", "/api/findbyip"));
        assert!(!is_below("/api/machinesx", "/api/machines"));
        assert!(!is_below("/api", "/api/"));
        assert!(is_below("/anything", "/"));
    }
}
