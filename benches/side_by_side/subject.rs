//! Who is measured: our program and its peers, each started with a configuration of its own.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use clap::ValueEnum;

use crate::{
    lab::{self, Lab, Upstream, free_port, write_config},
    page::SMALL,
    program::{Output, Program, find},
    running::Running,
};

/// Another proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
    Envoy,
}

/// One of those that are compared.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// None for ours.
    peer: Option<Peer>,
    pub(crate) program: PathBuf,
}

impl Subject {
    pub(crate) fn ours(binary: &Path) -> Self {
        Self {
            name: "defender-proxy",
            peer: None,
            program: binary.to_owned(),
        }
    }

    /// None when its program is neither `at` a given place nor in `PATH`.
    pub(crate) fn peer(peer: Peer, at: Option<PathBuf>) -> Option<Self> {
        let name = match peer {
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Envoy => "envoy",
        };
        let program = at.or_else(|| find(name))?;
        Some(Self {
            name,
            peer: Some(peer),
            program,
        })
    }

    /// What prints its version.
    pub(crate) fn version(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(match self.peer {
            Some(Peer::Nginx | Peer::Haproxy) => "-v",
            Some(Peer::Envoy) | None => "--version",
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
        running.wait_until_right(SMALL).await?;
        Ok(running)
    }

    /// # Errors
    /// When it forwards to an origin that it can't trust.
    pub(crate) async fn verifies(&self, lab: &Lab) -> anyhow::Result<()> {
        let running = self.spawn(lab, Upstream::Http1, "other-ca.pem")?;
        running.wait_until_refusing().await
    }

    fn spawn(&self, lab: &Lab, upstream: Upstream, ca: &str) -> anyhow::Result<Running> {
        let [address, second] = [local(free_port()?), local(free_port()?)];
        let ports = [address.port(), second.port()];
        let mut command = self.command(lab, upstream, &lab.dir().join(ca), ports)?;
        let log = lab.dir().join(format!("{}.log", self.name));
        let program = Program::start(&mut command, &log, Output::Logged)?;
        let origin = format!("https://127.0.0.1:{}", lab.port(upstream));
        // Ours alone leads them to itself.
        let links = if self.peer.is_none() {
            format!("http://{address}")
        } else {
            origin.clone()
        };
        let h2c = if self.peer == Some(Peer::Nginx) {
            second
        } else {
            address
        };
        Ok(Running::new(program, address, h2c, origin, links))
    }

    fn command(
        &self,
        lab: &Lab,
        upstream: Upstream,
        ca: &Path,
        [port, h2c]: [u16; 2],
    ) -> anyhow::Result<Command> {
        let (protocol, options) = match upstream {
            Upstream::Http1 => ("http/1.1", "http_protocol_options"),
            Upstream::Http2 => ("h2", "http2_protocol_options"),
        };
        let values = [
            ("PORT", port.to_string()),
            ("H2C", h2c.to_string()),
            ("ORIGIN", lab.port(upstream).to_string()),
            ("ALPN", protocol.to_owned()),
            ("PROTOCOL_OPTIONS", options.to_owned()),
            ("TOKEN", lab.stand_ins.token.clone()),
            ("CA", ca.to_string_lossy().into_owned()),
        ];
        let write = |name, template: &str| write_config(lab.dir(), name, template, &values);
        let mut command = Command::new(&self.program);
        match self.peer {
            Some(Peer::Nginx) => {
                let conf = write("nginx.conf", include_str!("config/nginx.conf"))?;
                command = lab::nginx(&self.program, lab.dir(), &conf);
            }
            Some(Peer::Haproxy) => {
                let conf = write("haproxy.cfg", include_str!("config/haproxy.cfg"))?;
                command.args(["-db", "-f"]).arg(conf);
            }
            Some(Peer::Envoy) => {
                let conf = write("envoy.yaml", include_str!("config/envoy.yaml"))?;
                command
                    .args(["--disable-hot-restart", "--log-level", "error", "-c"])
                    .arg(conf);
            }
            None => {
                let text = lab
                    .stand_ins
                    .config(include_str!("config/defender-proxy.toml"), ca)?;
                let conf = write("defender-proxy.toml", &text)?;
                command
                    .args(["serve", "--listen", &local(port).to_string(), "--config"])
                    .arg(conf);
            }
        }
        Ok(command)
    }
}

pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
