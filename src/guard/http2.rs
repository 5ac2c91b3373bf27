//! What `h2` lets pass although RFC 9113 calls it malformed.

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header::CONTENT_LENGTH};

use crate::error::Error;

/// Refuses a request of HTTP/2 that would not be the same in every reader's eyes. Others pass.
///
/// # Errors
/// `BadRequest`.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    if request.version() != Version::HTTP_2 {
        return Ok(());
    }
    let target = request.uri().path_and_query();
    // RFC 9113 §8.3.1; `CONNECT` has none, and is refused for what it is.
    if target.is_some_and(|target| !target.as_str().starts_with('/')) {
        return Err(Error::BadRequest("the request's target is not a path"));
    }
    if !request.headers().iter().all(is_plain) {
        return Err(Error::BadRequest("a field of the request is malformed"));
    }
    check_length(request.headers())
}

/// The `http` crate takes a quote in a name (RFC 9110 §5.1 doesn't), and spaces around a value, which only HTTP/1 allows
/// (RFC 9113 §8.2.1).
fn is_plain((name, value): (&HeaderName, &HeaderValue)) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let value = value.as_bytes();
    !name.as_str().contains('"') && !is_space(value.first()) && !is_space(value.last())
}

/// One length, in digits (RFC 9110 §8.6).
fn check_length(headers: &HeaderMap) -> Result<(), Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else {
        return Ok(());
    };
    let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    if !is_number || lengths.next().is_some() {
        return Err(Error::BadRequest(
            "the request's Content-Length is malformed",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(version: Version, uri: &str, fields: &[(&str, &'static str)]) -> bool {
        let mut builder = Request::get(uri).version(version);
        for (name, value) in fields {
            // As `h2` makes names.
            let name = HeaderName::from_lowercase(name.as_bytes()).unwrap();
            builder = builder.header(name, HeaderValue::from_static(value));
        }
        check(&builder.body(()).unwrap()).is_ok()
    }

    #[test]
    fn malformed_requests() {
        for (uri, fields) in [
            ("http://localhost?x", vec![]),
            ("*", vec![]),
            ("/", vec![("x\"a", "1")]),
            ("/", vec![("x-a", " 1")]),
            ("/", vec![("x-a", "1\t")]),
            ("/", vec![("x-a", " ")]),
            ("/", vec![("content-length", "")]),
            ("/", vec![("content-length", "+1")]),
            ("/", vec![("content-length", "1"), ("content-length", "1")]),
        ] {
            assert!(!is_good(Version::HTTP_2, uri, &fields), "{uri} {fields:?}");
            assert!(is_good(Version::HTTP_11, uri, &fields), "{uri} {fields:?}");
        }
        let fields = [("content-length", "12"), ("x-a", ""), ("x-b", "a b")];
        assert!(is_good(Version::HTTP_2, "http://localhost/?x", &fields));
    }
}
