//! Whether a row is wanted.

use std::cmp::Ordering;

use serde_json::Value;

use super::query::{Condition, Operand, Test};
use crate::sandbox::api::facts::Facts;
use crate::sandbox::api::filter;

impl Condition {
    /// Whether it holds for row `index`. Nothing is above, below or in what is missing.
    pub(super) fn holds(&self, index: u64, facts: &Facts) -> bool {
        let (left, right) = (
            self.left.value(index, facts),
            self.right.value(index, facts),
        );
        let known = !left.is_null() && !right.is_null();
        let order = filter::order(&left, &right);
        match self.test {
            Test::Equal => equal(&left, &right),
            Test::NotEqual => !equal(&left, &right),
            Test::Greater => known && order == Ordering::Greater,
            Test::GreaterOrEqual => known && order != Ordering::Less,
            Test::Less => known && order == Ordering::Less,
            Test::LessOrEqual => known && order != Ordering::Greater,
            Test::Same => lower(&left) == lower(&right),
            Test::Has => has(&lower(&left), &lower(&right)),
            Test::Contains => lower(&left).contains(&lower(&right)),
            Test::StartsWith => lower(&left).starts_with(&lower(&right)),
            Test::EndsWith => lower(&left).ends_with(&lower(&right)),
        }
    }
}

impl Operand {
    fn value(&self, index: u64, facts: &Facts) -> Value {
        match self {
            Self::Column(column) => (column.value)(facts, index),
            Self::Text(text) => text.as_str().into(),
            Self::Number(number) => (*number).into(),
            Self::Ago(seconds) => facts.clock.ago(*seconds, 0).into(),
        }
    }
}

/// Numbers and times by their value, all else by their kind too.
fn equal(left: &Value, right: &Value) -> bool {
    let alike = left.is_string() == right.is_string() && left.is_number() == right.is_number();
    alike && left.is_null() == right.is_null() && filter::order(left, right) == Ordering::Equal
}

fn lower(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_lowercase()
}

/// Whether `part` stands in `text` as a whole term: between what is neither letter nor digit.
fn has(text: &str, part: &str) -> bool {
    let bounded = |symbol: Option<char>| !symbol.is_some_and(char::is_alphanumeric);
    text.match_indices(part).any(|(at, _)| {
        bounded(text[..at].chars().next_back()) && bounded(text[at + part.len()..].chars().next())
    })
}
