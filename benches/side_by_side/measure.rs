//! How each figure is measured.

use std::{fs, path::PathBuf};

use crate::{
    figure::Figure,
    fixed_rate::{Schedule, percentile},
    lab::Lab,
    load::{self, Answered, Wrk},
    memory,
    meter::{Cost, Meter},
    page::{self, LARGE_BYTES, MEDIUM, MEDIUM_BYTES, SMALL, SMALL_BYTES},
    running::Running,
    subject::Subject,
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
        let running = subject.start(lab, self.upstream()).await?;
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
            let load = Wrk {
                kept,
                ..Wrk::new(page)
            };
            requests(lab, running, seconds, move |seconds| {
                load::wrk(running, load, seconds)
            })
        };
        match self {
            Self::Small | Self::Http2Upstream => wrk(small, true).await,
            Self::Medium => wrk(medium, true).await,
            Self::Connections => wrk(small, false).await,
            Self::H2c | Self::Http2 => {
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
            Self::Memory => {
                let values = memory::measure(lab, subject, running).await?;
                Ok(Measured {
                    values,
                    others: None,
                })
            }
            Self::ColdStart => Ok(Measured {
                values: vec![running.cold_start.as_secs_f64() * 1e3],
                others: None,
            }),
        }
    }
}

/// CPU time for each request, and requests in a second, after a second of the same load that doesn't count.
pub(crate) async fn requests<F: Future<Output = anyhow::Result<Answered>>>(
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
