//! Tokens to a [`Filter`], by precedence: `or`, `and`, `not`, then a comparison, a function or parentheses.

use super::lex::{self, Token};
use super::{Comparison, Filter, Function, Literal, Malformed, Operand};
use crate::sandbox::api::times;

/// The filter that `source` says.
///
/// # Errors
///
/// [`Malformed`] with the position, when it is not a filter or is nested deeper than the service allows.
pub(super) fn parse(source: &str) -> Result<Filter, Malformed> {
    let mut parser = Parser {
        source,
        tokens: lex::tokens(source)?,
        next: 0,
        depth: 0,
    };
    let filter = parser.either()?;
    match parser.peek() {
        None => Ok(filter),
        Some(_) => Err(parser.fault()),
    }
}

struct Parser<'a> {
    source: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Filter, Malformed> {
        let first = self.both()?;
        let mut parts = vec![first];
        while self.take_word("or") {
            parts.push(self.both()?);
        }
        Ok(single(parts, Filter::Or))
    }

    fn both(&mut self) -> Result<Filter, Malformed> {
        let first = self.negation()?;
        let mut parts = vec![first];
        while self.take_word("and") {
            parts.push(self.negation()?);
        }
        Ok(single(parts, Filter::And))
    }

    fn negation(&mut self) -> Result<Filter, Malformed> {
        // Every nesting passes here, so here the depth is bounded: a long row of `not` or `(` must not use up the stack.
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Malformed::TooDeep);
        }
        let filter = if self.take_word("not") {
            Filter::Not(Box::new(self.negation()?))
        } else if self.take(&Token::Open) {
            let inner = self.either()?;
            self.expect(&Token::Close)?;
            inner
        } else {
            self.predicate()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn predicate(&mut self) -> Result<Filter, Malformed> {
        if let Some(function) = self.function() {
            return self.call(function);
        }
        let left = self.operand()?;
        if let Operand::Path(path) = &left
            && self
                .tokens
                .get(self.next)
                .is_some_and(|(token, _)| *token == Token::Open)
            && let Some((last, path)) = path.split_last()
            && last == "any"
        {
            return self.any(path.to_vec());
        }
        if self.take_word("in") {
            return self.membership(left);
        }
        match self.comparison() {
            Some(comparison) => Ok(Filter::Compare {
                left,
                comparison,
                right: self.operand()?,
            }),
            None => Ok(Filter::Truth(left)),
        }
    }

    /// `startswith(` and its kin: a name of a function that an opening parenthesis follows.
    fn function(&mut self) -> Option<Function> {
        let (Some((Token::Word(name), _)), Some((Token::Open, _))) =
            (self.tokens.get(self.next), self.tokens.get(self.next + 1))
        else {
            return None;
        };
        let function = match name.as_str() {
            "startswith" => Function::StartsWith,
            "endswith" => Function::EndsWith,
            "contains" => Function::Contains,
            _ => return None,
        };
        self.next += 2;
        Some(function)
    }

    fn call(&mut self, function: Function) -> Result<Filter, Malformed> {
        let text = self.operand()?;
        self.expect(&Token::Comma)?;
        let part = self.operand()?;
        self.expect(&Token::Close)?;
        Ok(Filter::Call {
            function,
            text,
            part,
        })
    }

    /// `any()` or `any(tag: tag eq 'x')`, the path before it already read.
    fn any(&mut self, path: Vec<String>) -> Result<Filter, Malformed> {
        self.expect(&Token::Open)?;
        if self.take(&Token::Close) {
            return Ok(Filter::Any {
                path,
                variable: String::new(),
                inner: None,
            });
        }
        let Some(Token::Word(variable)) = self.peek().cloned() else {
            return Err(self.fault());
        };
        self.next += 1;
        self.expect(&Token::Colon)?;
        let inner = Some(Box::new(self.either()?));
        self.expect(&Token::Close)?;
        Ok(Filter::Any {
            path,
            variable,
            inner,
        })
    }

    fn membership(&mut self, left: Operand) -> Result<Filter, Malformed> {
        self.expect(&Token::Open)?;
        let mut values = vec![self.operand()?];
        while self.take(&Token::Comma) {
            values.push(self.operand()?);
        }
        self.expect(&Token::Close)?;
        Ok(Filter::In { left, values })
    }

    fn comparison(&mut self) -> Option<Comparison> {
        let Some(Token::Word(word)) = self.peek() else {
            return None;
        };
        let comparison = match word.as_str() {
            "eq" => Comparison::Equal,
            "ne" => Comparison::NotEqual,
            "gt" => Comparison::Greater,
            "ge" => Comparison::GreaterOrEqual,
            "lt" => Comparison::Less,
            "le" => Comparison::LessOrEqual,
            _ => return None,
        };
        self.next += 1;
        Some(comparison)
    }

    fn operand(&mut self) -> Result<Operand, Malformed> {
        let operand = match self.peek() {
            Some(Token::Text(text)) => Operand::Literal(Literal::Text(text.clone())),
            Some(Token::Word(word)) if OPERATORS.contains(&word.as_str()) => {
                return Err(self.fault());
            }
            Some(Token::Word(word)) => word_operand(word).ok_or_else(|| self.fault())?,
            _ => return Err(self.fault()),
        };
        self.next += 1;
        let Operand::Path(mut path) = operand else {
            return Ok(operand);
        };
        while self.take(&Token::Slash) {
            let Some(Token::Word(word)) = self.peek().cloned() else {
                return Err(self.fault());
            };
            self.next += 1;
            path.push(word);
        }
        Ok(Operand::Path(path))
    }

    fn take_word(&mut self, wanted: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(word)) if word == wanted);
        self.next += usize::from(found);
        found
    }

    fn take(&mut self, wanted: &Token) -> bool {
        let found = self.peek() == Some(wanted);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), Malformed> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.fault())
        }
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.next).map(|(token, _)| token)
    }

    /// The fault at the token that comes next, or at the end.
    fn fault(&self) -> Malformed {
        let at = self
            .tokens
            .get(self.next)
            .map_or(self.source.len(), |(_, at)| *at);
        Malformed::at(at, self.source)
    }
}

/// The one part itself, or several joined.
fn single(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.pop() {
        Some(only) if parts.is_empty() => only,
        Some(last) => {
            parts.push(last);
            join(parts)
        }
        None => join(parts),
    }
}

/// What an unquoted word stands for; `None` for what starts like a number and is none.
fn word_operand(word: &str) -> Option<Operand> {
    let literal = match word {
        "null" => Literal::Null,
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ if !word.starts_with(|symbol: char| symbol.is_ascii_digit() || symbol == '-') => {
            return Some(Operand::Path(vec![word.to_owned()]));
        }
        _ => match times::parse(word) {
            Some(ticks) => Literal::Time(ticks),
            None => Literal::Number(word.parse().ok()?),
        },
    };
    Some(Operand::Literal(literal))
}

/// Words that can't be a property: a filter like `eq 'x'` is a fault at its first word.
const OPERATORS: [&str; 10] = ["eq", "ne", "gt", "ge", "lt", "le", "and", "or", "not", "in"];

/// Nesting the service allows before it answers 400.
const MAX_DEPTH: usize = 60;
