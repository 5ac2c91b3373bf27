//! One request's head. It is parsed by the parser that hyper uses, so nothing can be read in one way here and in another there;
//! what that parser takes beyond RFC 9112 is refused.

use std::mem::MaybeUninit;

use http::Uri;
use httparse::{Error, Header, Request, Status};
use memchr::{memchr, memchr_iter};

use super::fault::{Fault, NOTICE};

/// A whole head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its bytes, the empty line at its end included.
    pub(super) length: usize,
    pub(super) body: Body,
}

/// How the body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// Of so many bytes, none if there is no `Content-Length` (RFC 9112 §6.3).
    Length(u64),
    Chunked,
}

/// Reads the head at the beginning of `bytes`; None if it isn't all there yet.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    // RFC 9112 §2.2: old clients send an empty line behind a body.
    let request = match bytes {
        [] | [b'\r'] => return Ok(None),
        [b'\r', b'\n', rest @ ..] => rest,
        request => request,
    };
    if let Some(b'\r' | b'\n') = request.first() {
        return Err(Fault::RequestLine);
    }
    let before = bytes.len() - request.len();
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; MAX_FIELDS];
    let mut parsed = Request::new(&mut []);
    match parsed.parse_with_uninit_headers(request, &mut fields) {
        Ok(Status::Complete(length)) => {
            check_line_ends(&request[..length])?;
            let length = before + length;
            let body = check(&parsed, length)?;
            Ok(Some(Head { length, body }))
        }
        Ok(Status::Partial) => {
            check_line_ends(request)?;
            if bytes.len() <= MAX_HEAD {
                Ok(None)
            } else if memchr(b'\n', request).is_none() {
                Err(Fault::LongTarget)
            } else {
                Err(Fault::LargeHead)
            }
        }
        Err(error) => Err(fault(error, &parsed, request)),
    }
}

/// The parser takes LF alone for the end of a line, and lets a CR stand nowhere else.
fn check_line_ends(head: &[u8]) -> Result<(), Fault> {
    let ends_well = |at: usize| at > 0 && head[at - 1] == b'\r';
    if memchr_iter(b'\n', head).all(ends_well) {
        Ok(())
    } else {
        Err(Fault::LineEnd)
    }
}

fn check(request: &Request<'_, '_>, length: usize) -> Result<Body, Fault> {
    let target = request.path.unwrap_or_default();
    if target.len() > MAX_TARGET {
        return Err(Fault::LongTarget);
    }
    if length > MAX_HEAD {
        return Err(Fault::LargeHead);
    }
    let method = request.method.unwrap_or_default();
    // RFC 9113 §3.4 keeps PRI for the beginning of HTTP/2.
    if [NOTICE, "PRI"].contains(&method) {
        return Err(Fault::RequestLine);
    }
    if !is_plain(target) && !is_target(target, method) {
        return Err(Fault::Target);
    }
    framing(request)
}

/// Is it one of the four forms of RFC 9112 §3.2? Its characters are for [`Uri`] to judge, which also takes some that browsers and
/// tools send as they are; but it drops fragments.
fn is_target(target: &str, method: &str) -> bool {
    let is_form = match method {
        "CONNECT" => true,
        "OPTIONS" if target == "*" => true,
        _ => target.starts_with('/') || target.contains("://"),
    };
    is_form && !target.contains('#') && Uri::try_from(target).is_ok()
}

/// Is it a path and query of the characters of RFC 3986, as nearly all are?
fn is_plain(target: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'/' | b'?'
                    | b'-'
                    | b'.'
                    | b'_'
                    | b'~'
                    | b'%'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b';'
                    | b'='
                    | b':'
                    | b'@'
            )
    };
    target.starts_with('/') && target.bytes().all(plain)
}

/// RFC 9112 §6.1 and §6.3, without what they leave to the recipient: one `Content-Length` or one `Transfer-Encoding: chunked`.
fn framing(request: &Request<'_, '_>) -> Result<Body, Fault> {
    let is_http11 = request.version == Some(1);
    let (mut length, mut chunked) = (None, false);
    for Header { name, value } in request.headers.iter() {
        match name.len() {
            14 if is(name, "content-length")? => {
                let value = parse_length(value).filter(|_| length.is_none());
                length = Some(value.ok_or(Fault::Length)?);
            }
            17 if is(name, "transfer-encoding")? => {
                if chunked || !is_http11 {
                    return Err(Fault::TransferEncoding);
                }
                check_coding(value)?;
                chunked = true;
            }
            // RFC 9110 §10.1.1: an HTTP/1.0 client's is passed over.
            6 if is_http11
                && name.eq_ignore_ascii_case("expect")
                && !value.eq_ignore_ascii_case(b"100-continue") =>
            {
                return Err(Fault::Expectation);
            }
            _ => {}
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(Fault::TwoFramings),
        (None, true) => Ok(Body::Chunked),
        (length, false) => Ok(Body::Length(length.unwrap_or(0))),
    }
}

/// Is this the field, or one that some servers take for it?
fn is(name: &str, field: &str) -> Result<bool, Fault> {
    if name.eq_ignore_ascii_case(field) {
        return Ok(true);
    }
    let pairs = || name.bytes().zip(field.bytes());
    if pairs().all(|(a, b)| a.eq_ignore_ascii_case(&b) || (a, b) == (b'_', b'-')) {
        return Err(Fault::LookAlike);
    }
    Ok(false)
}

/// Digits only; `parse` alone would take a sign. What doesn't fit into 63 bits is no length.
fn parse_length(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    let length: u64 = str::from_utf8(value)
        .ok()
        .filter(|_| digits)?
        .parse()
        .ok()?;
    (length <= i64::MAX.cast_unsigned()).then_some(length)
}

/// RFC 9112 §6.1: 501 for a coding that isn't understood; §6.3: 400 where `chunked` isn't the last, as the body has no end then.
fn check_coding(value: &[u8]) -> Result<(), Fault> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let mut codings = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let last = codings.next_back();
    let is_other = |coding: &[u8]| {
        coding.first().is_some_and(u8::is_ascii_alphabetic)
            && !coding.eq_ignore_ascii_case(b"chunked")
            && !coding.eq_ignore_ascii_case(b"identity")
    };
    if last.is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")) && codings.all(is_other) {
        Err(Fault::UnknownCoding)
    } else {
        Err(Fault::TransferEncoding)
    }
}

fn fault(error: Error, parsed: &Request<'_, '_>, head: &[u8]) -> Fault {
    match error {
        Error::HeaderName | Error::HeaderValue => Fault::Field,
        Error::NewLine => Fault::LineEnd,
        Error::TooManyHeaders => Fault::ManyFields,
        Error::Token if parsed.method.is_some() => Fault::Target,
        Error::Version => version_fault(head),
        Error::Token | Error::Status => Fault::RequestLine,
    }
}

/// Another version of HTTP, or no version at all?
fn version_fault(head: &[u8]) -> Fault {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let word = line.split(|byte| *byte == b' ').nth(2).unwrap_or_default();
    match word.strip_prefix(b"HTTP/") {
        Some([digit, ..]) if digit.is_ascii_digit() => Fault::Version,
        _ => Fault::RequestLine,
    }
}

/// The most bytes of a head, its target included. hyper takes as much.
pub(super) const MAX_HEAD: usize = 64 * 1024;
/// The most bytes of a target.
const MAX_TARGET: usize = 32 * 1024;
/// The most fields of a head. hyper takes as many.
const MAX_FIELDS: usize = 100;
