//! Where the answer of the administrator's browser is caught.

use anyhow::Context as _;
use url::Url;

use crate::loopback::Loopback;

/// A port of this machine, and the redirect URI that leads there.
pub(super) struct Redirect {
    pub(super) loopback: Loopback,
    pub(super) uri: String,
}

impl Redirect {
    /// Listens at the configured redirect; `None` if it leads to another machine.
    ///
    /// Entra ID compares all of it but the port ("Redirect URI restrictions"), so any will do unless one is configured.
    pub(super) async fn bind(configured: &str) -> anyhow::Result<Option<Self>> {
        let mut url = Url::parse(configured)?;
        if url.scheme() != "http" {
            return Ok(None);
        }
        let loopback = match url.port() {
            Some(port) => Loopback::bind_port(port).await,
            None => Loopback::bind().await,
        };
        let loopback =
            loopback.context("can't listen for the answer at the identity's consent_redirect")?;
        let port = Url::parse(&loopback.redirect_uri())?.port();
        url.set_port(port)
            .ok()
            .context("the redirect takes no port")?;
        let mut uri = url.to_string();
        // An absent path is not the path `/`.
        if url.path() == "/" && !configured.ends_with('/') {
            uri.pop();
        }
        Ok(Some(Self { loopback, uri }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_but_the_port_stays_as_configured() {
        for (configured, start, end) in [
            ("http://localhost", "http://localhost:", ""),
            ("http://localhost/", "http://localhost:", "/"),
            (
                "http://127.0.0.1/consented",
                "http://127.0.0.1:",
                "/consented",
            ),
        ] {
            let redirect = Redirect::bind(configured).await.unwrap().unwrap();
            let port = redirect
                .uri
                .strip_prefix(start)
                .and_then(|rest| rest.strip_suffix(end));
            let port = port.expect(&redirect.uri);
            assert!(port.parse::<u16>().is_ok(), "{}", redirect.uri);
        }
        assert!(
            Redirect::bind("https://contoso.example/x")
                .await
                .unwrap()
                .is_none()
        );
    }
}
