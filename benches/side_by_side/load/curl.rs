//! Large bodies, one after the other over one connection.

use std::path::Path;

use anyhow::ensure;
use tokio::process::Command;

use super::{generator, run};
use crate::{
    page::{LARGE, LARGE_BYTES, UPLOAD},
    running::Running,
};

/// Gets the large answer so many times.
pub(crate) async fn download(running: &Running, times: usize) -> anyhow::Result<()> {
    let mut command = curl(" %{http_code} %{size_download}")?;
    for _ in 0..times {
        command
            .args(["-o", "/dev/null"])
            .arg(format!("http://{}{LARGE}", running.address));
    }
    let said = run(&mut command).await?;
    let right = format!(" 200 {}", running.expects_large());
    ensure!(
        said == right.repeat(times),
        "wrong downloads:{said}, not{right}"
    );
    Ok(())
}

/// Sends a file of [`LARGE_BYTES`] so many times. The origin answers with how much it has read, head and all.
pub(crate) async fn upload(running: &Running, file: &Path, times: usize) -> anyhow::Result<()> {
    let mut command = curl(" %{http_code}\n")?;
    // Without it curl waits until it is told to send.
    command.args(["-H", "Expect:", "-X", "POST"]);
    for _ in 0..times {
        command
            .arg("-T")
            .arg(file)
            .arg(format!("http://{}{UPLOAD}", running.address));
    }
    let said = run(&mut command).await?;
    let read = said
        .lines()
        .filter_map(|line| line.strip_suffix(" 200")?.parse().ok());
    let right = read
        .filter(|read: &usize| (LARGE_BYTES..LARGE_BYTES + HEAD).contains(read))
        .count();
    ensure!(right == times, "wrong uploads: {said}");
    Ok(())
}

fn curl(write_out: &str) -> anyhow::Result<Command> {
    let mut command = generator("curl")?;
    command.args(["-s", "--noproxy", "*", "--max-time", "120", "-w", write_out]);
    Ok(command)
}

/// More than the head of a request has, and the framing of its body.
const HEAD: usize = 64 << 10;
