//! What all subjects share: a folder, the origin, the stand-in of Entra ID, a token.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use tempfile::TempDir;

use crate::{
    certificates, page,
    program::{Output, Program, need},
    stand_ins::StandIns,
};

/// Where the measurements are made. Fields are dropped in their order: the programs end before their folder goes.
#[derive(Debug)]
pub(crate) struct Lab {
    pub(crate) origin: Program,
    pub(crate) stand_ins: StandIns,
    ports: [u16; 2],
    dir: TempDir,
}

impl Lab {
    pub(crate) async fn open(binary: &Path) -> anyhow::Result<Self> {
        let dir = folder()?;
        certificates::write(dir.path())?;
        let ports = [free_port()?, free_port()?];
        for port in ports {
            let folder = dir.path().join(format!("www/{port}/api"));
            page::write_all(&folder, &format!("https://127.0.0.1:{port}"))?;
        }
        let origin = origin(dir.path(), ports)?;
        let stand_ins = StandIns::start(binary, dir.path()).await?;
        Ok(Self {
            origin,
            stand_ins,
            ports,
            dir,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn port(&self, upstream: Upstream) -> u16 {
        self.ports[usize::from(upstream == Upstream::Http2)]
    }
}

/// What the origin speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    Http1,
    Http2,
}

/// In memory where there is such a place: bodies and logs shall not wait for a disk.
fn folder() -> anyhow::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    // nginx's workers are another user, if root runs this.
    builder
        .prefix("side-by-side-")
        .permissions(fs::Permissions::from_mode(0o755));
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    };
    dir.context("cannot make a folder for the run")
}

fn origin(dir: &Path, [http1, http2]: [u16; 2]) -> anyhow::Result<Program> {
    let template = include_str!("config/origin.conf");
    let values = [("HTTP1", http1.to_string()), ("HTTP2", http2.to_string())];
    let conf = write_config(dir, "origin.conf", template, &values)?;
    let mut command = nginx(&need("nginx")?, dir, &conf);
    Program::start(&mut command, &dir.join("origin.log"), Output::Logged).context("the origin")
}

pub(crate) fn nginx(program: &Path, dir: &Path, conf: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["-e", "stderr", "-p"])
        .arg(dir)
        .arg("-c")
        .arg(conf);
    command
}

/// Fills in a template: each `@NAME@`, and `@DIR@`.
pub(crate) fn write_config(
    dir: &Path,
    name: &str,
    template: &str,
    values: &[(&str, String)],
) -> anyhow::Result<PathBuf> {
    let mut text = template.replace("@DIR@", &dir.to_string_lossy());
    for (name, value) in values {
        text = text.replace(&format!("@{name}@"), value);
    }
    let path = dir.join(name);
    fs::write(&path, text)?;
    Ok(path)
}

/// A port that nobody listens on now. nginx and haproxy can't be told to choose one themselves.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
