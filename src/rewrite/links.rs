//! The origins that belong to the proxy, and recognising one at the start of a URL. No URL is parsed beyond its
//! authority.

/// The origins whose links are led back to the proxy.
///
/// A scheme and a host compare without case, and the default port equals none. Anything unusual (user information, an
/// empty port, a final dot, percent-encoding) belongs to nobody: a link left alone does no harm, one wrongly
/// rewritten might.
#[derive(Clone, Debug, Default)]
pub struct Links {
    /// Each as it may be written: one without a port stands there with the default port, too.
    origins: Vec<(Scheme, Box<[u8]>)>,
    /// Length of the longest authority above.
    longest: usize,
}

impl Links {
    /// Lists origins as `host`, `host:port` or `https://host:port` (all https), or as `http://host:port`. Empty entries
    /// and other schemes are ignored.
    #[must_use]
    pub fn new<I: IntoIterator<Item = String>>(authorities: I) -> Self {
        let mut links = Self::default();
        for entry in authorities {
            let (scheme, authority) = match entry.split_once("://") {
                Some(("http", authority)) => (Scheme::Http, authority),
                Some(("https", authority)) => (Scheme::Https, authority),
                Some(_) => continue,
                None => (Scheme::Https, &*entry),
            };
            links.add(scheme, authority.trim_end_matches('/'));
        }
        links
    }

    /// Length of the scheme and authority at the start of `url`, a whole URL such as a `Location`, if they are listed.
    #[must_use]
    pub fn origin_len(&self, url: &[u8]) -> Option<usize> {
        let (scheme, start) = scheme(url).ok()?;
        let rest = url[start..].strip_prefix(b"//")?;
        let end = rest
            .iter()
            .position(|byte| b"/?#".contains(byte))
            .unwrap_or(rest.len());
        self.lists(scheme, &rest[..end]).then_some(start + 2 + end)
    }

    /// Tells whether `text`, the inside of a JSON string that may be cut anywhere, starts with a listed origin.
    ///
    /// The slashes may be escaped (`https:\/\/host`), each for itself. The origin must be followed by `/`, `\/`, `?`,
    /// `#` or the closing quote. Once [`reach`](Self::reach) bytes are there the answer is never [`Origin::Partial`].
    #[must_use]
    pub fn origin_in_string(&self, text: &[u8]) -> Origin {
        match self.parse_in_string(text) {
            Ok((len, escaped)) => Origin::Ours { len, escaped },
            Err(Miss::Cut) => Origin::Partial,
            Err(Miss::Foreign) => Origin::Foreign,
        }
    }

    /// Most bytes of a string that [`origin_in_string`](Self::origin_in_string) needs to see for a decision.
    #[must_use]
    pub fn reach(&self) -> usize {
        const ESCAPED_SCHEME: usize = br"https:\/\/".len();
        const ESCAPED_SLASH: usize = br"\/".len();
        ESCAPED_SCHEME + self.longest + ESCAPED_SLASH
    }

    fn add(&mut self, scheme: Scheme, authority: &str) {
        let port = scheme.default_port();
        let name = authority.strip_suffix(port).unwrap_or(authority);
        if name.is_empty() {
            return;
        }
        let has_port = name
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|digit| digit.is_ascii_digit()));
        let forms = [
            Some(name.to_owned()),
            (!has_port).then(|| [name, port].concat()),
        ];
        for form in forms.into_iter().flatten() {
            self.longest = self.longest.max(form.len());
            self.origins.push((scheme, form.into_bytes().into()));
        }
    }

    fn parse_in_string(&self, text: &[u8]) -> Result<(usize, bool), Miss> {
        let (scheme, colon) = scheme(text)?;
        let first = colon + slash(&text[colon..])?;
        let second = first + slash(&text[first..])?;
        let end = second + self.authority(scheme, &text[second..])?;
        Ok((end, second - colon > b"//".len()))
    }

    /// Length of the listed authority at the start of `text`, if what follows ends an authority.
    fn authority(&self, scheme: Scheme, text: &[u8]) -> Result<usize, Miss> {
        let window = self.longest + 1;
        let Some(len) = text
            .iter()
            .take(window)
            .position(|byte| !is_authority(*byte))
        else {
            return Err(if text.len() < window {
                Miss::Cut
            } else {
                Miss::Foreign
            });
        };
        if !self.lists(scheme, &text[..len]) {
            return Err(Miss::Foreign);
        }
        match (text[len], text.get(len + 1)) {
            (b'/' | b'?' | b'#' | b'"', _) | (b'\\', Some(b'/')) => Ok(len),
            (b'\\', None) => Err(Miss::Cut),
            _ => Err(Miss::Foreign),
        }
    }

    fn lists(&self, scheme: Scheme, authority: &[u8]) -> bool {
        self.origins
            .iter()
            .any(|(listed, form)| *listed == scheme && form.eq_ignore_ascii_case(authority))
    }
}

/// What stands at the start of a piece of text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Not one of ours.
    Foreign,
    /// Perhaps one of ours: the text ends too soon to tell.
    Partial,
    /// One of ours.
    Ours {
        /// Bytes of scheme and authority.
        len: usize,
        /// Whether a slash before the authority is written `\/`.
        escaped: bool,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scheme {
    Https,
    Http,
}

impl Scheme {
    const fn default_port(self) -> &'static str {
        match self {
            Self::Https => ":443",
            Self::Http => ":80",
        }
    }
}

/// Why text is not a listed origin.
enum Miss {
    /// It ends too soon to tell.
    Cut,
    /// It is something else.
    Foreign,
}

/// The scheme at the start of `text`, and its length with the colon.
fn scheme(text: &[u8]) -> Result<(Scheme, usize), Miss> {
    for (scheme, word) in [(Scheme::Https, &b"https:"[..]), (Scheme::Http, b"http:")] {
        let seen = text.len().min(word.len());
        if text[..seen].eq_ignore_ascii_case(&word[..seen]) {
            return if seen == word.len() {
                Ok((scheme, seen))
            } else {
                Err(Miss::Cut)
            };
        }
    }
    Err(Miss::Foreign)
}

/// Length of the slash, escaped or not, at the start of a piece of a JSON string.
const fn slash(text: &[u8]) -> Result<usize, Miss> {
    match text {
        [b'/', ..] => Ok(1),
        [b'\\', b'/', ..] => Ok(2),
        [] | [b'\\'] => Err(Miss::Cut),
        _ => Err(Miss::Foreign),
    }
}

const fn is_authority(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links::new(
            [
                "api.contoso.example",
                "graph.contoso.example:8443",
                "http://127.0.0.1:1234",
                "https://full.contoso.example/",
                "http://[::1]:80",
                "ftp://ftp.contoso.example",
                "",
                "https://",
            ]
            .map(str::to_owned),
        )
    }

    #[test]
    fn header_urls() {
        let cases: [(&str, Option<&str>); 31] = [
            (
                "https://api.contoso.example/api/alerts",
                Some("https://api.contoso.example"),
            ),
            (
                "https://api.contoso.example",
                Some("https://api.contoso.example"),
            ),
            (
                "https://api.contoso.example?x",
                Some("https://api.contoso.example"),
            ),
            (
                "https://api.contoso.example#x",
                Some("https://api.contoso.example"),
            ),
            (
                "HTTPS://API.Contoso.Example:443/x",
                Some("HTTPS://API.Contoso.Example:443"),
            ),
            (
                "https://full.contoso.example/x",
                Some("https://full.contoso.example"),
            ),
            (
                "https://graph.contoso.example:8443/",
                Some("https://graph.contoso.example:8443"),
            ),
            ("http://127.0.0.1:1234/", Some("http://127.0.0.1:1234")),
            ("http://[::1]/", Some("http://[::1]")),
            ("http://[::1]:80/", Some("http://[::1]:80")),
            ("https://graph.contoso.example/", None),
            ("https://127.0.0.1:1234/", None),
            ("http://127.0.0.1/", None),
            ("http://api.contoso.example/", None),
            ("https://api.contoso.example:80/", None),
            ("https://api.contoso.example:/", None),
            ("https://api.contoso.example:443:443/", None),
            ("https://graph.contoso.example:8443:443/", None),
            ("https://api.contoso.example@evil.example/", None),
            ("https://api.contoso.example:443@evil.example/", None),
            ("https://user@api.contoso.example/", None),
            ("https://api.contoso.example.evil.example/", None),
            ("https://api.contoso.example./", None),
            ("https://api.contoso.example\\@evil.example/", None),
            ("https://xapi.contoso.example/", None),
            ("https:/api.contoso.example/", None),
            ("https:\\/\\/api.contoso.example/", None),
            ("https:///", None),
            ("https://ftp.contoso.example/", None),
            ("/api/alerts", None),
            ("", None),
        ];
        for (url, expected) in cases {
            let found = links().origin_len(url.as_bytes()).map(|len| &url[..len]);
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn json_strings() {
        let ours = |len, escaped| Origin::Ours { len, escaped };
        let cases = [
            (r"https://api.contoso.example/api", ours(27, false)),
            (r#"https://api.contoso.example""#, ours(27, false)),
            (r"https://api.contoso.example?", ours(27, false)),
            (r"https://api.contoso.example#", ours(27, false)),
            (r"https:\/\/api.contoso.example\/api", ours(29, true)),
            (r"https:/\/API.contoso.example:443\/api", ours(32, true)),
            (r"https:\//api.contoso.example/api", ours(28, true)),
            (r"http:\/\/127.0.0.1:1234\/", ours(23, true)),
            (r"https://api.contoso.example\", Origin::Partial),
            (r"https://api.contoso.example:4", Origin::Partial),
            (r"https://api.contoso.example:443", Origin::Partial),
            (r"https://api.contoso.example", Origin::Partial),
            (r"https:\", Origin::Partial),
            (r"https:/\", Origin::Partial),
            (r"http", Origin::Partial),
            (r"", Origin::Partial),
            (r"https://api.contoso.example\\", Origin::Foreign),
            (r"https://api.contoso.example\u002f", Origin::Foreign),
            (r#"https://api.contoso.example\""#, Origin::Foreign),
            (r"https://api.contoso.example@evil", Origin::Foreign),
            (r"https://api.contoso.example.evil/", Origin::Foreign),
            (r"https://api.contoso.example ", Origin::Foreign),
            (r"https:\\/", Origin::Foreign),
            (r"ftp://api.contoso.example/", Origin::Foreign),
            (r"httpx", Origin::Foreign),
            (r"/api", Origin::Foreign),
        ];
        for (text, expected) in cases {
            assert_eq!(
                links().origin_in_string(text.as_bytes()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn a_decision_falls_within_reach() {
        let links = links();
        for start in ["https://", r"https:\/\/", r"http:\/\/"] {
            let text = format!("{start}{}", "a".repeat(links.reach() - start.len()));
            assert_eq!(
                links.origin_in_string(text.as_bytes()),
                Origin::Foreign,
                "{text}"
            );
        }
        let longest = br"https:\/\/graph.contoso.example:8443\/";
        assert_eq!(links.reach(), longest.len());
    }

    #[test]
    fn no_links_match_nothing() {
        let none = Links::new([]);
        assert_eq!(none.origin_len(b"https://api.contoso.example/"), None);
        assert_eq!(none.origin_len(b"https:///"), None);
        assert_eq!(none.origin_in_string(b"https:///api"), Origin::Foreign);
    }
}
