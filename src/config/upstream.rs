//! `[upstream]`: how connections to the APIs are made.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::config::value::Value;
use crate::origin::{HostPort, OriginError};

/// How connections to the APIs are made.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// A PEM file of root certificates trusted beside those of the system.
    pub ca: Option<PathBuf>,
    /// The proxy to connect through: `http://host[:port]/`, without user name or password.
    pub proxy: Option<Uri>,
    /// The time for a connection, TLS included; 10 s unless set.
    pub connect_timeout: Duration,
    /// The time from the request to the first byte of its answer; 300 s unless set, because a
    /// hunting query may be silent for 200 s.
    pub response_timeout: Duration,
}

impl UpstreamConfig {
    /// Reads `[upstream]`; the default without it.
    pub(super) fn read(value: Option<&Value<'_>>) -> Self {
        let default = Self::default();
        let Some(mut table) = value.and_then(Value::table) else {
            return default;
        };
        let ca = table.take("ca");
        let proxy = table.take("proxy");
        let connect = table.take("connect_timeout");
        let response = table.take("response_timeout");
        table.finish();
        let time = |value: Option<Value<'_>>| value.and_then(|v| v.duration());
        Self {
            ca: ca.and_then(|value| value.file()),
            proxy: proxy.and_then(|value| read_proxy(&value)),
            connect_timeout: time(connect).unwrap_or(default.connect_timeout),
            response_timeout: time(response).unwrap_or(default.response_timeout),
        }
    }
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            ca: None,
            proxy: None,
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_mins(5),
        }
    }
}

fn read_proxy(value: &Value<'_>) -> Option<Uri> {
    let parsed = parse_proxy(value.string()?);
    parsed.map_err(|message| value.fault(message)).ok()
}

fn parse_proxy(text: &str) -> Result<Uri, &'static str> {
    const FORM: &str =
        "must be the address of the proxy, like \"http://proxy.contoso.example:3128\"";
    let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
    let HostPort { host, port } = match rest.strip_suffix('/').unwrap_or(rest).parse() {
        Ok(host_port) => host_port,
        Err(OriginError::UserInfo) => {
            return Err("must not hold a user name or password: never put a password in the file");
        }
        Err(_) => return Err(FORM),
    };
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(
            "must begin with http://, as a proxy is reached in no other way: what goes \
                    through it is encrypted all the same",
        );
    }
    let authority = match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    let uri = Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query("/");
    uri.build().map_err(|_| FORM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for (text, shown) in [
            (
                "http://proxy.contoso.example:3128",
                "http://proxy.contoso.example:3128/",
            ),
            ("HTTP://Proxy/", "http://proxy/"),
            ("http://[::1]:3128", "http://[::1]:3128/"),
        ] {
            assert_eq!(parse_proxy(text).expect(text).to_string(), shown);
        }
        for (text, part) in [
            ("proxy.contoso.example:3128", "must be the address"),
            (
                "http://proxy.contoso.example:3128/path",
                "must be the address",
            ),
            (
                "https://proxy.contoso.example:3128",
                "must begin with http://",
            ),
            (
                "http://user:password@proxy",
                "never put a password in the file",
            ),
            ("", "must be the address"),
        ] {
            let message = parse_proxy(text).expect_err(text);
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
