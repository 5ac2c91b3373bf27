//! One run, from the arguments to the table.

use std::{fs, process::ExitCode};

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    curves,
    lab::Lab,
    machine::Machine,
    options::Options,
    program::{adopt_orphans, need, wait_for_killed},
    results::Results,
    subject::Subject,
    table,
};

/// Whatever ends it, the programs that it has started end before it returns.
pub(crate) async fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        eprintln!("nothing is measured by a test: cargo bench --bench side_by_side");
        return ExitCode::SUCCESS;
    }
    let ended = run_until_stopped(&options).await;
    wait_for_killed();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run_until_stopped(options: &Options) -> anyhow::Result<()> {
    // Caught before anything is started.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = run(options) => ended,
        _ = interrupt.recv() => bail!("interrupted"),
        _ = terminate.recv() => bail!("terminated"),
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    for program in ["nginx", "wrk", "h2load", "curl"] {
        need(program)?;
    }
    allow_many_files()?;
    adopt_orphans()?;
    let subjects = subjects(options)?;
    if !options.curves.is_empty() {
        return curves::run(options, &subjects[0]).await;
    }
    let names: Vec<_> = subjects.iter().map(|subject| subject.name).collect();
    let mut results = Results::default();
    let ended = measure(options, &subjects, &mut results).await;
    if !results.is_empty() {
        let machine = Machine::look(&subjects);
        println!("{}", table::markdown(&results, &names, options, &machine));
        if let Some(file) = &options.json {
            let all = json!({ "rounds": options.rounds, "seconds": options.secs, "machine": machine, "results": results.json(&names) });
            fs::write(file, format!("{all:#}\n")).context("--json")?;
        }
    }
    ended
}

fn subjects(options: &Options) -> anyhow::Result<Vec<Subject>> {
    ensure!(
        options.binary.is_file(),
        "there is no {}",
        options.binary.display()
    );
    let mut subjects = vec![Subject::ours(&options.binary)];
    for peer in &options.peers {
        match Subject::peer(*peer, options.place(*peer)) {
            Some(subject) => subjects.push(subject),
            None => {
                eprintln!(
                    "skipped: {peer:?} is not installed (benches/side_by_side/install.sh says how)"
                );
            }
        }
    }
    Ok(subjects)
}

/// Stops at the first wrong answer, with what there is until then in `results`.
async fn measure(
    options: &Options,
    subjects: &[Subject],
    results: &mut Results,
) -> anyhow::Result<()> {
    let lab = Lab::open(&options.binary).await?;
    for subject in subjects {
        subject
            .verifies(&lab)
            .await
            .with_context(|| format!("{} before an origin of another CA", subject.name))?;
    }
    let mut order = subjects.to_vec();
    for round in 1..=options.rounds {
        for figure in options.figures() {
            eprintln!("round {round} of {}: {figure:?}", options.rounds);
            for subject in order
                .iter()
                .filter(|subject| subject.speaks(figure.upstream()))
            {
                let measured = figure.measure(&lab, subject, options.secs).await;
                let measured = measured
                    .with_context(|| format!("{figure:?} of {}, round {round}", subject.name))?;
                eprintln!("    {:<14} {:?}", subject.name, measured.values);
                results.add(round, subject.name, figure, measured.values);
                results.add_others(measured.others);
            }
        }
        // Whoever comes first in one round comes last in the next.
        order.rotate_left(1);
    }
    Ok(())
}

/// For thousands of clients here, and in the programs that are started.
fn allow_many_files() -> anyhow::Result<()> {
    let files = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: files.maximum,
        ..files
    };
    setrlimit(Resource::Nofile, all).context("the limit of open files can't be raised")
}
