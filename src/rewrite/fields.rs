//! The search for `OData` control fields in JSON that comes in chunks. Chunks in, chunks out: no I/O, no body, no
//! JSON parser.

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
/// A key counts when it *ends* with such a name (`alerts@odata.nextLink`). No parser is needed to know a key: inside
/// a JSON string every quote has a backslash before it. So the quote straight behind a name, where a letter is before
/// it, is not inside a string but closes one; and a closed string with a colon behind it is a key.
///
/// What doesn't change leaves as slices of the chunks that came in. Held back from one chunk to the next are only the
/// first bytes of a control field's value, as long as they may be one of the origins: at most [`Links::reach`] bytes.
#[derive(Clone, Debug)]
pub struct Fields {
    links: Arc<Links>,
    local: Local,
    state: State,
    held: Bytes,
    rows: Option<Rows>,
}

impl Fields {
    /// Prepares to put `local`, such as `http://localhost:8080`, in the place of the origins in `links`.
    #[must_use]
    pub fn new(links: Arc<Links>, local: &str, scope: Scope) -> Self {
        let (state, rows) = match scope {
            Scope::Off => (State::Over, None),
            Scope::Fields => (State::Text, None),
            Scope::FieldsUntilRows => (State::Text, Some(Rows::new())),
        };
        Self {
            links,
            local: Local {
                plain: local.into(),
                in_json: None,
            },
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
        emit(self.local.in_json(escaped), out);
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

/// What takes the place of an origin.
#[derive(Clone, Debug)]
struct Local {
    plain: Box<str>,
    /// As it stands in a string, and the same with slashes escaped, for values that escape theirs. Most documents need neither.
    in_json: Option<[Bytes; 2]>,
}

impl Local {
    fn in_json(&mut self, escaped: bool) -> Bytes {
        let spellings = self.in_json.get_or_insert_with(|| {
            let local = json_escaped(&self.plain);
            let slashes_escaped = local.replace('/', r"\/");
            [local.into(), slashes_escaped.into()]
        });
        spellings[usize::from(escaped)].clone()
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
    /// The byte then has to be looked at again as text; the bytes before it need not, as only the first of a name is
    /// an `@`.
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

/// What all names start with. It must hold its first byte only once, and the names must not hold it: see
/// [`State::after`].
const PREFIX: &[u8] = b"@odata.";

/// The rest of the names, each with the quote that closes its key. No two start alike.
const NAMES: [&[u8]; 3] = [b"nextLink\"", b"deltaLink\"", b"context\""];

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(PREFIX));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const HERE: &str = "http://localhost:8080/t/contoso";
    const HERE_ESCAPED: &str = r"http:\/\/localhost:8080\/t\/contoso";

    fn links() -> Links {
        Links::new(["api.contoso.example", "graph.contoso.example:8443"].map(str::to_owned))
    }

    fn rewrite<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, scope: Scope) -> String {
        let mut out = Vec::new();
        let mut take = |piece: Bytes| {
            assert!(!piece.is_empty());
            out.extend_from_slice(&piece);
        };
        let mut fields = Fields::new(Arc::new(links()), HERE, scope);
        for chunk in chunks {
            fields.push(Bytes::copy_from_slice(chunk), &mut take);
            assert!(fields.held.len() <= fields.links.reach());
        }
        fields.finish(&mut take);
        assert!(fields.is_empty());
        String::from_utf8(out).unwrap()
    }

    /// Checks `text` whole, in two pieces and byte by byte.
    fn check(text: &str, expected: &str, scope: Scope) {
        let text = text.as_bytes();
        assert_eq!(rewrite([text], scope), expected);
        assert_eq!(rewrite(text.chunks(1), scope), expected);
        for cut in 0..text.len() {
            assert_eq!(
                rewrite([&text[..cut], &text[cut..]], scope),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn control_fields() {
        // `HERE` stands for what must be replaced.
        let cases = [
            r#"{"@odata.nextLink":"HERE/api/alerts?$skiptoken=a%3D+/"}"#,
            r#"{"@odata.deltaLink":"HERE"}"#,
            r#"{"@odata.context":"HERE#x","value":[]}"#,
            r#"{"alerts@odata.nextLink" : "HERE?x"}"#,
            "\u{feff}{\r\n\t\"@odata.nextLink\"\n:\t \"HERE/x\"\n}\n",
            r#"[{"@odata.context":"HERE/1","@odata.nextLink":"HERE/2"},{"a":{"b@odata.context":"HERE/3"}}]"#,
            r#"{"x\"@odata.nextLink":"HERE/","x\\@odata.nextLink":"HERE/"}"#,
            r#"{"@odata.@odata.nextLink":"HERE/"}"#,
            r#"{"@odata.nextLink":"HERE/@odata.nextLink","@odata.context":"HERE/"}"#,
            r#"{"v":"@odata.nextLink","@odata.nextLink":"HERE/","w":["@odata.nextLink"]}"#,
        ];
        for case in cases {
            for origin in [
                "https://api.contoso.example",
                "https://API.Contoso.example:443",
                "https://graph.contoso.example:8443",
            ] {
                check(
                    &case.replace("HERE", origin),
                    &case.replace("HERE", HERE),
                    Scope::Fields,
                );
            }
        }
    }

    #[test]
    fn escaped_slashes_stay_escaped() {
        for origin in [
            r"https:\/\/api.contoso.example",
            r"https:/\/api.contoso.example:443",
            r"https:\//api.contoso.example",
        ] {
            for end in [r#"\/x"}"#, r#"/x"}"#, r#"?x"}"#, "\"}"] {
                let value = |origin| format!(r#"{{"@odata.nextLink":"{origin}{end}"#);
                check(&value(origin), &value(HERE_ESCAPED), Scope::Fields);
            }
        }
    }

    #[test]
    fn everything_else_stays() {
        let cases = [
            "",
            "42",
            r#"{"url":"https://api.contoso.example/x","odata.nextLink":"https://api.contoso.example/x"}"#,
            r#"{"@odata.nextlink":"https://api.contoso.example/x","@ODATA.context":"https://api.contoso.example/x"}"#,
            r#"{"@odata.type":"https://api.contoso.example/x","@odata.nextLinks":"https://api.contoso.example/"}"#,
            r#"{"@odata.nextLink":"https://api.contoso.example.evil.example/x"}"#,
            r#"{"@odata.nextLink":"https://api.contoso.example@evil.example/x"}"#,
            r#"{"@odata.nextLink":"https://graph.contoso.example/x"}"#,
            r#"{"@odata.nextLink":"http://api.contoso.example/x"}"#,
            r#"{"@odata.nextLink":"api.contoso.example/x"}"#,
            r#"{"@odata.nextLink":" https://api.contoso.example/x"}"#,
            r#"{"@odata.nextLink":["https://api.contoso.example/x"],"@odata.context":null}"#,
            r#"{"@odata.nextLink":"https://api.contoso.example\\x"}"#,
            r#"{"@odata.nextLink\\":"https://api.contoso.example/x"}"#,
            r#"{"description":"{\"@odata.nextLink\":\"https://api.contoso.example/x\"}"}"#,
            r#"{"description":"\\\"@odata.nextLink\\\":\\\"https://api.contoso.example/x\\\""}"#,
            r#"{"a":"@odata.nextLink","b":"https://api.contoso.example/x"}"#,
            r#"["@odata.nextLink","https://api.contoso.example/x"]"#,
            r#"{"a":["@odata.nextLink"],"b":{"c":"@odata.context"}}"#,
            r#"{"@odata.context":"...","exportFiles":["https://api.contoso.example/x?sig=a"]}"#,
            r#"{"@odata.nextLink":"https://api.contoso.example"#,
            r#"{"@odata.nextLink":"htt"#,
            r#"{"@odata.nextLink""#,
            "@odata",
        ];
        for case in cases {
            check(case, case, Scope::Fields);
        }
    }

    #[test]
    fn rows_are_data() {
        let cases = [
            r#"{"@odata.context":"HERE/a","Schema":[],"Results":[{"@odata.nextLink":"https://api.contoso.example/x"}]}"#,
            r#"{"@odata.context":"HERE/a","results" : [],"@odata.nextLink":"https://api.contoso.example/x"}"#,
            r#"{"a":"Results","b":"\"Results\":","@odata.context":"HERE/a","Results":0,"@odata.nextLink":"https://api.contoso.example"}"#,
        ];
        for case in cases {
            check(
                &case.replace("HERE", "https://api.contoso.example"),
                &case.replace("HERE", HERE),
                Scope::FieldsUntilRows,
            );
        }
        let text = r#"{"results":1,"@odata.context":"https://api.contoso.example/a"}"#;
        check(
            text,
            &text.replace("https://api.contoso.example", HERE),
            Scope::Fields,
        );
        check(text, text, Scope::Off);
    }

    #[test]
    fn the_local_origin_cannot_leave_its_string() {
        let mut fields = Fields::new(Arc::new(links()), "http://\"\\", Scope::Fields);
        let mut out = Vec::new();
        let text = br#"{"@odata.context":"https://api.contoso.example/"}"#;
        fields.push(Bytes::from_static(text), &mut |piece| {
            out.extend_from_slice(&piece);
        });
        assert_eq!(out, br#"{"@odata.context":"http://\"\\/"}"#);
    }

    #[test]
    fn pieces_are_slices_of_the_chunk() {
        let chunk =
            Bytes::from_static(br#"{"@odata.context":"https://api.contoso.example/a","value":1}"#);
        let range = chunk.as_ptr_range();
        let mut pieces = Vec::new();
        Fields::new(Arc::new(links()), HERE, Scope::Fields)
            .push(chunk, &mut |piece| pieces.push(piece));
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[0].as_ptr(), range.start);
        assert_eq!(pieces[2].as_ptr_range().end, range.end);
    }

    /// The same search in the plainest way: everything spelled out, on the whole text.
    fn reference(text: &str, scope: Scope) -> String {
        let end = if scope == Scope::FieldsUntilRows {
            reference_rows(text).unwrap_or(text.len())
        } else {
            text.len()
        };
        let mut out = String::new();
        let mut rest = &text[..end];
        while let Some(first) = rest.chars().next() {
            if let Some((kept, origin, here)) = reference_field(rest) {
                out.push_str(&rest[..kept]);
                out.push_str(here);
                rest = &rest[kept + origin..];
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out + &text[end..]
    }

    fn reference_field(text: &str) -> Option<(usize, usize, &'static str)> {
        let space = |text: &'_ str| text.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let names = [
            "@odata.nextLink\"",
            "@odata.deltaLink\"",
            "@odata.context\"",
        ];
        let rest = names.iter().find_map(|name| text.strip_prefix(name))?;
        let rest = rest[rest.len() - space(rest)..].strip_prefix(':')?;
        let rest = rest[rest.len() - space(rest)..].strip_prefix('"')?;
        for (slashes, here) in [
            ("//", HERE),
            (r"\/\/", HERE_ESCAPED),
            (r"\//", HERE_ESCAPED),
            (r"/\/", HERE_ESCAPED),
        ] {
            for host in [
                "api.contoso.example",
                "api.contoso.example:443",
                "graph.contoso.example:8443",
            ] {
                let origin = format!("https:{slashes}{host}");
                let Some((start, after)) = rest.split_at_checked(origin.len()) else {
                    continue;
                };
                if start.eq_ignore_ascii_case(&origin)
                    && ["/", r"\/", "?", "#", "\""]
                        .iter()
                        .any(|end| after.starts_with(end))
                {
                    return Some((text.len() - rest.len(), origin.len(), here));
                }
            }
        }
        None
    }

    fn reference_rows(text: &str) -> Option<usize> {
        let (mut start, mut escaped) = (None, false);
        for (at, byte) in text.bytes().enumerate() {
            match (byte, start) {
                _ if escaped => escaped = false,
                (b'\\', Some(_)) => escaped = true,
                (b'"', None) => start = Some(at + 1),
                (b'"', Some(from)) => {
                    start = None;
                    let rest = text[at + 1..].trim_start_matches([' ', '\t', '\r', '\n']);
                    if matches!(&text[from..at], "Results" | "results") && rest.starts_with(':') {
                        return Some(text.len() - rest.len() + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn text() -> impl Strategy<Value = String> {
        let fragments = vec![
            "{",
            "}",
            "\"",
            "\\",
            "\\\\",
            "\\\"",
            ":",
            ",",
            " ",
            "\n",
            "\u{feff}",
            "é",
            "x",
            "/",
            "\\/",
            "?",
            "#",
            "@",
            "@odata.",
            "@oda",
            "ta.",
            "nextLink",
            "context\"",
            "Link\"",
            "@odata.deltaLink",
            "@odata.type\":\"",
            "@odata.nextLink\"",
            "@odata.nextLink\":\"",
            "\"@odata.context\" : \"",
            "@odata.nextLink\\\":\\\"",
            "https:",
            "http:",
            "HTTPS://",
            "https://",
            "https:\\/\\/",
            "//",
            "\\/\\/",
            "api.",
            "contoso.example",
            "api.contoso.example",
            "API.contoso.example:443",
            "graph.contoso.example:8443",
            "graph.contoso.example",
            ":443",
            "@evil.example",
            ".evil",
            "https://api.contoso.example/",
            "https:\\/\\/api.contoso.example\\/",
            "\"@odata.nextLink\":\"https://api.contoso.example",
            "\"Results\"",
            "\"results\":",
            "Results",
            "\"Results\" \n:",
        ];
        let starts = [
            "@odata.nextLink\":\"",
            "\"a@odata.context\"\n:\t\"",
            "@odata.deltaLink\" :\"",
        ];
        let origins = [
            "https://api.contoso.example",
            r"https:\/\/API.contoso.example:443",
            r"https:/\/graph.contoso.example:8443",
        ];
        let ends = ["/", r"\/", "?", "\"", "", "\\", ".evil", ":8443"];
        let field = (
            select(starts.to_vec()),
            select(origins.to_vec()),
            select(ends.to_vec()),
        );
        let part = prop_oneof![
            4 => select(fragments).prop_map(str::to_owned),
            1 => field.prop_map(|(start, origin, end)| [start, origin, end].concat()),
        ];
        prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn any_chunks_give_what_the_reference_gives(text in text(), sizes in prop::collection::vec(0_usize..40, 1..8), until_rows: bool) {
            let scope = if until_rows { Scope::FieldsUntilRows } else { Scope::Fields };
            let mut rest = text.as_bytes();
            let mut chunks = Vec::new();
            for size in sizes.iter().copied().cycle().take(text.len() + 1) {
                let (chunk, after) = rest.split_at(size.min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            let expected = reference(&text, scope);
            prop_assert_eq!(&rewrite([text.as_bytes()], scope), &expected);
            prop_assert_eq!(&rewrite(text.as_bytes().chunks(1), scope), &expected);
            prop_assert_eq!(&rewrite(chunks, scope), &expected);
        }
    }
}
