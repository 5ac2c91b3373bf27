//! Load generators from Debian: what they are told, and what they say.

mod curl;
mod h2load;
mod wrk;

use anyhow::ensure;
use tokio::process::Command;

pub(crate) use curl::{download, upload};
pub(crate) use h2load::h2load;
pub(crate) use wrk::{Wrk, wrk};

use crate::{client::STOLEN, program::need};

/// What was answered in a run, all of it rightly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
}

/// One that sends what the origin must not see.
fn generator(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(need(name)?);
    for (name, value) in STOLEN {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    Ok(command)
}

/// Runs it to its end, or until this is dropped.
async fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = || String::from_utf8_lossy(&output.stderr).into_owned();
    let status = output.status;
    ensure!(
        status.success(),
        "the load generator failed ({status}): {said}{}",
        wrong()
    );
    Ok(said)
}

/// # Errors
/// When fewer bytes came than so many answers of this length have. What is under way at the end is counted differently by each.
fn check_bytes(bytes: f64, answers: f64, length: usize, said: &str) -> anyhow::Result<()> {
    ensure!(
        bytes >= answers * length as f64 * 0.99,
        "answers too short: {said}"
    );
    Ok(())
}
