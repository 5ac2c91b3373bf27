//! Who is measured: our program and its peers, each started with a configuration of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;

use crate::{
    client::Client,
    lab::{self, Lab, Upstream, free_port, write_config},
    page,
    program::{Output, Program, find},
};

/// Another proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
}

/// One of those that are compared.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// None for ours.
    peer: Option<Peer>,
    program: PathBuf,
}

impl Subject {
    pub(crate) fn ours(binary: &Path) -> Self {
        Self {
            name: "defender-proxy",
            peer: None,
            program: binary.to_owned(),
        }
    }

    /// None when its program is missing.
    pub(crate) fn peer(peer: Peer) -> Option<Self> {
        let name = match peer {
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
        };
        let program = find(name)?;
        Some(Self {
            name,
            peer: Some(peer),
            program,
        })
    }

    /// What prints its version.
    pub(crate) fn version(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(if self.peer.is_some() {
            "-v"
        } else {
            "--version"
        });
        command
    }

    /// nginx speaks HTTP/1 to upstream.
    pub(crate) fn speaks(&self, upstream: Upstream) -> bool {
        upstream == Upstream::Http1 || self.peer != Some(Peer::Nginx)
    }

    /// Starts it, and waits until it has answered rightly.
    pub(crate) async fn start(&self, lab: &Lab, upstream: Upstream) -> anyhow::Result<Running> {
        let mut running = self.spawn(lab, upstream, "ca.pem")?;
        let expected = running.expects(page::SMALL_BYTES);
        loop {
            let tried = running.try_once(&expected).await;
            running.cold_start = running.started.elapsed();
            match tried {
                Ok(()) => break,
                Err(error) if running.cold_start > PATIENCE => {
                    return Err(error).with_context(|| running.program.said());
                }
                Err(_) => running.program.check()?,
            }
            // There is no event to wait for that all of them have.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(running)
    }

    /// # Errors
    /// When it forwards to an origin that it can't trust.
    pub(crate) async fn verifies(&self, lab: &Lab) -> anyhow::Result<()> {
        let mut running = self.spawn(lab, Upstream::Http1, "other-ca.pem")?;
        while running.started.elapsed() < PATIENCE {
            running.program.check()?;
            if let Ok(mut client) = Client::connect(running.address).await {
                let status = client.get(page::SMALL).await?.status();
                ensure!(
                    status.is_server_error(),
                    "{} answers {status} from an origin that it can't trust",
                    self.name
                );
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bail!("{} doesn't listen", self.name)
    }

    fn spawn(&self, lab: &Lab, upstream: Upstream, ca: &str) -> anyhow::Result<Running> {
        let (dir, port, h2c) = (lab.dir(), free_port()?, free_port()?);
        let log = dir.join(format!("{}.log", self.name));
        let mut command = self.command(lab, upstream, &dir.join(ca), [port, h2c])?;
        let started = Instant::now();
        let program = Program::start(&mut command, &log, Output::Logged)?;
        let own_h2c = self.peer == Some(Peer::Nginx);
        let (address, origin) = (local(port), lab.port(upstream));
        let origin = format!("https://127.0.0.1:{origin}");
        let links = if self.peer.is_none() {
            format!("http://{address}")
        } else {
            origin.clone()
        };
        Ok(Running {
            program,
            started,
            cold_start: Duration::ZERO,
            address,
            h2c: local(if own_h2c { h2c } else { port }),
            links,
            origin,
        })
    }

    fn command(
        &self,
        lab: &Lab,
        upstream: Upstream,
        ca: &Path,
        [port, h2c]: [u16; 2],
    ) -> anyhow::Result<Command> {
        let dir = lab.dir();
        let values = [
            ("PORT", port.to_string()),
            ("H2C", h2c.to_string()),
            ("ORIGIN", lab.port(upstream).to_string()),
            ("TOKEN", lab.stand_ins.token.clone()),
            (
                "ALPN",
                if upstream == Upstream::Http2 {
                    "h2"
                } else {
                    "http/1.1"
                }
                .to_owned(),
            ),
            ("CA", ca.to_string_lossy().into_owned()),
        ];
        let mut command = Command::new(&self.program);
        match self.peer {
            Some(Peer::Nginx) => {
                let conf = write_config(
                    dir,
                    "nginx.conf",
                    include_str!("config/nginx.conf"),
                    &values,
                )?;
                command = lab::nginx(&self.program, dir, &conf);
            }
            Some(Peer::Haproxy) => {
                let conf = write_config(
                    dir,
                    "haproxy.cfg",
                    include_str!("config/haproxy.cfg"),
                    &values,
                )?;
                command.args(["-db", "-f"]).arg(conf);
            }
            None => {
                let text = lab
                    .stand_ins
                    .config(include_str!("config/defender-proxy.toml"), ca)?;
                let conf = write_config(dir, "defender-proxy.toml", &text, &values)?;
                command
                    .args(["serve", "--listen", &local(port).to_string(), "--config"])
                    .arg(conf);
            }
        }
        Ok(command)
    }
}

/// A subject that has been started.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) program: Program,
    started: Instant,
    /// From its start to its first right answer.
    pub(crate) cold_start: Duration,
    pub(crate) address: SocketAddr,
    /// For HTTP/2 with prior knowledge.
    pub(crate) h2c: SocketAddr,
    /// Where links lead in what it answers; the origin's own name where it doesn't rewrite them.
    links: String,
    origin: String,
}

impl Running {
    /// The page of so many bytes, as it must come through.
    pub(crate) fn expects(&self, size: usize) -> String {
        page::page(&self.origin, size).replace(&self.origin, &self.links)
    }

    /// Bytes of the large answer, as it must come through.
    pub(crate) fn expects_large(&self) -> usize {
        page::LARGE_BYTES + page::LARGE_LINKS * self.links.len()
            - page::LARGE_LINKS * self.origin.len()
    }

    async fn try_once(&self, expected: &str) -> anyhow::Result<()> {
        Client::connect(self.address)
            .await?
            .expect(page::SMALL, expected)
            .await
    }
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// With a subject that doesn't come up.
const PATIENCE: Duration = Duration::from_secs(15);
