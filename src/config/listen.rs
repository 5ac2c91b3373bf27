//! `[listen]`: where clients connect, and which of them are let in.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::auth::secret::SecretSource;
use crate::config::secret;
use crate::config::value::Value;
use crate::origin::HostPort;

/// Where clients connect, and which of them are let in.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// The address; loopback unless there are both `tls` and `client_key`.
    pub address: ListenAddress,
    /// Values of `Host` accepted beside loopback names, in lower case: `host` or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Values of `Origin` of the web pages that may call, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// What clients must show, if anything.
    pub client_key: Option<SecretSource>,
    /// The certificate to serve HTTPS with; without it, HTTP.
    pub tls: Option<TlsFiles>,
    /// Whether token requests of clients are answered, with a token that is worth nothing.
    pub stand_in_login: bool,
}

impl Listen {
    /// Listens elsewhere, as `--listen` asks.
    ///
    /// # Errors
    ///
    /// If the network could reach the address and there is not both TLS and a client key.
    pub fn with_address(self, address: ListenAddress) -> Result<Self, ExposedError> {
        let guarded = self.tls.is_some() && self.client_key.is_some();
        if address.is_exposed() && !guarded {
            return Err(ExposedError);
        }
        Ok(Self { address, ..self })
    }

    /// Reads `[listen]`; the default without it.
    pub(super) fn read(value: Option<&Value<'_>>) -> Self {
        let Some(mut table) = value.and_then(Value::table) else {
            return Self::default();
        };
        let address = table.take("address");
        let allowed_hosts = table.take("allowed_hosts");
        let allowed_origins = table.take("allowed_origins");
        let client_key = table.take("client_key");
        let tls = table.take("tls");
        let stand_in_login = table.take("stand_in_login");
        table.finish();

        let parsed = address.as_ref().and_then(|a| read_address(a));
        let guarded = tls.is_some() && client_key.is_some();
        if let (Some(address), Some(parsed)) = (&address, &parsed)
            && parsed.is_exposed()
            && !guarded
        {
            address.fault(ExposedError.to_string());
        }
        Self {
            address: parsed.unwrap_or_default(),
            allowed_hosts: read_list(allowed_hosts.as_ref(), allowed_host, HOST_FORM),
            allowed_origins: read_list(allowed_origins.as_ref(), allowed_origin, ORIGIN_FORM),
            client_key: client_key.as_ref().and_then(secret::read),
            tls: tls.as_ref().and_then(TlsFiles::read),
            stand_in_login: stand_in_login.and_then(|value| value.boolean()) == Some(true),
        }
    }
}

/// The PEM files of the HTTPS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its root.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
}

impl TlsFiles {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut table = value.table()?;
        let cert = table.require("cert", "cert = \"certs/localhost.pem\"");
        let key = table.require("key", "key = \"certs/localhost.key\"");
        table.finish();
        let (cert, key) = (cert.and_then(|c| c.file()), key.and_then(|k| k.file()));
        Some(Self {
            cert: cert?,
            key: key?,
        })
    }
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and port; port 0 is any free one.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether other machines could reach it.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                _ if !cfg!(unix) => Err(ListenAddressError::NoUnixSockets),
                "" => Err(ListenAddressError::NoPath),
                _ if path.contains('\0') => Err(ListenAddressError::NoPath),
                _ => Ok(Self::Unix(path.into())),
            };
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Tcp(address));
        }
        match text.split_once(':') {
            // Not looked up: the name means this machine, whatever a resolver says.
            Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
                let port = port.parse().map_err(|_| ListenAddressError::Malformed)?;
                Ok(Self::Tcp((Ipv4Addr::LOCALHOST, port).into()))
            }
            Some(_) | None => Err(ListenAddressError::Malformed),
        }
    }
}

impl Default for ListenAddress {
    /// 127.0.0.1:8080
    fn default() -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, 8080).into())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Why a text is no [`ListenAddress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListenAddressError {
    /// No IP address with a port.
    #[error(
        "must be an IP address (or localhost) and a port, like 127.0.0.1:8080 or [::1]:8080, or a \
         socket file, like unix:/run/defender-proxy.sock"
    )]
    Malformed,
    /// `unix:` without a path.
    #[error("must name the socket file after unix:")]
    NoPath,
    /// This system has no Unix domain sockets.
    #[error("must be an IP address and a port: unix: sockets do not exist on this system")]
    NoUnixSockets,
}

/// The address would let the network use the credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "would let the whole network use the proxy's credentials: listen on 127.0.0.1, or set both \
     listen.tls and listen.client_key"
)]
pub struct ExposedError;

fn read_address(value: &Value<'_>) -> Option<ListenAddress> {
    match value.parse()? {
        ListenAddress::Unix(path) => Some(ListenAddress::Unix(value.document().resolve(path))),
        tcp @ ListenAddress::Tcp(_) => Some(tcp),
    }
}

fn read_list(
    value: Option<&Value<'_>>,
    parse: fn(&str) -> Option<String>,
    form: &str,
) -> Vec<String> {
    let mut list = Vec::new();
    for element in value.and_then(Value::elements).unwrap_or_default() {
        let Some(text) = element.string() else {
            continue;
        };
        match parse(text) {
            Some(parsed) => list.push(parsed),
            None => element.fault(form),
        }
    }
    list
}

fn allowed_host(text: &str) -> Option<String> {
    let HostPort { host, port } = text.parse().ok()?;
    Some(match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

/// An origin in the one form that a browser sends (RFC 6454 §6.2), so comparing bytes is enough.
fn allowed_origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.bytes().all(letter) {
        return None;
    }
    let canonical = format!("{scheme}://{}", allowed_host(rest)?);
    let default = matches!(
        (scheme, rest.rsplit_once(':')),
        ("http", Some((_, "80"))) | ("https", Some((_, "443")))
    );
    (canonical == text && !default).then_some(canonical)
}

const HOST_FORM: &str = "must be a host or host:port as in a Host header, without scheme or path";
const ORIGIN_FORM: &str = "must be exactly the Origin that a browser sends: lower-case \
                           scheme://host or scheme://host:port, without default port, path or \
                           final slash; there is no form for every page";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown, exposed) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", false),
            ("localhost:81", "127.0.0.1:81", false),
            ("LocalHost:0", "127.0.0.1:0", false),
            ("[::1]:8080", "[::1]:8080", false),
            ("[::ffff:127.0.0.1]:8080", "[::ffff:127.0.0.1]:8080", false),
            ("0.0.0.0:8080", "0.0.0.0:8080", true),
            ("[::]:8080", "[::]:8080", true),
            ("192.0.2.1:8080", "192.0.2.1:8080", true),
        ] {
            let address: ListenAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.is_exposed(), exposed, "{text}");
        }
        assert_eq!(ListenAddress::default().to_string(), "127.0.0.1:8080");
        let malformed = ["", "8080", ":8080", "127.0.0.1", "localhost", "localhost:x"];
        for text in malformed
            .into_iter()
            .chain(["contoso.example:80", "localhost:65536"])
        {
            let error = text.parse::<ListenAddress>().expect_err(text);
            assert_eq!(error, ListenAddressError::Malformed, "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn socket_files() {
        let address: ListenAddress = "unix:/run/proxy.sock".parse().expect("a socket");
        assert_eq!(address, ListenAddress::Unix("/run/proxy.sock".into()));
        assert_eq!(address.to_string(), "unix:/run/proxy.sock");
        assert_eq!(
            "unix:".parse::<ListenAddress>(),
            Err(ListenAddressError::NoPath)
        );
    }

    #[test]
    fn the_network_needs_tls_and_a_client_key() {
        let open: ListenAddress = "0.0.0.0:8080".parse().expect("an address");
        let plain = Listen::default();
        assert_eq!(
            plain.clone().with_address(open.clone()).err(),
            Some(ExposedError)
        );
        let keyed = Listen {
            client_key: Some(SecretSource::Env("KEY".to_owned())),
            ..plain
        };
        assert_eq!(
            keyed.clone().with_address(open.clone()).err(),
            Some(ExposedError)
        );
        let guarded = Listen {
            tls: Some(TlsFiles {
                cert: "c".into(),
                key: "k".into(),
            }),
            ..keyed
        };
        assert_eq!(
            guarded.with_address(open.clone()).expect("guarded").address,
            open
        );
    }

    #[test]
    fn hosts_and_origins_have_one_form() {
        for (text, parsed) in [
            ("Proxy.Contoso.Example", Some("proxy.contoso.example")),
            ("proxy:8443", Some("proxy:8443")),
            ("[::1]:80", Some("[::1]:80")),
            ("http://proxy", None),
            ("proxy/", None),
            ("*.contoso.example", None),
            ("", None),
        ] {
            assert_eq!(allowed_host(text).as_deref(), parsed, "{text}");
        }
        for (text, good) in [
            ("http://localhost:3000", true),
            ("https://grafana.contoso.example", true),
            ("app+x://panel", true),
            ("http://localhost:3000/", false),
            ("https://grafana.contoso.example:443", false),
            ("http://localhost:80", false),
            ("https://Grafana.contoso.example", false),
            ("HTTP://localhost", false),
            ("localhost:3000", false),
            ("null", false),
            ("*", false),
        ] {
            assert_eq!(allowed_origin(text).is_some(), good, "{text}");
        }
    }
}
