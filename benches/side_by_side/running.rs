//! A subject that has been started.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail, ensure};
use tokio::time::sleep;

use crate::{client::Client, page, program::Program};

/// Runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) program: Program,
    /// From its start to its first right answer.
    pub(crate) cold_start: Duration,
    pub(crate) address: SocketAddr,
    /// For HTTP/2 with prior knowledge.
    pub(crate) h2c: SocketAddr,
    origin: String,
    /// Where links lead in what it answers; the origin's own name where it doesn't rewrite them.
    links: String,
}

impl Running {
    pub(crate) fn new(
        program: Program,
        address: SocketAddr,
        h2c: SocketAddr,
        origin: String,
        links: String,
    ) -> Self {
        let cold_start = Duration::ZERO;
        Self {
            program,
            cold_start,
            address,
            h2c,
            origin,
            links,
        }
    }

    /// The page of so many bytes, as it must come through.
    pub(crate) fn expects(&self, size: usize) -> String {
        page::page(&self.origin, size).replace(&self.origin, &self.links)
    }

    /// Bytes of the large answer, as it must come through.
    pub(crate) fn expects_large(&self) -> usize {
        page::LARGE_BYTES + page::LARGE_LINKS * self.links.len()
            - page::LARGE_LINKS * self.origin.len()
    }

    /// Asks for the small page at this path, on a new connection each time, until it has answered rightly.
    ///
    /// # Errors
    /// When it has ended, or doesn't come up.
    pub(crate) async fn wait_until_right(&mut self, small: &str) -> anyhow::Result<()> {
        let expected = self.expects(page::SMALL_BYTES);
        loop {
            let answered = self.ask(small, &expected).await;
            self.cold_start = self.program.started.elapsed();
            let Err(error) = answered else {
                return Ok(());
            };
            self.wait_a_little().await.context(error)?;
        }
    }

    /// Asks until it has said that it can't forward.
    ///
    /// # Errors
    /// When it has forwarded, or doesn't come up.
    pub(crate) async fn wait_until_refusing(&self) -> anyhow::Result<()> {
        loop {
            if let Ok(mut client) = Client::connect(self.address).await {
                let status = client.get(page::SMALL).await?.status();
                ensure!(
                    status.is_server_error(),
                    "{status} from an origin that can't be trusted"
                );
                return Ok(());
            }
            self.wait_a_little().await?;
        }
    }

    async fn ask(&self, path: &str, expected: &str) -> anyhow::Result<()> {
        let mut client = Client::connect(self.address).await?;
        client.expect(path, expected).await
    }

    /// Of being ready there is no event that all subjects have.
    async fn wait_a_little(&self) -> anyhow::Result<()> {
        self.program.check()?;
        if self.program.started.elapsed() > PATIENCE {
            bail!("it doesn't come up: {}", self.program.said());
        }
        sleep(Duration::from_millis(1)).await;
        Ok(())
    }
}

const PATIENCE: Duration = Duration::from_secs(15);
