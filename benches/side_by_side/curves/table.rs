//! The curves for people, in Markdown, and for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Curve, point::Point};
use crate::{machine::Machine, measure::Measured, options::Options, results::Spread};

/// What was measured at a point in a round.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) round: u32,
    pub(super) point: Point,
    pub(super) measured: Measured,
}

pub(super) fn markdown(samples: &[Sample], options: &Options, machine: &Machine) -> String {
    let mut text = String::new();
    for curve in &options.curves {
        let _ = writeln!(
            text,
            "| {curve} | CPU µs | × that of {} | requests/s | RSS at most, MiB |\n|---|---|---|---|---|",
            curve.counts()[0]
        );
        for point in points(samples, *curve) {
            text.push_str(&line(samples, point));
        }
        text.push('\n');
    }
    let _ = write!(
        text,
        "For each 1 KiB GET. Median of {} rounds (lowest–highest), {} s of load each; ×: paired by round. {WORK}\n\n{machine}\n",
        options.rounds, options.secs
    );
    let others = samples.iter().filter_map(|sample| sample.measured.others);
    if let Some(others) = Spread::of(others.collect()) {
        let (median, high) = (others.median * 100.0, others.high * 100.0);
        let _ = writeln!(
            text,
            "Of the machine's CPU, other programs had {median:.0} % while it was measured ({high:.0} % at most)."
        );
    }
    text
}

fn line(samples: &[Sample], point: Point) -> String {
    let cell = |row, decimals: usize| {
        let spread = Spread::of(values(samples, point, row));
        spread.map_or_else(
            || "–".to_owned(),
            |spread| {
                format!(
                    "{:.decimals$} ({:.decimals$}–{:.decimals$})",
                    spread.median, spread.low, spread.high
                )
            },
        )
    };
    let growth = growth(samples, point).map_or_else(
        || "–".to_owned(),
        |growth| {
            format!(
                "{:.2} ({:.2}–{:.2})",
                growth.median, growth.low, growth.high
            )
        },
    );
    format!(
        "| {} | {} | {growth} | {} | {} |\n",
        point.count,
        cell(CPU, 1),
        cell(RATE, 0),
        cell(RSS, 1)
    )
}

/// CPU time by that of the curve's first point in the same round.
fn growth(samples: &[Sample], point: Point) -> Option<Spread> {
    let first = Point {
        count: point.curve.counts()[0],
        ..point
    };
    if point == first {
        return None;
    }
    let ratios = of(samples, point).filter_map(|sample| {
        let first = of(samples, first).find(|first| first.round == sample.round)?;
        Some(sample.measured.values[CPU] / first.measured.values[CPU])
    });
    Spread::of(ratios.collect())
}

/// All values in the order of the rounds.
pub(super) fn json(samples: &[Sample]) -> Value {
    let curves = Curve::ALL.map(|curve| {
        let points = points(samples, curve).map(|point| {
            let row = |row| {
                let values = values(samples, point, row);
                json!({ "values": values, "spread": Spread::of(values) })
            };
            json!({
                "count": point.count, "cpu_us": row(CPU), "growth": growth(samples, point),
                "requests_per_second": row(RATE), "rss_peak_mib": row(RSS)
            })
        });
        json!({ "curve": curve.to_string(), "points": points.collect::<Vec<_>>() })
    });
    json!(curves)
}

/// Those of the curve that have been measured.
fn points(samples: &[Sample], curve: Curve) -> impl Iterator<Item = Point> {
    let counts = curve.counts().iter();
    let points = counts.map(move |count| Point {
        curve,
        count: *count,
    });
    points.filter(|point| of(samples, *point).next().is_some())
}

fn values(samples: &[Sample], point: Point, row: usize) -> Vec<f64> {
    of(samples, point)
        .map(|sample| sample.measured.values[row])
        .collect()
}

fn of(samples: &[Sample], point: Point) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(move |sample| sample.point == point)
}

const CPU: usize = 0;
const RATE: usize = 1;
const RSS: usize = 2;

/// What is asked, and of what.
const WORK: &str = "Customers: of one partner, named in the path, each with a token of its own; routes: each with a prefix of its own, \
to one API. Requests go to one after the other, over 64 connections. Connections: each with a request under way at any time. Idle connections: \
each has had an answer, and is kept beside the 64 that ask. Everything as by default.";
