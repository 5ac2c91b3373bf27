//! The search for `OData` control fields in JSON that comes in chunks. Chunks in, chunks out: no I/O, no body, no JSON parser.

use std::mem;
use std::sync::{Arc, LazyLock};

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;
use memchr::memrchr;

use super::Scope;
use super::links::{Links, Origin};
use super::rows::Rows;

/// Replaces upstream origins in the values of `@odata.nextLink`, `@odata.deltaLink` and `@odata.context`.
///
/// A key counts when it *ends* with such a name (`alerts@odata.nextLink`). No parser is needed to know a key: inside a JSON
/// string every quote has a backslash before it. So the quote straight behind a name, where a letter is before it, is not
/// inside a string but closes one; and a closed string with a colon behind it is a key.
///
/// What doesn't change leaves as slices of the chunks that came in. Held back from one chunk to the next are only the first
/// bytes of a control field's value, as long as they may be one of the origins: at most [`Links::reach`] bytes.
#[derive(Clone, Debug)]
pub struct Fields {
    links: Arc<Links>,
    local: Bytes,
    /// The same with slashes escaped, for values that escape theirs.
    local_escaped: Bytes,
    state: State,
    held: Bytes,
    rows: Option<Rows>,
}

impl Fields {
    /// Prepares to put `local`, such as `http://localhost:8080`, in the place of the origins in `links`.
    #[must_use]
    pub fn new(links: Arc<Links>, local: &str, scope: Scope) -> Self {
        let local = json_escaped(local);
        let (state, rows) = match scope {
            Scope::Off => (State::Over, None),
            Scope::Fields => (State::Text, None),
            Scope::FieldsUntilRows => (State::Text, Some(Rows::new())),
        };
        Self {
            links,
            local_escaped: local.replace('/', r"\/").into(),
            local: local.into(),
            state,
            held: Bytes::new(),
            rows,
        }
    }

    /// Takes the next chunk of the document and hands on, in order, the pieces that are now certain. No piece is empty.
    pub fn push(&mut self, mut chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        match self.rows.as_mut().and_then(|rows| rows.start_in(&chunk)) {
            None => self.scan(chunk, out),
            Some(start) => {
                let rows = chunk.split_off(start);
                self.scan(chunk, out);
                self.finish(out);
                emit(rows, out);
            }
        }
    }

    /// Hands on what was held back: no more chunks come, or none that count.
    pub fn finish(&mut self, out: &mut impl FnMut(Bytes)) {
        self.state = State::Over;
        self.rows = None;
        emit(mem::take(&mut self.held), out);
    }

    /// Whether nothing is held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn scan(&mut self, mut chunk: Bytes, out: &mut impl FnMut(Bytes)) {
        if !self.held.is_empty() {
            self.resume(&mut chunk, out);
        }
        let mut at = 0;
        while at < chunk.len() {
            match self.state {
                State::Over => break,
                State::Text => at = self.seek(&chunk, at),
                State::Prefix(_) | State::Choice | State::Name(_) | State::Colon | State::Quote => {
                    (self.state, at) = self
                        .state
                        .after(chunk[at])
                        .map_or((State::Text, at), |next| (next, at + 1));
                }
                State::Value => match self.links.origin_in_string(&chunk[at..]) {
                    Origin::Foreign => self.state = State::Text,
                    Origin::Partial => self.held = chunk.split_off(at),
                    Origin::Ours { len, escaped } => {
                        emit(chunk.split_to(at), out);
                        self.replace(escaped, out);
                        chunk.advance(len);
                        at = 0;
                    }
                },
            }
        }
        emit(chunk, out);
    }

    /// Goes on with a value whose start was held back.
    fn resume(&mut self, chunk: &mut Bytes, out: &mut impl FnMut(Bytes)) {
        let wanted = self
            .links
            .reach()
            .saturating_sub(self.held.len())
            .min(chunk.len());
        let mut joined = BytesMut::with_capacity(self.held.len() + wanted);
        joined.extend_from_slice(&self.held);
        joined.extend_from_slice(&chunk[..wanted]);
        match self.links.origin_in_string(&joined) {
            Origin::Partial => {
                // Undecided although all that was wanted is there: then the chunk had no more.
                self.held = joined.freeze();
                chunk.clear();
            }
            Origin::Foreign => {
                // No `@` is in what was held, so no name can start there.
                self.state = State::Text;
                emit(mem::take(&mut self.held), out);
            }
            Origin::Ours { len, escaped } => {
                let mut held = mem::take(&mut self.held);
                chunk.advance(len.saturating_sub(held.len()));
                held.advance(len.min(held.len()));
                self.replace(escaped, out);
                // The backslash of an escaped slash behind the origin.
                emit(held, out);
            }
        }
    }

    fn replace(&mut self, escaped: bool, out: &mut impl FnMut(Bytes)) {
        self.state = State::Text;
        emit(
            if escaped {
                self.local_escaped.clone()
            } else {
                self.local.clone()
            },
            out,
        );
    }

    /// Looks for the next name in `chunk[at..]`; answers how far the chunk is done with.
    fn seek(&mut self, chunk: &[u8], at: usize) -> usize {
        if let Some(found) = FINDER.find(&chunk[at..]) {
            self.state = State::Choice;
            return at + found + PREFIX.len();
        }
        let tail = &chunk[at.max(chunk.len().saturating_sub(PREFIX.len() - 1))..];
        if let Some(start) = memrchr(PREFIX[0], tail)
            && let Some(rest) = PREFIX.strip_prefix(&tail[start..])
        {
            self.state = State::Prefix(rest);
        }
        chunk.len()
    }
}

/// How much of a control field was seen.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing.
    Text,
    /// The start of [`PREFIX`], at the end of a chunk; this is missing.
    Prefix(&'static [u8]),
    /// The whole prefix: one of [`NAMES`] must follow.
    Choice,
    /// The start of a name; this is missing.
    Name(&'static [u8]),
    /// The name: a colon must follow.
    Colon,
    /// The colon: a string must follow.
    Quote,
    /// The quote that opens the value: one of our origins must follow.
    Value,
    /// The search is over for good.
    Over,
}

impl State {
    /// The state behind `byte`, unless with this byte it is no control field.
    ///
    /// The byte then has to be looked at again as text; the bytes before it need not, as only the first of a name is an `@`.
    fn after(self, byte: u8) -> Option<Self> {
        match self {
            Self::Prefix(rest) => past(byte, rest).map(|rest| {
                if rest.is_empty() {
                    Self::Choice
                } else {
                    Self::Prefix(rest)
                }
            }),
            Self::Choice => NAMES
                .iter()
                .find_map(|name| past(byte, name))
                .map(Self::Name),
            Self::Name(rest) => past(byte, rest).map(|rest| {
                if rest.is_empty() {
                    Self::Colon
                } else {
                    Self::Name(rest)
                }
            }),
            Self::Colon | Self::Quote if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => Some(self),
            Self::Colon => (byte == b':').then_some(Self::Quote),
            Self::Quote => (byte == b'"').then_some(Self::Value),
            Self::Text | Self::Value | Self::Over => None,
        }
    }
}

fn past(byte: u8, expected: &'static [u8]) -> Option<&'static [u8]> {
    expected
        .split_first()
        .filter(|(first, _)| **first == byte)
        .map(|(_, rest)| rest)
}

/// `text` as it stands inside a JSON string.
fn json_escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn emit(piece: Bytes, out: &mut impl FnMut(Bytes)) {
    if !piece.is_empty() {
        out(piece);
    }
}

/// What all names start with. It must hold its first byte only once, and the names must not hold it: see [`State::after`].
const PREFIX: &[u8] = b"@odata.";

/// The rest of the names, each with the quote that closes its key. No two start alike.
const NAMES: [&[u8]; 3] = [b"nextLink\"", b"deltaLink\"", b"context\""];

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(PREFIX));
