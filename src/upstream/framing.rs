//! What hyper lets pass in the head of an answer, and is refused here: framing that another reader could understand in another way.

use http::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

/// Looks at the head of an answer.
///
/// # Errors
/// What is wrong with it: a status that doesn't end a request (RFC 9110 §15), more than one framing, or one that isn't written in the
/// one form that all understand (RFC 9112 §6). A list of equal lengths, which a reader may accept, isn't.
pub(super) fn check<B>(response: &Response<B>) -> Result<(), &'static str> {
    let (status, headers) = (response.status(), response.headers());
    if status.is_informational() {
        return Err("it switches protocols, which nobody asked for");
    }
    if status.as_u16() > LAST_STATUS {
        return Err("its status is none of HTTP's");
    }
    let chunked = is_chunked(headers)?;
    let length = length(headers)?;
    match (chunked, length) {
        (true, Some(_)) => Err("it has both Transfer-Encoding and Content-Length"),
        (true, None) if status == StatusCode::NO_CONTENT => {
            Err("it has a body, which its status excludes")
        }
        (false, Some(1..)) if status == StatusCode::NO_CONTENT => {
            Err("it has a length, which its status excludes")
        }
        _ => Ok(()),
    }
}

fn is_chunked(headers: &HeaderMap) -> Result<bool, &'static str> {
    let mut lines = headers.get_all(TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(line), None) if line.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err("its Transfer-Encoding is not just chunked"),
    }
}

pub(super) fn length(headers: &HeaderMap) -> Result<Option<u64>, &'static str> {
    let mut lines = headers.get_all(CONTENT_LENGTH).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Ok(None),
        (Some(line), None) => line.as_bytes(),
        _ => return Err("it has more than one Content-Length"),
    };
    let plain = line == b"0" || !line.starts_with(b"0") && line.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(line).ok().filter(|_| plain);
    let length = text.and_then(|text| text.parse().ok());
    length
        .map(Some)
        .ok_or("its Content-Length is not one number")
}

/// RFC 9110 §15: "values outside the range 100..599 are invalid".
const LAST_STATUS: u16 = 599;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, fields: &[(&str, &str)]) -> Option<&'static str> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        check(&response.body(()).unwrap()).err()
    }

    #[test]
    fn one_framing_in_one_form() {
        for fields in [
            &[][..],
            &[("content-length", "0")],
            &[("content-length", "18446744073709551615")],
            &[("transfer-encoding", "chunked")],
            &[("transfer-encoding", "Chunked")],
        ] {
            assert_eq!(fault(200, fields), None, "{fields:?}");
            assert_eq!(fault(304, fields), None, "{fields:?}");
        }
        for fields in [
            &[("content-length", "")][..],
            &[("content-length", "+1")],
            &[("content-length", "-1")],
            &[("content-length", "0x1")],
            &[("content-length", "01")],
            &[("content-length", "1 1")],
            &[("content-length", "1, 1")],
            &[("content-length", "1,")],
            &[("content-length", "18446744073709551616")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "1"), ("content-length", "2")],
            &[("transfer-encoding", "")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "chunked, chunked")],
            &[("transfer-encoding", "chunked;q=1")],
            &[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            &[("transfer-encoding", "chunked"), ("content-length", "1")],
        ] {
            assert!(fault(200, fields).is_some(), "{fields:?}");
            assert!(fault(304, fields).is_some(), "{fields:?}");
        }
    }

    #[test]
    fn no_content_has_no_length() {
        assert_eq!(fault(204, &[]), None);
        assert_eq!(fault(204, &[("content-length", "0")]), None);
        assert!(fault(204, &[("content-length", "1")]).is_some());
        assert!(fault(204, &[("transfer-encoding", "chunked")]).is_some());
    }

    #[test]
    fn a_status_ends_a_request() {
        for status in [200, 299, 404, 599] {
            assert_eq!(fault(status, &[]), None, "{status}");
        }
        for status in [100, 101, 199, 600, 999] {
            assert!(fault(status, &[]).is_some(), "{status}");
        }
    }
}
