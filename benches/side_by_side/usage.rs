//! CPU time and memory of a program's processes, by the kernel's own books.

use std::{fs, time::Duration};

use anyhow::Context as _;
use nix::{
    sys::resource::{UsageWho, getrusage},
    time::clock_getcpuclockid,
    unistd::{Pid, SysconfVar, sysconf},
};

/// CPU time that the processes of a group have used so far, to the nanosecond; threads that have ended count.
pub(crate) fn cpu(group: u32) -> anyhow::Result<Duration> {
    let of = |process| anyhow::Ok(Duration::from(clock_getcpuclockid(process)?.now()?));
    members(group)?.into_iter().map(of).sum()
}

/// Resident memory of a group, in MiB: now and, with [`PEAK`], at most. Pages that processes share count for each of them.
pub(crate) fn memory(group: u32, field: &str) -> anyhow::Result<f64> {
    let of = |process: Pid| -> anyhow::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kibibytes: u32 = line
            .and_then(|rest| rest.split_whitespace().next())
            .context("no such field")?
            .parse()?;
        Ok(f64::from(kibibytes) / 1024.0)
    };
    members(group)?.into_iter().map(of).sum()
}

pub(crate) const NOW: &str = "VmRSS:";
pub(crate) const PEAK: &str = "VmHWM:";

/// CPU time of this program, and of the load generators that it has waited for.
pub(crate) fn own() -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        for time in [usage.user_time(), usage.system_time()] {
            sum += Duration::new(
                time.tv_sec().unsigned_abs(),
                u32::try_from(time.tv_usec())? * 1000,
            );
        }
    }
    Ok(sum)
}

/// CPU time that everything on this machine has used so far.
pub(crate) fn machine() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("an empty /proc/stat")?;
    // user nice system idle iowait irq softirq steal
    let ticks = line.split_whitespace().skip(1).take(8).map(str::parse);
    let ticks = ticks.collect::<Result<Vec<u64>, _>>()?;
    let busy: u64 = ticks
        .iter()
        .enumerate()
        .filter(|(at, _)| !matches!(at, 3 | 4))
        .map(|(_, ticks)| ticks)
        .sum();
    let a_second = sysconf(SysconfVar::CLK_TCK)?.context("no clock ticks")?;
    Ok(Duration::from_millis(busy * 1000 / a_second.unsigned_abs()))
}

fn members(group: u32) -> anyhow::Result<Vec<Pid>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(process) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // One that has ended meanwhile is no member.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state, parent, group.
        let own = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(2));
        if own.is_some_and(|own| own.parse() == Ok(group)) {
            members.push(Pid::from_raw(process));
        }
    }
    Ok(members)
}
