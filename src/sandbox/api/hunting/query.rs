//! The part of the Kusto language that is understood: a table, `where`, `project`, `take`, `limit` and `count`.

use super::tables::{Column, TABLES, Table};

/// A query of which every word is understood.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) table: &'static Table,
    pub(super) steps: Vec<Step>,
}

/// One operator of the pipeline.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Keeps the rows for which all these hold.
    Where(Vec<Condition>),
    /// Keeps these columns, in this order.
    Project(Vec<&'static Column>),
    /// Keeps so many rows at most.
    Take(u64),
    /// One row with the number of rows.
    Count,
}

/// A comparison of two values.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub(super) left: Operand,
    pub(super) test: Test,
    pub(super) right: Operand,
}

/// A value of a condition.
#[derive(Debug, Clone)]
pub(super) enum Operand {
    Column(&'static Column),
    Text(String),
    Number(i64),
    /// Seconds before the present: `ago(1d)`.
    Ago(i64),
}

/// The tests that a condition can make; those with words look at letters alone, not at their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    Equal,
    NotEqual,
    Same,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Has,
    Contains,
    StartsWith,
    EndsWith,
}

impl Query {
    /// Parses `source`; `None` if any part of it isn't understood, as half a query would answer something else.
    pub(super) fn parse(source: &str) -> Option<Self> {
        let tokens = lex(source)?;
        let mut parts = tokens.split(|token| *token == Token::Symbol("|".to_owned()));
        let [Token::Word(name)] = parts.next()? else {
            return None;
        };
        let table = TABLES.iter().find(|table| table.name == name)?;
        let (mut columns, mut steps) = (table.columns.iter().collect::<Vec<_>>(), Vec::new());
        let mut counted = false;
        for part in parts {
            let step = Step::parse(part, &columns)?;
            match &step {
                // After `count` there is one column, which we don't select by.
                Step::Where(_) | Step::Project(_) if counted => return None,
                Step::Project(kept) => columns.clone_from(kept),
                Step::Count => counted = true,
                Step::Where(_) | Step::Take(_) => {}
            }
            steps.push(step);
        }
        Some(Self { table, steps })
    }
}

impl Step {
    fn parse(tokens: &[Token], columns: &[&'static Column]) -> Option<Self> {
        let [Token::Word(operator), arguments @ ..] = tokens else {
            return None;
        };
        match (operator.as_str(), arguments) {
            ("count", []) => Some(Self::Count),
            ("take" | "limit", [Token::Word(number)]) => number.parse().ok().map(Self::Take),
            ("where", conditions) => conditions
                .split(|token| *token == Token::Word("and".to_owned()))
                .map(|tokens| Condition::parse(tokens, columns))
                .collect::<Option<_>>()
                .map(Self::Where),
            ("project", names) => names
                .split(|token| *token == Token::Symbol(",".to_owned()))
                .map(|name| match name {
                    [Token::Word(name)] => column(name, columns),
                    _ => None,
                })
                .collect::<Option<_>>()
                .map(Self::Project),
            _ => None,
        }
    }
}

impl Condition {
    fn parse(tokens: &[Token], columns: &[&'static Column]) -> Option<Self> {
        let at = tokens.iter().position(|token| token.test().is_some())?;
        Some(Self {
            left: Operand::parse(&tokens[..at], columns)?,
            test: tokens[at].test()?,
            right: Operand::parse(&tokens[at + 1..], columns)?,
        })
    }
}

impl Operand {
    fn parse(tokens: &[Token], columns: &[&'static Column]) -> Option<Self> {
        match tokens {
            [Token::Text(text)] => Some(Self::Text(text.clone())),
            [Token::Word(word)] => match word.parse() {
                Ok(number) => Some(Self::Number(number)),
                Err(_) => column(word, columns).map(Self::Column),
            },
            [
                Token::Word(ago),
                Token::Symbol(open),
                Token::Word(span),
                Token::Symbol(close),
            ] if ago == "ago" && open == "(" && close == ")" => seconds(span).map(Self::Ago),
            [Token::Word(now), Token::Symbol(open), Token::Symbol(close)]
                if now == "now" && open == "(" && close == ")" =>
            {
                Some(Self::Ago(0))
            }
            _ => None,
        }
    }
}

fn column(name: &str, columns: &[&'static Column]) -> Option<&'static Column> {
    columns.iter().copied().find(|column| column.name == name)
}

/// The seconds of `7d`, `12h`, `30m` or `5s`.
fn seconds(span: &str) -> Option<i64> {
    let (number, unit) = span.split_at_checked(span.len().checked_sub(1)?)?;
    let seconds = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds)
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// A name or a number.
    Word(String),
    /// What stands in quotes.
    Text(String),
    Symbol(String),
}

impl Token {
    fn test(&self) -> Option<Test> {
        let (Self::Word(name) | Self::Symbol(name)) = self else {
            return None;
        };
        let (_, test) = TESTS.iter().find(|(known, _)| known == name)?;
        Some(*test)
    }
}

/// The tokens of `source` without its comments; `None` for quotes that don't close.
fn lex(source: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), source.trim().trim_end_matches(';'));
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else {
            return Some(tokens);
        };
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if first == '"' || first == '\'' {
            let (text, after) = quoted(&rest[1..], first)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else {
            let in_word = |symbol: char| symbol.is_alphanumeric() || symbol == '_';
            let in_test = |symbol: char| "=!<>~".contains(symbol);
            let same: &dyn Fn(char) -> bool = if in_word(first) { &in_word } else { &in_test };
            let end = rest.find(|symbol| !same(symbol)).unwrap_or(rest.len());
            let (token, after) = rest.split_at(end.max(first.len_utf8()));
            tokens.push(if in_word(first) {
                Token::Word(token.to_owned())
            } else {
                Token::Symbol(token.to_owned())
            });
            rest = after;
        }
    }
}

/// The text up to the closing `quote`, a backslash taking the next symbol as it is; and what follows.
fn quoted(source: &str, quote: char) -> Option<(String, &str)> {
    let (mut text, mut symbols) = (String::new(), source.chars());
    loop {
        match symbols.next()? {
            '\\' => text.push(symbols.next()?),
            symbol if symbol == quote => return Some((text, symbols.as_str())),
            symbol => text.push(symbol),
        }
    }
}

const TESTS: [(&str, Test); 11] = [
    ("==", Test::Equal),
    ("!=", Test::NotEqual),
    ("=~", Test::Same),
    (">", Test::Greater),
    (">=", Test::GreaterOrEqual),
    ("<", Test::Less),
    ("<=", Test::LessOrEqual),
    ("has", Test::Has),
    ("contains", Test::Contains),
    ("startswith", Test::StartsWith),
    ("endswith", Test::EndsWith),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_understood() {
        for (query, steps) in [
            ("DeviceInfo", 0),
            ("// a | b\nDeviceInfo // c\n| take 5 | count;", 2),
            (
                "DeviceInfo|where OSPlatform=='Linux' and OSBuild>=1|project DeviceId",
                2,
            ),
            (
                "DeviceInfo | where Timestamp > ago(7d) and Timestamp <= now()",
                1,
            ),
            ("DeviceInfo | where DeviceName has '|' | limit 1", 2),
            (r#"DeviceInfo | where DeviceName != "a\"| take 1""#, 1),
            ("DeviceInfo | count | take 10", 2),
        ] {
            let parsed = Query::parse(query);
            assert_eq!(
                parsed.map(|query| query.steps.len()),
                Some(steps),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_not() {
        for query in [
            "",
            "print 1",
            "DeviceInfoX",
            "DeviceInfo DeviceInfo",
            "DeviceInfo |",
            "DeviceInfo | take",
            "DeviceInfo | take -1",
            "DeviceInfo | take five",
            "DeviceInfo | Take 5",
            "DeviceInfo | summarize count() by OSPlatform",
            "DeviceInfo | where Nonsense == 1",
            "DeviceInfo | where OSBuild",
            "DeviceInfo | where OSBuild == 1 or OSBuild == 2",
            "DeviceInfo | where DeviceName == 'open",
            "DeviceInfo | where Timestamp > ago(7y)",
            "DeviceInfo | project Name = DeviceName",
            "DeviceInfo | project DeviceId | where OSPlatform == 'Linux'",
            "DeviceInfo | count | project Count",
            "DeviceInfo | join AlertInfo",
        ] {
            assert!(Query::parse(query).is_none(), "{query}");
        }
    }
}
