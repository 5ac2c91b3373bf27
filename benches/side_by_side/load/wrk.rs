//! HTTP/1.1.

use anyhow::{Context as _, ensure};

use super::{Answered, check_bytes, generator, run};
use crate::running::Running;

/// 64 connections, kept or one for each request. `page` is a path and how many bytes the origin has there.
pub(crate) async fn wrk(
    running: &Running,
    page: (&str, usize),
    kept: bool,
    seconds: u32,
) -> anyhow::Result<Answered> {
    let mut command = generator("wrk")?;
    command
        .args(["-t2", "-c64", "--timeout", "10s"])
        .arg(format!("-d{seconds}s"));
    if !kept {
        command.args(["-H", "Connection: close"]);
    }
    let said = run(command.arg(format!("http://{}{}", running.address, page.0))).await?;
    for wrong in ["Socket errors", "Non-2xx"] {
        ensure!(!said.contains(wrong), "wrong answers: {said}");
    }
    let (answered, bytes) = read(&said).with_context(|| said.clone())?;
    check_bytes(
        bytes,
        answered.requests,
        running.expects(page.1).len(),
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
