//! One connection of a client: to see whether a subject is ready and right, to hold it, to load it at a fixed rate.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// What every client of every load generator sends, and the origin must not see: it would refuse it.
pub(crate) const STOLEN: [(&str, &str); 2] = [
    ("Authorization", "Bearer stolen"),
    ("Cookie", "session=stolen"),
];

/// A kept HTTP/1.1 connection.
#[derive(Debug)]
pub(crate) struct Client {
    sender: SendRequest<Empty<Bytes>>,
    to: SocketAddr,
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, to })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Response<Incoming>> {
        let mut request = Request::get(path).header(header::HOST, self.to.to_string());
        for (name, value) in STOLEN {
            request = request.header(name, value);
        }
        self.sender.ready().await?;
        Ok(self
            .sender
            .send_request(request.body(Empty::new())?)
            .await?)
    }

    /// # Errors
    /// When the answer isn't a success with exactly this body.
    pub(crate) async fn expect(&mut self, path: &str, body: &str) -> anyhow::Result<()> {
        let answer = self.get(path).await?;
        let status = answer.status();
        let came = timeout(PATIENCE, answer.into_body().collect())
            .await
            .context("no end of its body")??
            .to_bytes();
        let matches = status == 200 && came == body;
        ensure!(
            matches,
            "{path}: {status} {}",
            String::from_utf8_lossy(&came[..came.len().min(200)])
        );
        Ok(())
    }
}

/// With an answer.
const PATIENCE: Duration = Duration::from_secs(30);
