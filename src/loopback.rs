//! Catches one redirect of a browser on this machine (RFC 8252 §7.3), and shows the person a last page.
//!
//! A request without the expected `state` is answered and forgotten: browsers ask for icons, and anything on the machine may knock.
//! Nothing of a request is ever logged, as its query holds the authorization code.

mod page;

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http::{Method, Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use subtle::ConstantTimeEq as _;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::{self, JoinSet},
};
use zeroize::Zeroizing;

pub use self::page::Page;

/// A free port of `localhost` that waits for a browser.
#[derive(Debug)]
pub struct Loopback {
    v4: TcpListener,
    /// Browsers may try this address of `localhost` first. A machine without IPv6 has none.
    v6: Option<TcpListener>,
    port: u16,
}

impl Loopback {
    /// Listens on a free port of 127.0.0.1, and on the same one of `[::1]`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn bind() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..ATTEMPTS {
            match Self::bind_port(0).await {
                Ok(bound) => return Ok(bound),
                // The port of `[::1]` is another program's, which the browser would hand the answer to.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// As [`Loopback::bind`], on this port: for a redirect that is registered with one.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind_port(port: u16) -> io::Result<Self> {
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let port = v4.local_addr()?.port();
        let v6 = match TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => None,
        };
        Ok(Self { v4, v6, port })
    }

    /// Where the browser is to be sent back to: `http://localhost:PORT`.
    ///
    /// Entra ID compares neither port nor an absent path ("Redirect URI restrictions"), and registers `localhost` more easily
    /// than `127.0.0.1`.
    #[must_use]
    pub fn redirect_uri(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Waits for the redirect that carries `state`, at any path.
    ///
    /// Must run in a tokio runtime. There is no time limit; dropping the future closes the port.
    ///
    /// # Errors
    /// When the port can't be listened on any more.
    pub async fn caught(&self, state: &str) -> io::Result<Caught> {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut browsers = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.accept() => {
                    let (stream, _) = accepted?;
                    browsers.spawn(serve(stream, Zeroizing::new(state.to_owned()), sender.clone()));
                }
                Some(redirect) = receiver.recv() => return Ok(Caught { redirect, browsers }),
                Some(_) = browsers.join_next() => {}
            }
        }
    }

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.v6 {
            Some(v6) => tokio::select! {
                accepted = self.v4.accept() => accepted,
                accepted = v6.accept() => accepted,
            },
            None => self.v4.accept().await,
        }
    }
}

/// The redirect. The browser waits for its page until [`Caught::show`].
pub struct Caught {
    redirect: Redirect,
    browsers: JoinSet<()>,
}

impl Caught {
    /// A query parameter, decoded; the first of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let value = self.redirect.parameters.get(name)?;
        Some(value)
    }

    /// Shows the last page, and waits until the browser has it (some seconds at most).
    pub async fn show(mut self, page: Page) {
        // A browser that has gone away has its reasons.
        let _ = self.redirect.page.send(page);
        let sent = async {
            // Other connections may be silent: browsers open some in reserve.
            while let Some(ended) = self.browsers.join_next_with_id().await {
                if ended.is_ok_and(|(id, ())| id == self.redirect.connection) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(LAST_PAGE, sent).await;
    }
}

impl fmt::Debug for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caught").finish_non_exhaustive()
    }
}

type Parameters = HashMap<String, Zeroizing<String>>;

struct Redirect {
    parameters: Parameters,
    page: oneshot::Sender<Page>,
    /// The task that serves the browser which brought it.
    connection: task::Id,
}

async fn serve(stream: TcpStream, state: Zeroizing<String>, redirects: mpsc::Sender<Redirect>) {
    let service = service_fn(|request| answer(request, &state, &redirects));
    // What becomes of one connection is nobody's concern: the next may bring the redirect.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .max_buf_size(HEAD_SIZE)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    state: &str,
    redirects: &mpsc::Sender<Redirect>,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    let parameters = parameters(request.uri().query().unwrap_or_default());
    let is_expected = parameters
        .get("state")
        .is_some_and(|found| found.as_bytes().ct_eq(state.as_bytes()).into());
    if request.method() != Method::GET || !is_expected {
        return Ok(Page::stray().response());
    }
    let (sender, page) = oneshot::channel();
    let redirect = Redirect {
        parameters,
        page: sender,
        connection: task::id(),
    };
    if redirects.try_send(redirect).is_err() {
        return Ok(Page::stray().response());
    }
    let page = page.await.unwrap_or_else(|_| Page::stray());
    Ok(page.response())
}

fn parameters(query: &str) -> Parameters {
    let mut found = Parameters::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        found
            .entry(name.into_owned())
            .or_insert_with(|| Zeroizing::new(value.into_owned()));
    }
    found
}

/// How many free ports are tried.
const ATTEMPTS: u32 = 8;
const HEAD_TIME: Duration = Duration::from_secs(10);
/// The largest request head, in bytes. A code is one to two KiB.
const HEAD_SIZE: usize = 32 * 1024;
const LAST_PAGE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(port: u16, line: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let request = format!("{line} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn only_the_right_state_ends_the_wait() {
        let loopback = Loopback::bind().await.unwrap();
        let port = loopback.port;
        assert_eq!(loopback.redirect_uri(), format!("http://localhost:{port}"));
        let browser = tokio::spawn(async move {
            for line in [
                "GET /favicon.ico",
                "GET /?code=a&state=wrong",
                "GET /?code=a",
                "POST /?code=a&state=right",
            ] {
                let answer = get(port, line).await;
                assert!(answer.starts_with("HTTP/1.1 404"), "{line}: {answer}");
            }
            get(port, "GET /?code=a%26b&state=right&code=second").await
        });
        let caught = loopback.caught("right").await.unwrap();
        assert_eq!(caught.parameter("code"), Some("a&b"));
        assert_eq!(caught.parameter("error"), None);
        caught.show(Page::done("It worked.")).await;
        let answer = browser.await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("It worked.") && answer.contains("You can close this window"));
    }

    #[tokio::test]
    async fn a_failure_is_shown_and_can_not_write_the_page() {
        let loopback = Loopback::bind().await.unwrap();
        let port = loopback.port;
        let browser = tokio::spawn(get(port, "GET /?error=x&state=s"));
        let caught = loopback.caught("s").await.unwrap();
        caught.show(Page::failed("<script>\"&'")).await;
        let answer = browser.await.unwrap();
        assert!(
            answer.contains("&lt;script&gt;&quot;&amp;&#39;") && !answer.contains("<script"),
            "{answer}"
        );
        assert!(
            answer.contains("You can close this window") && answer.contains("default-src 'none'")
        );
    }

    #[tokio::test]
    async fn a_silent_connection_does_not_hold_up_the_next() {
        let loopback = Loopback::bind().await.unwrap();
        let port = loopback.port;
        let _silent = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let browser = tokio::spawn(async move { get(port, "GET /?state=s").await });
        let caught = loopback.caught("s").await.unwrap();
        caught.show(Page::done("It worked.")).await;
        assert!(browser.await.unwrap().contains("It worked."));
    }
}
