//! Text of a `$filter` to tokens with their positions.

use super::Malformed;

/// One token.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, an operator word, a number or a date: whatever needs no quotes.
    Word(String),
    /// A quoted string, the doubled quotes undone.
    Text(String),
    Open,
    Close,
    Comma,
    Colon,
    Slash,
}

/// Tokens of `source`, each with the byte position where it starts.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>, Malformed> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = source[at..].chars().next() {
        let (token, length) = match first {
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            ',' => (Some(Token::Comma), 1),
            ':' => (Some(Token::Colon), 1),
            '/' => (Some(Token::Slash), 1),
            '\'' => {
                let (text, length) = quoted(source, at)?;
                (Some(Token::Text(text)), length)
            }
            space if space.is_whitespace() => (None, space.len_utf8()),
            _ => {
                let length = word(&source[at..]);
                if length == 0 {
                    return Err(Malformed::at(at, source));
                }
                (
                    Some(Token::Word(source[at..at + length].to_owned())),
                    length,
                )
            }
        };
        tokens.extend(token.map(|token| (token, at)));
        at += length;
    }
    Ok(tokens)
}

/// The string that opens at `at`, and how many bytes it takes with its quotes.
fn quoted(source: &str, at: usize) -> Result<(String, usize), Malformed> {
    let mut text = String::new();
    let mut rest = source[at + 1..].char_indices().peekable();
    while let Some((offset, symbol)) = rest.next() {
        if symbol != '\'' {
            text.push(symbol);
        } else if rest.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            return Ok((text, offset + 2));
        }
    }
    Err(Malformed::Unterminated {
        at,
        text: source.to_owned(),
    })
}

/// Length of the word at the start of `rest`. One that starts like a number may hold what dates hold.
fn word(rest: &str) -> usize {
    let numeric = rest.starts_with(|symbol: char| symbol.is_ascii_digit() || symbol == '-');
    let belongs = |symbol: char| {
        symbol.is_ascii_alphanumeric()
            || "_.@".contains(symbol)
            || (numeric && ":+-".contains(symbol))
    };
    rest.find(|symbol| !belongs(symbol)).unwrap_or(rest.len())
}
