//! Where a connection goes and nothing else: scheme, host and port (RFC 6454).
//!
//! A path never belongs to an [`Origin`]; the client's own path is what is sent there.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use http::uri::{Authority, Scheme};
use thiserror::Error;

/// A place that may be sent a token: `https`, or `http` for a loopback host.
///
/// The host is in lower case and a default port is dropped, so two origins are equal exactly when
/// a browser would call them the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// The `https` origin of a host of our own tables.
    ///
    /// Panics if `host` is no host name, so it is for literals that a test builds once.
    pub(crate) fn of_host(host: &'static str) -> Self {
        Self {
            scheme: Scheme::HTTPS,
            authority: Authority::from_static(host),
        }
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// Host and, unless it is the default of the scheme, port.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The host in lower case; an IPv6 address keeps its brackets.
    pub fn host(&self) -> &str {
        self.authority.host()
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = text.split_once("://").ok_or(OriginError::NoScheme)?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::HTTPS,
            "http" => Scheme::HTTP,
            _ => return Err(OriginError::Scheme),
        };
        let HostPort { host, port } = rest.strip_suffix('/').unwrap_or(rest).parse()?;
        if scheme == Scheme::HTTP && !is_loopback(&host) {
            return Err(OriginError::Unencrypted);
        }
        let default = if scheme == Scheme::HTTPS { 443 } else { 80 };
        let authority = match port {
            Some(port) if port != default => format!("{host}:{port}"),
            Some(_) | None => host,
        };
        let authority = authority.parse().map_err(|_| OriginError::Host)?;
        Ok(Self { scheme, authority })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Why a text is no [`Origin`]. No message repeats the text: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OriginError {
    /// There is no `://`.
    #[error("needs a scheme: write \"https://host\" or \"https://host:port\"")]
    NoScheme,
    /// The scheme is neither `https` nor `http`.
    #[error("only https:// (or http:// for a loopback host) is possible here")]
    Scheme,
    /// `http` to a host that is not loopback.
    #[error(
        "http:// would send a token unencrypted and is possible only for localhost, 127.0.0.1 \
         and [::1]: write https://"
    )]
    Unencrypted,
    /// A user name or password stands before the host.
    #[error("must not hold a user name or password: remove everything up to the @")]
    UserInfo,
    /// Something follows the host and port.
    #[error(
        "must end after the host and port, because no path is taken from here (the client's own is \
         sent on unchanged): remove the rest"
    )]
    Path,
    /// The host is no DNS name and no IP address.
    #[error("needs a DNS name (in ASCII), an IPv4 address or an IPv6 address in brackets as host")]
    Host,
    /// The port is not a number from 1 to 65535.
    #[error("needs a port from 1 to 65535 after the colon, or no colon")]
    Port,
}

/// `host[:port]`, the host checked and in lower case.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
}

impl FromStr for HostPort {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Before the path test, so that a slash in a password is not called a path.
        if text.contains('@') {
            return Err(OriginError::UserInfo);
        }
        if text.contains(['/', '?', '#', '\\']) {
            return Err(OriginError::Path);
        }
        let (host, port) = match text.rsplit_once(':') {
            // The last colon of a bare IPv6 address stands inside its brackets.
            Some((host, port)) if !port.ends_with(']') => (host, Some(parse_port(port)?)),
            Some(_) | None => (text, None),
        };
        let host = parse_host(host).ok_or(OriginError::Host)?;
        Ok(Self { host, port })
    }
}

/// Whether a host (lower case, IPv6 in brackets) can only be this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

fn parse_port(text: &str) -> Result<u16, OriginError> {
    match text.parse() {
        // `parse` alone would take "+443".
        Ok(port) if port != 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
        Ok(_) | Err(_) => Err(OriginError::Port),
    }
}

fn parse_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        let address: Ipv6Addr = address.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(address.to_string());
    }
    is_dns_name(text).then(|| text.to_ascii_lowercase())
}

/// Whether a text is a DNS host name (underscores allowed, as in practice).
///
/// A name that ends in a number is none: resolvers read it as an IPv4 address in an odd notation.
pub(crate) fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let number = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_places_are_equal_origins() {
        let table = [
            (
                "https://Api.Security.Microsoft.com",
                "https://api.security.microsoft.com",
            ),
            (
                "HTTPS://api.contoso.example:443/",
                "https://api.contoso.example",
            ),
            (
                "https://api.contoso.example:8443",
                "https://api.contoso.example:8443",
            ),
            ("http://localhost:80", "http://localhost"),
            ("http://127.9.9.9:8080", "http://127.9.9.9:8080"),
            ("http://[0:0:0:0:0:0:0:1]:81", "http://[::1]:81"),
            ("https://[2001:DB8::1]", "https://[2001:db8::1]"),
        ];
        for (text, shown) in table {
            let origin: Origin = text.parse().expect(text);
            assert_eq!(origin.to_string(), shown);
            assert_eq!(origin, shown.parse().expect(shown));
        }
    }

    #[test]
    fn refuses_what_is_no_origin() {
        let table = [
            ("api.contoso.example", OriginError::NoScheme),
            ("", OriginError::NoScheme),
            ("ftp://contoso.example", OriginError::Scheme),
            ("http://contoso.example", OriginError::Unencrypted),
            ("http://localhost.contoso.example", OriginError::Unencrypted),
            ("http://128.0.0.1", OriginError::Unencrypted),
            ("https://user:pass@contoso.example", OriginError::UserInfo),
            ("https://user:pa/ss@contoso.example", OriginError::UserInfo),
            ("https://contoso.example/api", OriginError::Path),
            ("https://contoso.example//", OriginError::Path),
            ("https://contoso.example?x", OriginError::Path),
            ("https://contoso.example#x", OriginError::Path),
            ("https://contoso.example\\x", OriginError::Path),
            ("https://", OriginError::Host),
            ("https://contoso..example", OriginError::Host),
            ("https://contoso.example.", OriginError::Host),
            ("https://-contoso.example", OriginError::Host),
            ("https://contoso example", OriginError::Host),
            ("https://münchen.example", OriginError::Host),
            ("https://127.1", OriginError::Host),
            ("https://0x7f000001.1", OriginError::Host),
            ("https://[::1", OriginError::Host),
            ("https://::1", OriginError::Host),
            ("https://contoso.example:", OriginError::Port),
            ("https://contoso.example:0", OriginError::Port),
            ("https://contoso.example:+443", OriginError::Port),
            ("https://contoso.example:65536", OriginError::Port),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Origin>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn display_and_parse_agree(host in "[a-zA-Z]{1,9}(\\.[a-zA-Z0-9]{1,5}){0,2}\\.[a-z]{2,4}", port in 1u16..) {
            let origin: Origin = format!("https://{host}:{port}").parse().expect("an origin");
            prop_assert_eq!(origin.to_string().parse(), Ok(origin));
        }

        #[test]
        fn never_panics(text in "(https?://)?\\PC{0,40}") {
            let _ = text.parse::<Origin>();
        }
    }
}
