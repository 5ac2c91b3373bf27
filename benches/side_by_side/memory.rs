//! Resident memory: idle, with many clients, with clients that don't read.

use std::time::Duration;

use anyhow::ensure;

use crate::{
    client::Client,
    lab::{Lab, Upstream},
    page::{LARGE, SMALL, SMALL_BYTES},
    running::Running,
    subject::Subject,
    usage,
};

/// Three starts, so that none has the memory of the one before.
pub(crate) async fn measure(
    lab: &Lab,
    subject: &Subject,
    running: &Running,
) -> anyhow::Result<Vec<f64>> {
    let idle = settled(running).await?.0;
    let crowded = subject.start(lab, Upstream::Http1).await?;
    let mut clients = idle_clients(&crowded, IDLE_CLIENTS).await?;
    let (many, many_peak) = settled(&crowded).await?;
    // It has kept them all.
    ask(&mut clients, &crowded).await?;
    drop((clients, crowded));
    let stalled = subject.start(lab, Upstream::Http1).await?;
    let readers = stalled_readers(&stalled).await?;
    let (few, few_peak) = settled(&stalled).await?;
    drop(readers);
    Ok(vec![idle, many, many_peak, few, few_peak])
}

/// Kept connections, each of which has had an answer.
pub(crate) async fn idle_clients(running: &Running, count: u32) -> anyhow::Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(running.address).await?);
    }
    ask(&mut clients, running).await?;
    Ok(clients)
}

/// One request on each, one after the other.
pub(crate) async fn ask(clients: &mut [Client], running: &Running) -> anyhow::Result<()> {
    let expected = running.expects(SMALL_BYTES);
    for client in clients {
        client.expect(SMALL, &expected).await?;
    }
    Ok(())
}

/// They have the head of the large answer, and don't read its body.
async fn stalled_readers(running: &Running) -> anyhow::Result<Vec<impl Sized + use<>>> {
    let mut readers = Vec::new();
    for _ in 0..STALLED_READERS {
        let mut client = Client::connect(running.address).await?;
        let answer = client.get(LARGE).await?;
        ensure!(answer.status() == 200, "{LARGE}: {}", answer.status());
        readers.push((client, answer));
    }
    Ok(readers)
}

/// Resident memory after a rest, and its peak.
async fn settled(running: &Running) -> anyhow::Result<(f64, f64)> {
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let group = running.program.group();
    Ok((
        usage::memory(group, usage::NOW)?,
        usage::memory(group, usage::PEAK)?,
    ))
}

const IDLE_CLIENTS: u32 = 2000;
const STALLED_READERS: usize = 16;
