//! Which content codings a client accepts, and which one upstream is asked for.

use http::header::{ACCEPT_ENCODING, RANGE};
use http::{HeaderMap, HeaderValue};

use super::Scope;

/// What a client can decode, as its `Accept-Encoding` says (RFC 9110 section 12.5.3).
///
/// Only gzip is looked for, as that is all upstream is asked for. A client that sends no such header is taken to accept
/// nothing but identity, although the RFC lets it be sent anything: the tools that leave it out cannot decode.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Encodings {
    gzip: bool,
}

impl Encodings {
    /// Reads every `Accept-Encoding` line. A weight that is not a number above 0 and up to 1 refuses its coding.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let mut named = None;
        let mut any = false;
        for line in headers.get_all(ACCEPT_ENCODING) {
            for element in line.to_str().unwrap_or_default().split(',') {
                let (coding, weight) = element.split_once(';').unwrap_or((element, ""));
                let coding = coding.trim();
                if coding == "*" {
                    any = accepts(weight);
                } else if coding.eq_ignore_ascii_case("gzip")
                    || coding.eq_ignore_ascii_case("x-gzip")
                {
                    named = Some(accepts(weight));
                }
            }
        }
        Self {
            gzip: named.unwrap_or(any),
        }
    }

    /// Whether it accepts gzip.
    #[must_use]
    pub const fn gzip(self) -> bool {
        self.gzip
    }
}

/// Prepares a request's `Accept-Encoding` for rewriting its answer, and tells what the client accepts.
///
/// Upstream is asked for gzip whatever the client said: it is the only coding [`Gunzip`](super::Gunzip) undoes, and
/// it saves most of the transfer even where the client then gets the body decoded. The line stays as it is with
/// [`Scope::Off`], and for a `Range`, since a part of gzip is of no use to anyone who did not ask for it.
pub fn negotiate(headers: &mut HeaderMap, scope: Scope) -> Encodings {
    let client = Encodings::of(headers);
    if scope != Scope::Off && !headers.contains_key(RANGE) {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    client
}

/// Whether the parameters of a coding leave it acceptable.
fn accepts(parameters: &str) -> bool {
    let weight = parameters
        .split(';')
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    weight.is_none_or(|(_, value)| {
        value
            .trim()
            .parse::<f32>()
            .is_ok_and(|q| q > 0.0 && q <= 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| (ACCEPT_ENCODING, HeaderValue::from_static(line)))
            .collect()
    }

    #[test]
    fn gzip_is_accepted_or_not() {
        let cases: [(&[&str], bool); 22] = [
            (&[], false),
            (&[""], false),
            (&["gzip"], true),
            (&["GZIP"], true),
            (&["x-gzip"], true),
            (&["gzip, deflate, br"], true),
            (&["br", "deflate , gzip"], true),
            (&["br;q=1.0, gzip;q=0.8, *;q=0.1"], true),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["gzip;q=0"], false),
            (&["gzip;q=0.000"], false),
            (&["gzip ; Q = 0.001"], true),
            (&["gzip;q=0, *"], false),
            (&["*;q=0, gzip"], true),
            (&["*", "gzip;q=0"], false),
            (&["identity"], false),
            (&["identity;q=0"], false),
            (&["gzipped, xgzip"], false),
            (&["gzip;q=nan"], false),
            (&["gzip;q=-1"], false),
            (&["gzip;q="], false),
        ];
        for (lines, expected) in cases {
            assert_eq!(Encodings::of(&headers(lines)).gzip(), expected, "{lines:?}");
        }
    }

    #[test]
    fn upstream_is_asked_for_gzip() {
        for scope in [Scope::Fields, Scope::FieldsUntilRows] {
            for lines in [&[][..], &["br"], &["identity", "deflate;q=0.5"]] {
                let mut map = headers(lines);
                assert!(!negotiate(&mut map, scope).gzip());
                assert_eq!(
                    map.get_all(ACCEPT_ENCODING).iter().collect::<Vec<_>>(),
                    ["gzip"],
                    "{lines:?}"
                );
            }
            let mut map = headers(&["br, gzip"]);
            assert!(negotiate(&mut map, scope).gzip());
            assert_eq!(map[ACCEPT_ENCODING], "gzip");
        }
    }

    #[test]
    fn the_clients_own_wish_stands_when_nothing_is_rewritten() {
        let mut off = headers(&["br", "gzip;q=0.5"]);
        assert!(negotiate(&mut off, Scope::Off).gzip());
        assert_eq!(off, headers(&["br", "gzip;q=0.5"]));

        let mut range = headers(&["identity"]);
        range.insert(RANGE, HeaderValue::from_static("bytes=0-9"));
        assert!(!negotiate(&mut range, Scope::Fields).gzip());
        assert_eq!(range[ACCEPT_ENCODING], "identity");

        let mut none = HeaderMap::new();
        assert!(!negotiate(&mut none, Scope::Off).gzip());
        assert!(none.is_empty());
    }
}
