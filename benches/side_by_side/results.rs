//! All values of a run, and what is said of them: medians, and ratios by round.

use serde::Serialize;
use serde_json::{Value, json};

use crate::figure::{Figure, Row};

/// Every value of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    samples: Vec<Sample>,
    /// Of each load: the share that others had of the machine.
    others: Vec<f64>,
}

#[derive(Debug)]
struct Sample {
    round: u32,
    subject: &'static str,
    figure: Figure,
    row: usize,
    value: f64,
}

/// The middle of some values, and how far they lie apart.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Results {
    pub(crate) fn add(
        &mut self,
        round: u32,
        subject: &'static str,
        figure: Figure,
        values: Vec<f64>,
    ) {
        let rows = values.into_iter().enumerate();
        self.samples.extend(rows.map(|(row, value)| Sample {
            round,
            subject,
            figure,
            row,
            value,
        }));
    }

    pub(crate) fn add_others(&mut self, share: Option<f64>) {
        self.others.extend(share);
    }

    pub(crate) fn others(&self) -> Option<Spread> {
        Spread::of(self.others.clone())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// None where the subject can't do it.
    pub(crate) fn spread(&self, figure: Figure, row: usize, subject: &str) -> Option<Spread> {
        Spread::of(
            self.of(figure, row, subject)
                .map(|sample| sample.value)
                .collect(),
        )
    }

    /// Each round's ratio, so that what slows a whole round cancels out. None where there is nothing to compare with.
    pub(crate) fn ratio(&self, figure: Figure, row: usize, subject: &str) -> Option<Spread> {
        let mut references = figure.references().into_iter();
        let reference = references.find(|name| self.of(figure, row, name).next().is_some())?;
        if subject == reference {
            return None;
        }
        let ratios = self.of(figure, row, subject).filter_map(|sample| {
            let mut references = self.of(figure, row, reference);
            let reference = references.find(|other| other.round == sample.round)?;
            Some(sample.value / reference.value)
        });
        Spread::of(ratios.collect())
    }

    fn of<'a>(
        &'a self,
        figure: Figure,
        row: usize,
        subject: &'a str,
    ) -> impl Iterator<Item = &'a Sample> {
        let samples = self.samples.iter();
        samples.filter(move |sample| {
            (sample.figure, sample.row, sample.subject) == (figure, row, subject)
        })
    }

    /// For machines: all values in the order of the rounds.
    pub(crate) fn json(&self, subjects: &[&str]) -> Value {
        let rows = Figure::ALL.iter().flat_map(|figure| {
            figure
                .rows()
                .iter()
                .enumerate()
                .map(|(at, row)| (*figure, at, row))
        });
        let rows = rows.map(|(figure, at, row)| self.row(figure, at, row, subjects));
        json!({ "others_share": self.others(), "rows": rows.collect::<Vec<_>>() })
    }

    fn row(&self, figure: Figure, at: usize, row: &Row, subjects: &[&str]) -> Value {
        let of = |subject: &&str| {
            let values: Vec<_> = self
                .of(figure, at, subject)
                .map(|sample| sample.value)
                .collect();
            let spread = self.spread(figure, at, subject);
            let said = json!({ "values": values, "spread": spread, "ratio": self.ratio(figure, at, subject) });
            ((*subject).to_owned(), said)
        };
        let subjects: serde_json::Map<_, _> = subjects.iter().map(of).collect();
        json!({ "figure": format!("{figure:?}"), "row": row.label, "subjects": subjects })
    }
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self { median, low, high })
    }
}
