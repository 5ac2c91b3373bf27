//! Finds the key behind which a hunting answer holds rows. It follows JSON strings, and nothing else of JSON.

use memchr::{memchr, memchr2};

/// Looks for the first key `Results` or `results` in a document that comes in chunks.
///
/// It goes from string to string, so that a quote inside one is never taken for the start of another. That costs more
/// than a plain search, but only for the part of the answer before its rows: the schema and some statistics.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows(State);

impl Rows {
    pub(super) const fn new() -> Self {
        Self(State::Between)
    }

    /// Where in `chunk` the rows start, just behind the colon. Not to be called again once it answered.
    pub(super) fn start_in(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            let (state, step) = match self.0 {
                State::Between => (State::Word(0), memchr(b'"', &chunk[at..])? + 1),
                State::Word(seen) => word(seen, byte),
                State::Inside => {
                    let step = memchr2(b'"', b'\\', &chunk[at..])?;
                    let state = if chunk[at + step] == b'"' {
                        State::Between
                    } else {
                        State::Escape
                    };
                    (state, step + 1)
                }
                State::Escape => (State::Inside, 1),
                State::Closed if byte == b':' => return Some(at + 1),
                State::Closed if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => (State::Closed, 1),
                State::Closed => (State::Between, 0),
            };
            self.0 = state;
            at += step;
        }
        None
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Outside any string.
    Between,
    /// In a string that so far is the first bytes of the key.
    Word(usize),
    /// In any other string.
    Inside,
    /// There, behind a backslash.
    Escape,
    /// Behind a string that is the name of the key.
    Closed,
}

const NAME: &[u8] = b"Results";

/// The state behind `byte`, and whether (1) or not (0) the byte is used up.
fn word(seen: usize, byte: u8) -> (State, usize) {
    match NAME.get(seen) {
        Some(expected) if *expected == byte || (seen == 0 && byte == b'r') => {
            (State::Word(seen + 1), 1)
        }
        None if byte == b'"' => (State::Closed, 1),
        Some(_) | None => (State::Inside, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_first_key() {
        let cases = [
            (r#"{"Schema":[],"Results":[1]}"#, Some(23)),
            (r#"{"results" : [1]}"#, Some(12)),
            ("{\"results\"\r\n\t :[1]}", Some(15)),
            (r#"{"":"","Results":[]}"#, Some(17)),
            (r#"{"a":"Results","b":["results"],"Results":[]}"#, Some(41)),
            (
                r#"{"Resultsx":1,"xResults":1,"Result":1,"RESULTS":1,"rEsults":1}"#,
                None,
            ),
            (
                r#"{"a":"\"Results\":1","b":"\\","c":"\\\"Results\":"}"#,
                None,
            ),
            (r#"{"a\"Results":1}"#, None),
            (r#"{"\\":"\\","Results":1}"#, Some(21)),
            (r#"{"Results\"":1}"#, None),
            (r#"{"Results"}"#, None),
            (r#"{"Results"#, None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(Rows::new().start_in(text.as_bytes()), expected, "{text}");
            for cut in 0..=text.len() {
                let mut rows = Rows::new();
                let (left, right) = text.as_bytes().split_at(cut);
                let found = rows
                    .start_in(left)
                    .or_else(|| rows.start_in(right).map(|at| at + cut));
                assert_eq!(found, expected, "{text} cut at {cut}");
            }
        }
    }
}
