//! HTTP/2 with prior knowledge.

use anyhow::{Context as _, ensure};

use super::{Answered, check_bytes, generator, run};
use crate::{
    page::{SMALL, SMALL_BYTES},
    running::Running,
};

/// 16 connections with four requests at a time on each.
pub(crate) async fn h2load(running: &Running, seconds: u32) -> anyhow::Result<Answered> {
    let mut command = generator("h2load")?;
    command
        .args(["-t2", "-c16", "-m4"])
        .arg(format!("-D{seconds}"));
    let said = run(command.arg(format!("http://{}{SMALL}", running.h2c))).await?;
    let done = count(&said, "requests:", " done")?;
    let right = count(&said, "status codes:", " 2xx")?;
    let failed = count(&said, "requests:", " failed")? + count(&said, "requests:", " timeout")?;
    ensure!(
        done > 0.0 && right >= done && failed == 0.0,
        "wrong answers: {said}"
    );
    // traffic: 34.57MB (36249904) total, 488.16KB (499876) headers (space savings 98.07%), 33.05MB (34655232) data
    let data = line(&said, "traffic:")?
        .rsplit_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    check_bytes(
        data.context("no bytes")?.0.parse()?,
        done,
        running.expects(SMALL_BYTES).len(),
        &said,
    )?;
    Ok(Answered {
        requests: done,
        seconds: seconds.into(),
    })
}

/// The number before `what` in a line of numbers: `requests: 500 total, 500 started, 500 done, …`.
fn count(said: &str, start: &str, what: &str) -> anyhow::Result<f64> {
    let part = line(said, start)?
        .split(", ")
        .find_map(|part| part.trim().strip_suffix(what));
    Ok(part
        .with_context(|| format!("no {start}{what} in: {said}"))?
        .trim()
        .parse()?)
}

fn line<'a>(said: &'a str, start: &str) -> anyhow::Result<&'a str> {
    let line = said.lines().find_map(|line| line.strip_prefix(start));
    line.with_context(|| format!("no {start} in: {said}"))
}
