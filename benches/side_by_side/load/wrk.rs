//! HTTP/1.1.

use std::path::Path;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use super::{Answered, check_bytes, generator, run};
use crate::running::Running;

/// What is asked for, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wrk<'a> {
    /// A path, and how many bytes the origin has there.
    pub(crate) page: (&'a str, usize),
    pub(crate) connections: u32,
    /// Or one for each request.
    pub(crate) kept: bool,
    /// A script, and what it is told.
    pub(crate) script: Option<(&'a Path, &'a [String])>,
}

impl<'a> Wrk<'a> {
    /// 64 connections that are kept.
    pub(crate) fn new(page: (&'a str, usize)) -> Self {
        Self {
            page,
            connections: 64,
            kept: true,
            script: None,
        }
    }

    fn command(&self, running: &Running, seconds: u32) -> anyhow::Result<Command> {
        let mut command = generator("wrk")?;
        // It wants a connection for each thread.
        command
            .arg(format!("-t{}", self.connections.min(2)))
            .arg(format!("-c{}", self.connections))
            .args(["--timeout", "10s"])
            .arg(format!("-d{seconds}s"));
        if !self.kept {
            command.args(["-H", "Connection: close"]);
        }
        if let Some((script, _)) = self.script {
            command.arg("-s").arg(script);
        }
        command.arg(format!("http://{}{}", running.address, self.page.0));
        if let Some((_, arguments)) = self.script {
            command.arg("--").args(arguments);
        }
        Ok(command)
    }
}

pub(crate) async fn wrk(
    running: &Running,
    load: Wrk<'_>,
    seconds: u32,
) -> anyhow::Result<Answered> {
    let said = run(&mut load.command(running, seconds)?).await?;
    for wrong in ["Socket errors", "Non-2xx"] {
        ensure!(!said.contains(wrong), "wrong answers: {said}");
    }
    let (answered, bytes) = read(&said).with_context(|| said.clone())?;
    check_bytes(
        bytes,
        answered.requests,
        running.expects(load.page.1).len(),
        &said,
    )?;
    Ok(answered)
}

/// The line `12345 requests in 2.00s, 14.50MB read`, and the bytes of it.
fn read(said: &str) -> anyhow::Result<(Answered, f64)> {
    let line = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "));
    let (requests, rest) = line.context("no count of requests")?;
    let (seconds, rest) = rest.split_once("s, ").context("no time")?;
    let read = rest.strip_suffix("B read").context("no bytes")?;
    let unit = UNITS.iter().find(|(unit, _)| read.ends_with(*unit));
    let (unit, factor) = unit.copied().unwrap_or(('B', 1.0));
    let bytes = read.trim_end_matches(unit).parse::<f64>()? * factor;
    let answered = Answered {
        requests: requests.parse()?,
        seconds: seconds.parse()?,
    };
    Ok((answered, bytes))
}

const UNITS: [(char, f64); 3] = [('K', 1024.0), ('M', 1_048_576.0), ('G', 1_073_741_824.0)];
