//! The results for people, in Markdown.

use std::fmt::Write as _;

use crate::{
    figure::{Figure, Row},
    machine::Machine,
    options::Options,
    results::Results,
};

pub(crate) fn markdown(
    results: &Results,
    subjects: &[&str],
    options: &Options,
    machine: &Machine,
) -> String {
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        subjects.join(" | "),
        "---|".repeat(subjects.len())
    );
    for figure in options.figures() {
        for (at, row) in figure.rows().iter().enumerate() {
            let cells: Vec<_> = subjects
                .iter()
                .map(|subject| cell(results, figure, at, row, subject))
                .collect();
            let _ = writeln!(text, "| {} | {} |", row.label, cells.join(" | "));
        }
    }
    let _ = write!(
        text,
        "\nMedian of {} rounds, {} s of load each. ×: the ratio to nginx (with HTTP/2 on both sides to envoy; to haproxy, where that \
         one has no value), paired by round: median (lowest–highest). Without ×: lowest–highest value. Less is better, but for requests/s.\n\n{WORK}\n\n{machine}\n",
        options.rounds, options.secs
    );
    if let Some(others) = results.others() {
        let (median, high) = (others.median * 100.0, others.high * 100.0);
        let _ = writeln!(
            text,
            "Of the machine's CPU, other programs had {median:.0} % while it was measured ({high:.0} % at most)."
        );
    }
    text
}

fn cell(results: &Results, figure: Figure, at: usize, row: &Row, subject: &str) -> String {
    let Some(value) = results.spread(figure, at, subject) else {
        return "–".to_owned();
    };
    let number = |value: f64| format!("{value:.*}", row.decimals);
    match results.ratio(figure, at, subject) {
        Some(ratio) => format!(
            "{} ×{:.2} ({:.2}–{:.2})",
            number(value.median),
            ratio.median,
            ratio.low,
            ratio.high
        ),
        None => format!(
            "{} ({}–{})",
            number(value.median),
            number(value.low),
            number(value.high)
        ),
    }
}

/// What the subjects do, and who asks them.
const WORK: &str = "All: plain HTTP from clients, their `Authorization` and `Cookie` taken off, a token of 1.8 KB put on, a verified TLS origin \
(HTTP/1.1 where nothing else is said), kept connections to it, a worker for each core. defender-proxy alone, \
as by default: guard, routes, token cache, links in JSON led back through itself, a line for each request in a log file. The others write no access log. Clients: 64 connections (h2c: 16, with four requests at a time on each; \
2,000 requests/s: 16, in an open loop; bodies of 100 MiB: one).";
