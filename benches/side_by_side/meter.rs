//! What a load costs: CPU time of the subject, and how much of the machine others had meanwhile.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{lab::Lab, running::Running, usage};

/// Runs from its making to [`Self::stop`].
#[derive(Debug)]
pub(crate) struct Meter {
    start: Reading,
}

impl Meter {
    pub(crate) fn start(lab: &Lab, running: &Running) -> anyhow::Result<Self> {
        Ok(Self {
            start: Reading::take(lab, running)?,
        })
    }

    pub(crate) fn stop(self, lab: &Lab, running: &Running) -> anyhow::Result<Cost> {
        let (start, end) = (self.start, Reading::take(lab, running)?);
        let subject = end.subject.saturating_sub(start.subject);
        let accounted = subject + end.ours.saturating_sub(start.ours);
        let all = end.machine.saturating_sub(start.machine);
        let cores = thread::available_parallelism()?.get();
        let offered = (end.at - start.at).as_secs_f64() * cores as f64;
        let others = all.saturating_sub(accounted).as_secs_f64() / offered;
        Ok(Cost { subject, others })
    }
}

/// Of one load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// CPU time of the subject.
    pub(crate) subject: Duration,
    /// Share of the machine's CPU time that went to programs that are no part of this run.
    pub(crate) others: f64,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    subject: Duration,
    /// The origin, the load generator, this program.
    ours: Duration,
    machine: Duration,
}

impl Reading {
    fn take(lab: &Lab, running: &Running) -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            subject: usage::cpu(running.program.group())?,
            ours: usage::cpu(lab.origin.group())? + usage::own()?,
            machine: usage::machine()?,
        })
    }
}
