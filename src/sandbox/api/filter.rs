//! The `$filter` of `OData`, as far as the documented examples use it: parsed once, asked of each record.

mod lex;
mod malformed;
mod parse;
mod scalar;

use std::cmp::Ordering;

use serde_json::Value;

pub(super) use self::malformed::Malformed;
use self::scalar::Scalar;
pub(super) use self::scalar::{order, property};

/// A parsed `$filter`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    // Flat, so that a long row of conditions is no deep recursion.
    Or(Vec<Self>),
    And(Vec<Self>),
    Not(Box<Self>),
    Compare {
        left: Operand,
        comparison: Comparison,
        right: Operand,
    },
    In {
        left: Operand,
        values: Vec<Operand>,
    },
    Call {
        function: Function,
        text: Operand,
        part: Operand,
    },
    /// `machineTags/any(tag: tag eq 'x')`; without `inner`, whether there is any element.
    Any {
        path: Vec<String>,
        variable: String,
        inner: Option<Box<Self>>,
    },
    /// A property that is itself true or false.
    Truth(Operand),
}

impl Filter {
    /// Parses `source`, whose properties must be among `properties` (letter case aside); none named, all are good.
    ///
    /// # Errors
    ///
    /// [`Malformed`] for anything that is not a filter or names another property.
    pub(super) fn parse(source: &str, properties: &[&str]) -> Result<Self, Malformed> {
        let filter = parse::parse(source)?;
        filter.check_properties(properties, "")?;
        Ok(filter)
    }

    /// Whether `record` is wanted.
    ///
    /// # Errors
    ///
    /// [`Malformed::Types`] when values of two kinds are compared, as the service refuses to.
    pub(super) fn accepts(&self, record: &Value) -> Result<bool, Malformed> {
        self.holds(&Scope {
            record,
            variable: None,
        })
    }

    fn holds(&self, scope: &Scope<'_>) -> Result<bool, Malformed> {
        match self {
            Self::Or(parts) => holds_until(parts, scope, true),
            Self::And(parts) => holds_until(parts, scope, false),
            Self::Not(inner) => Ok(!inner.holds(scope)?),
            Self::Compare {
                left,
                comparison,
                right,
            } => comparison.holds(&scope.value(left), &scope.value(right)),
            Self::In { left, values } => {
                let left = scope.value(left);
                for value in values {
                    if Comparison::Equal.holds(&left, &scope.value(value))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Call {
                function,
                text,
                part,
            } => function.holds(&scope.value(text), &scope.value(part)),
            Self::Any {
                path,
                variable,
                inner,
            } => scope.any(path, variable, inner.as_deref()),
            Self::Truth(operand) => match scope.value(operand) {
                Scalar::Bool(truth) => Ok(truth),
                Scalar::Null => Ok(false),
                other @ (Scalar::Number(_) | Scalar::Text(_) | Scalar::Time(_)) => {
                    Err(Malformed::Types {
                        left: other.edm(),
                        right: "Edm.Boolean",
                    })
                }
            },
        }
    }

    fn check_properties(&self, properties: &[&str], variable: &str) -> Result<(), Malformed> {
        let known = |path: &[String]| match path.first() {
            Some(name) if !properties.is_empty() && name != variable => {
                let known = properties
                    .iter()
                    .any(|property| property.eq_ignore_ascii_case(name));
                if known {
                    Ok(())
                } else {
                    Err(Malformed::Property(name.clone()))
                }
            }
            _ => Ok(()),
        };
        let operand = |operand: &Operand| match operand {
            Operand::Path(path) => known(path),
            Operand::Literal(_) => Ok(()),
        };
        match self {
            Self::Or(parts) | Self::And(parts) => parts
                .iter()
                .try_for_each(|part| part.check_properties(properties, variable)),
            Self::Not(inner) => inner.check_properties(properties, variable),
            Self::Compare { left, right, .. } => operand(left).and_then(|()| operand(right)),
            Self::In { left, values } => {
                operand(left).and_then(|()| values.iter().try_for_each(operand))
            }
            Self::Call { text, part, .. } => operand(text).and_then(|()| operand(part)),
            Self::Truth(truth) => operand(truth),
            Self::Any {
                path,
                variable,
                inner,
            } => {
                known(path)?;
                inner
                    .as_ref()
                    .map_or(Ok(()), |inner| inner.check_properties(properties, variable))
            }
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Path(Vec<String>),
    Literal(Literal),
}

/// A value written in the filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    /// Ticks since 1970.
    Time(i64),
}

/// `eq`, `ne`, `gt`, `ge`, `lt`, `le`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Comparison {
    fn holds(self, left: &Scalar<'_>, right: &Scalar<'_>) -> Result<bool, Malformed> {
        // OData: null equals null alone, and is neither above nor below anything.
        if matches!(left, Scalar::Null) || matches!(right, Scalar::Null) {
            let both = matches!((left, right), (Scalar::Null, Scalar::Null));
            return Ok(match self {
                Self::Equal => both,
                Self::NotEqual => !both,
                Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual => false,
            });
        }
        let order = left.order(right)?;
        Ok(match self {
            Self::Equal => order == Ordering::Equal,
            Self::NotEqual => order != Ordering::Equal,
            Self::Greater => order == Ordering::Greater,
            Self::GreaterOrEqual => order != Ordering::Less,
            Self::Less => order == Ordering::Less,
            Self::LessOrEqual => order != Ordering::Greater,
        })
    }
}

/// The text functions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
}

impl Function {
    fn holds(self, text: &Scalar<'_>, part: &Scalar<'_>) -> Result<bool, Malformed> {
        match (text, part) {
            (Scalar::Text(text), Scalar::Text(part)) => Ok(match self {
                Self::StartsWith => text.starts_with(part),
                Self::EndsWith => text.ends_with(part),
                Self::Contains => text.contains(part),
            }),
            (Scalar::Null, _) | (_, Scalar::Null) => Ok(false),
            (left, right) => Err(Malformed::Types {
                left: left.edm(),
                right: right.edm(),
            }),
        }
    }
}

/// Asks `parts` in turn until one answers `decisive`; that is the answer, else the opposite.
fn holds_until(parts: &[Filter], scope: &Scope<'_>, decisive: bool) -> Result<bool, Malformed> {
    for part in parts {
        if part.holds(scope)? == decisive {
            return Ok(decisive);
        }
    }
    Ok(!decisive)
}

/// Where names are looked up: the record, and the variable of an `any` around.
struct Scope<'a> {
    record: &'a Value,
    variable: Option<(&'a str, &'a Value)>,
}

impl Scope<'_> {
    fn value<'b>(&'b self, operand: &'b Operand) -> Scalar<'b> {
        match operand {
            Operand::Literal(Literal::Null) => Scalar::Null,
            Operand::Literal(Literal::Bool(truth)) => Scalar::Bool(*truth),
            Operand::Literal(Literal::Number(number)) => Scalar::Number(*number),
            Operand::Literal(Literal::Text(text)) => Scalar::Text(text),
            Operand::Literal(Literal::Time(ticks)) => Scalar::Time(*ticks),
            Operand::Path(path) => Scalar::of(self.lookup(path)),
        }
    }

    fn lookup(&self, path: &[String]) -> &Value {
        match (self.variable, path) {
            (Some((name, value)), [first, rest @ ..]) if name == first => descend(value, rest),
            _ => descend(self.record, path),
        }
    }

    fn any(
        &self,
        path: &[String],
        variable: &str,
        inner: Option<&Filter>,
    ) -> Result<bool, Malformed> {
        let Value::Array(elements) = self.lookup(path) else {
            return Ok(false);
        };
        let Some(inner) = inner else {
            return Ok(!elements.is_empty());
        };
        for element in elements {
            if inner.holds(&Scope {
                record: self.record,
                variable: Some((variable, element)),
            })? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn descend<'a>(value: &'a Value, path: &[String]) -> &'a Value {
    path.iter().fold(value, |value, name| property(value, name))
}

#[cfg(test)]
mod tests;
