//! Our own stand-in of Entra ID, and a token of it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::ChildStdout,
};

use crate::program::{Output, Program};

/// `sandbox --upstreams-only`, of which the login host is used.
#[derive(Debug)]
pub(crate) struct StandIns {
    /// Cloud and identity.
    config: String,
    /// Roots that lead to it.
    ca: String,
    /// What the peers attach: they can't fetch one.
    pub(crate) token: String,
    _program: Program,
    /// Kept, so that what it still prints has a reader.
    _output: Lines<BufReader<ChildStdout>>,
}

impl StandIns {
    pub(crate) async fn start(binary: &Path, dir: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(binary);
        // It puts files of its own there, which go with the folder when it is killed.
        command
            .args(["sandbox", "--upstreams-only"])
            .env("TMPDIR", dir);
        let mut program = Program::start(&mut command, &dir.join("stand-ins.log"), Output::Read)?;
        let output = ChildStdout::from_std(program.output()?)?;
        let mut output = BufReader::new(output).lines();
        let printed = read_config(&mut output).await;
        let printed =
            printed.with_context(|| format!("the stand-ins ended: {}", program.said()))?;
        let (config, _) = printed.split_once("[upstream]").context("no [upstream]")?;
        let parsed: toml::Table = toml::from_str(&printed)?;
        let ca = parsed["upstream"]["ca"]
            .as_str()
            .context("no upstream.ca")?;
        let token = token(binary, dir, &printed).await?;
        Ok(Self {
            config: config.to_owned(),
            ca: fs::read_to_string(ca)?,
            token,
            _program: program,
            _output: output,
        })
    }

    /// A configuration that signs in here, with `rest`; and the roots that lead here, with `ca`, in the file that it names.
    pub(crate) fn config(&self, rest: &str, ca: &Path) -> anyhow::Result<String> {
        let roots = ca.with_extension("roots.pem");
        fs::write(&roots, format!("{}\n{}", self.ca, fs::read_to_string(ca)?))?;
        Ok(format!(
            "{}{}",
            self.config,
            rest.replace("@CA@", &roots.to_string_lossy())
        ))
    }
}

/// What it prints before it is ready.
async fn read_config(output: &mut Lines<BufReader<ChildStdout>>) -> anyhow::Result<String> {
    let mut printed = String::new();
    loop {
        let line = output.next_line().await?.context("no ready line")?;
        if line.starts_with("# listening on ") {
            return Ok(printed);
        }
        printed.push_str(&line);
        printed.push('\n');
    }
}

async fn token(binary: &Path, dir: &Path, config: &str) -> anyhow::Result<String> {
    let path: PathBuf = dir.join("token.toml");
    fs::write(&path, config)?;
    let mut command = tokio::process::Command::new(binary);
    command
        .args(["token", "--raw", "--api", "defender-endpoint", "--config"])
        .arg(path);
    let output = command.kill_on_drop(true).output().await?;
    ensure!(
        output.status.success(),
        "no token: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
