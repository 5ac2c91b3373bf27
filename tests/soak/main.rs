//! A soak: the program in front of its stand-ins, at a steady load of mixed clients, while one fault after the other is injected.
//! Every answer is judged; the end is a table, a line of JSON, and a failure if anything was wrong.
//!
//! `SOAK` is how long (`20s`, `1h`), `SOAK_RATE` how many requests to begin a second, `SOAK_SEED` replays a choice of requests,
//! `SOAK_BINARY` is the program instead of the one that was built for the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that can't go on has failed; its report goes to standard output"
)]

mod client;
mod fault;
mod judge;
mod load;
mod process;
mod relay;
mod report;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    client::Clients,
    fault::{Fault, Recovery},
    load::Load,
    process::{Proxy, StandIns, Usage},
    report::Report,
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    if !is_meant() {
        return ExitCode::SUCCESS;
    }
    let settings = Settings::read();
    println!(
        "soak of {}, {} requests/s, SOAK_SEED={}",
        humantime::format_duration(settings.time),
        settings.rate,
        settings.seed
    );
    fastrand::seed(settings.seed);
    let stand_ins = StandIns::start(&settings.binary).await;
    stand_ins.calm().await;
    let proxy = Proxy::start(&settings.binary, &stand_ins);
    let clients = Arc::new(Clients::new(proxy.url.clone()));
    let load = Load::start(Arc::clone(&clients), settings.rate, settings.seed);
    tokio::time::sleep(settings.warm_up()).await;
    let mut report = Report::new(settings.seed, proxy.usage());
    let begun = Instant::now();
    let mut measured = Instant::now();
    while begun.elapsed() < settings.time {
        let fault = Fault::next(report.faults());
        println!("{:>6} s  {}", begun.elapsed().as_secs(), fault.name);
        report.fault(fault.name, survive(fault, &stand_ins, &clients).await);
        tokio::time::sleep(REST).await;
        if measured.elapsed() > settings.time / 12 {
            measured = Instant::now();
            report.usage(begun.elapsed(), proxy.usage());
        }
    }
    let time = begun.elapsed();
    let tally = load.stop().await;
    drop(clients);
    let at_rest = at_rest(&proxy, report.start()).await;
    report.end(time, tally, at_rest, proxy.stop().await);
    report.print();
    if report.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Does `cargo test` ask for this test, or for others only?
fn is_meant() -> bool {
    let mut arguments = std::env::args().skip(1);
    arguments.all(|argument| {
        argument.starts_with("--") && argument != "--list" || "soak".contains(&argument)
    })
}

/// Injects a fault, lets it last, ends it, and waits for the first right answer.
async fn survive(fault: &Fault, stand_ins: &StandIns, clients: &Clients) -> Recovery {
    clients.breaks(fault.breaks_answers());
    fault.inject(stand_ins).await;
    tokio::time::sleep(fault.lasts).await;
    fault.end(stand_ins).await;
    let ended = Instant::now();
    while ended.elapsed() < fault::PATIENCE {
        if clients.probe().await {
            clients.breaks(false);
            return Some(ended.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// What the proxy holds once its clients are gone: as little as it comes down to in a while.
async fn at_rest(proxy: &Proxy, start: Usage) -> Usage {
    let stopped = Instant::now();
    loop {
        let usage = proxy.usage();
        if usage.files <= start.files || stopped.elapsed() > Duration::from_secs(5) {
            return usage;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Between two faults: the load goes on undisturbed.
const REST: Duration = Duration::from_secs(1);

struct Settings {
    time: Duration,
    rate: u32,
    seed: u64,
    binary: String,
}

impl Settings {
    fn read() -> Self {
        let env = |name| std::env::var(name).ok();
        let time = env("SOAK").unwrap_or_else(|| "20s".to_owned());
        Self {
            time: humantime::parse_duration(&time).expect("SOAK is a duration"),
            rate: env("SOAK_RATE").map_or(60, |rate| rate.parse().expect("SOAK_RATE is a number")),
            seed: env("SOAK_SEED").map_or_else(
                || fastrand::u64(..),
                |seed| seed.parse().expect("SOAK_SEED is a number"),
            ),
            binary: env("SOAK_BINARY")
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_defender-proxy").to_owned()),
        }
    }

    /// Time for buffers and pools to come to their size: a tenth, of a minute at most.
    fn warm_up(&self) -> Duration {
        (self.time / 10).clamp(Duration::from_secs(2), Duration::from_mins(1))
    }
}
