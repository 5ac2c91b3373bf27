//! How the cost of a request, and memory, grow with customers, routes and connections. They should not.

mod curve;
mod customers;
mod point;
mod table;

use std::fs;

use anyhow::Context as _;
use serde_json::json;

pub(crate) use curve::Curve;

use crate::{lab::Lab, machine::Machine, options::Options, subject::Subject};
use customers::Login;
use point::Point;
use table::Sample;

/// Measures our program at each point of each curve in each round, and prints a table for each curve.
///
/// # Errors
/// At the first wrong answer; the tables then have what there is until then.
pub(crate) async fn run(options: &Options, subject: &Subject) -> anyhow::Result<()> {
    let mut samples = Vec::new();
    let ended = measure(options, subject, &mut samples).await;
    if !samples.is_empty() {
        let machine = Machine::look(std::slice::from_ref(subject));
        println!("{}", table::markdown(&samples, options, &machine));
        if let Some(file) = &options.json {
            let curves = table::json(&samples);
            let all = json!({ "rounds": options.rounds, "seconds": options.secs, "machine": machine, "curves": curves });
            fs::write(file, format!("{all:#}\n")).context("--json")?;
        }
    }
    ended
}

async fn measure(
    options: &Options,
    subject: &Subject,
    samples: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let lab = Lab::open(&options.binary).await?;
    let login = Login::start(&lab).await?;
    for round in 1..=options.rounds {
        for curve in &options.curves {
            let mut counts = curve.counts().to_vec();
            // What the machine does in the course of a curve shall not always meet the same end of it.
            if round % 2 == 0 {
                counts.reverse();
            }
            for count in counts {
                let point = Point {
                    curve: *curve,
                    count,
                };
                eprintln!("round {round} of {}: {count} {curve}", options.rounds);
                let measured = point.measure(&lab, &login, subject, options.secs).await;
                let measured =
                    measured.with_context(|| format!("{count} {curve}, round {round}"))?;
                eprintln!("    {:?}", measured.values);
                samples.push(Sample {
                    round,
                    point,
                    measured,
                });
            }
        }
    }
    Ok(())
}
