//! How each figure is measured.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::ensure;

use crate::{
    client::Client,
    figure::Figure,
    fixed_rate::{Schedule, percentile},
    lab::{Lab, Upstream},
    load::{self, Answered},
    meter::{Cost, Meter},
    page::{self, LARGE, LARGE_BYTES, MEDIUM, MEDIUM_BYTES, SMALL, SMALL_BYTES},
    subject::{Running, Subject},
    usage,
};

/// A value for each row of a figure, and the share that others had of the machine, if there was a load.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) values: Vec<f64>,
    pub(crate) others: Option<f64>,
}

impl Figure {
    /// Measures it once, by a subject that is started for it.
    ///
    /// # Errors
    /// When any answer was wrong.
    pub(crate) async fn measure(
        self,
        lab: &Lab,
        subject: &Subject,
        seconds: u32,
    ) -> anyhow::Result<Measured> {
        let mut running = subject.start(lab, self.upstream()).await?;
        let measured = self.load(lab, subject, &running, seconds).await?;
        running.program.check()?;
        Ok(measured)
    }

    async fn load(
        self,
        lab: &Lab,
        subject: &Subject,
        running: &Running,
        seconds: u32,
    ) -> anyhow::Result<Measured> {
        let (small, medium) = ((SMALL, SMALL_BYTES), (MEDIUM, MEDIUM_BYTES));
        let wrk = |page, kept| {
            requests(lab, running, seconds, move |seconds| {
                load::wrk(running, page, kept, seconds)
            })
        };
        match self {
            Self::Small | Self::Http2Upstream => wrk(small, true).await,
            Self::Medium => wrk(medium, true).await,
            Self::Connections => wrk(small, false).await,
            Self::H2c => {
                requests(lab, running, seconds, |seconds| {
                    load::h2load(running, seconds)
                })
                .await
            }
            Self::Download => transfers(lab, running, |times| load::download(running, times)).await,
            Self::Upload => {
                let file = &upload_file(lab)?;
                transfers(lab, running, |times| load::upload(running, file, times)).await
            }
            Self::Latency => latency(lab, running, seconds).await,
            Self::Memory => memory(lab, subject, running).await,
            Self::ColdStart => Ok(Measured {
                values: vec![running.cold_start.as_secs_f64() * 1e3],
                others: None,
            }),
        }
    }
}

/// CPU time for each request, and requests in a second, after a second of the same load that doesn't count.
async fn requests<F: Future<Output = anyhow::Result<Answered>>>(
    lab: &Lab,
    running: &Running,
    seconds: u32,
    load: impl Fn(u32) -> F,
) -> anyhow::Result<Measured> {
    load(1).await?;
    let (answered, cost) = metered(lab, running, load(seconds)).await?;
    let each = cost.subject.as_secs_f64() * 1e6 / answered.requests;
    Ok(Measured {
        values: vec![each, answered.requests / answered.seconds],
        others: Some(cost.others),
    })
}

/// CPU time for each of some transfers, after one that doesn't count.
async fn transfers<F: Future<Output = anyhow::Result<()>>>(
    lab: &Lab,
    running: &Running,
    load: impl Fn(usize) -> F,
) -> anyhow::Result<Measured> {
    load(1).await?;
    let ((), cost) = metered(lab, running, load(TRANSFERS)).await?;
    let each = cost.subject.as_secs_f64() * 1e3 / TRANSFERS as f64;
    Ok(Measured {
        values: vec![each],
        others: Some(cost.others),
    })
}

async fn latency(lab: &Lab, running: &Running, seconds: u32) -> anyhow::Result<Measured> {
    let schedule = Schedule::new(running.address, running.expects(SMALL_BYTES), seconds);
    let (times, cost) = metered(lab, running, schedule.run()).await?;
    Ok(Measured {
        values: vec![percentile(&times, 50), percentile(&times, 99)],
        others: Some(cost.others),
    })
}

/// Three starts, so that none has the memory of the one before.
async fn memory(lab: &Lab, subject: &Subject, running: &Running) -> anyhow::Result<Measured> {
    let idle = settled(running).await?.0;
    let crowded = subject.start(lab, Upstream::Http1).await?;
    let clients = idle_clients(&crowded).await?;
    let (many, many_peak) = settled(&crowded).await?;
    drop((clients, crowded));
    let stalled = subject.start(lab, Upstream::Http1).await?;
    let readers = stalled_readers(&stalled).await?;
    let (few, few_peak) = settled(&stalled).await?;
    drop(readers);
    Ok(Measured {
        values: vec![idle, many, many_peak, few, few_peak],
        others: None,
    })
}

/// Kept connections, each of which has had an answer.
async fn idle_clients(running: &Running) -> anyhow::Result<Vec<Client>> {
    let expected = running.expects(SMALL_BYTES);
    let mut clients = Vec::new();
    for _ in 0..IDLE_CLIENTS {
        let mut client = Client::connect(running.address).await?;
        client.expect(SMALL, &expected).await?;
        clients.push(client);
    }
    Ok(clients)
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

async fn metered<T>(
    lab: &Lab,
    running: &Running,
    load: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(T, Cost)> {
    let meter = Meter::start(lab, running)?;
    let done = load.await?;
    Ok((done, meter.stop(lab, running)?))
}

/// Made once.
fn upload_file(lab: &Lab) -> anyhow::Result<PathBuf> {
    let path = lab.dir().join("upload");
    if !path.exists() {
        fs::write(&path, page::page("https://localhost", LARGE_BYTES))?;
    }
    Ok(path)
}

const TRANSFERS: usize = 4;
const IDLE_CLIENTS: usize = 2000;
const STALLED_READERS: usize = 16;
