//! What a browser says of the page that makes it ask, beside `Origin` (Fetch Metadata Request Headers, W3C).

use http::{
    HeaderMap, HeaderName,
    header::{HeaderValue, REFERER},
};

use crate::error::Error;

/// Refuses what a foreign page makes the browser send without an `Origin`. `is_own` knows the proxy's own origin.
///
/// Any page can have any address fetched ahead (speculation rules), and Chromium says `Sec-Fetch-Site: none` then, as if the user
/// had typed it. What is fetched ahead for the user's own typing is refused as well; the browser asks again in earnest.
pub(super) fn refuse_foreign(
    headers: &HeaderMap,
    is_own: impl Fn(&[u8]) -> bool,
) -> Result<(), Error> {
    let ahead = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"prefetch");
    if headers.contains_key(&SEC_PURPOSE) || headers.get(&PURPOSE).is_some_and(ahead) {
        return Err(Error::Forbidden(
            "a browser may not fetch ahead through this proxy",
        ));
    }
    for site in headers.get_all(&SEC_FETCH_SITE) {
        match site.as_bytes() {
            b"same-origin" => {}
            b"none" if is_typed(headers, &is_own) => {}
            // `same-site` is a page on another port of localhost.
            _ => {
                return Err(Error::Forbidden(
                    "a web page of another site may not use this proxy",
                ));
            }
        }
    }
    Ok(())
}

/// Did the user go there by themselves? Then the whole window goes, and no foreign page is left behind.
fn is_typed(headers: &HeaderMap, is_own: impl Fn(&[u8]) -> bool) -> bool {
    let only = |name: &str, expected: &[u8]| {
        let mut values = headers.get_all(name).iter();
        values.all(|value| value.as_bytes() == expected)
    };
    only("sec-fetch-mode", b"navigate")
        && only("sec-fetch-dest", b"document")
        && headers
            .get_all(REFERER)
            .iter()
            .all(|page| is_own(origin(page.as_bytes())))
}

/// Scheme and authority of a URL.
fn origin(url: &[u8]) -> &[u8] {
    let mut slashes = (0..url.len()).filter(|&at| url[at] == b'/').skip(2);
    slashes.next().map_or(url, |end| &url[..end])
}

// Each of them is looked for in every request; from a `&str` it would be made anew.
static PURPOSE: HeaderName = HeaderName::from_static("purpose");
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
