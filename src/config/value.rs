//! One value of a TOML document, read as what it should be.
//!
//! Like the tables it stands in: `None` means that a fault has been noted.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use crate::config::reader::{Document, Table};

/// A value and the dotted path of its key.
pub(super) struct Value<'t> {
    document: &'t Document<'t>,
    path: String,
    node: &'t Spanned<DeValue<'t>>,
}

impl<'t> Value<'t> {
    pub(super) fn new(
        document: &'t Document<'t>,
        path: String,
        node: &'t Spanned<DeValue<'t>>,
    ) -> Self {
        Self {
            document,
            path,
            node,
        }
    }

    pub(super) fn document(&self) -> &'t Document<'t> {
        self.document
    }

    /// The dotted path of its key.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Notes what is wrong with the value.
    pub(super) fn fault(&self, message: impl Into<String>) {
        let at = self.node.span().start;
        self.document.fault(&self.path, Some(at), message);
    }

    /// Notes that a later version will know it.
    pub(super) fn later(&self) {
        self.fault("is not yet supported in this version: remove it");
    }

    /// The line it stands at, from 1.
    pub(super) fn line(&self) -> usize {
        self.document.line(self.node.span().start)
    }

    /// The text, if it is one; a fault is for the caller to note.
    pub(super) fn text(&self) -> Option<&'t str> {
        self.node.get_ref().as_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.node.get_ref().is_table()
    }

    pub(super) fn string(&self) -> Option<&'t str> {
        self.typed(self.text(), "a text in quotes")
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.typed(self.node.get_ref().as_bool(), "true or false")
    }

    /// A text, parsed; what the parser says is the fault.
    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Option<T> {
        let parsed = self.string()?.parse();
        parsed.map_err(|error| self.fault(format!("{error}"))).ok()
    }

    /// A file name; a relative one is relative to the document.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let text = self.string()?;
        if text.is_empty() || text.contains('\0') {
            self.fault("must name a file");
            return None;
        }
        Some(self.document.resolve(text))
    }

    /// A time from one millisecond to one day, with its unit.
    pub(super) fn duration(&self) -> Option<Duration> {
        const FORM: &str = "a time with its unit, like \"10s\" or \"5m\"";
        let text = self.typed(self.text(), FORM)?;
        match humantime::parse_duration(text) {
            Ok(time) if (SHORTEST..=LONGEST).contains(&time) => Some(time),
            Ok(_) => {
                self.fault("must be a time from \"1ms\" to \"24h\"");
                None
            }
            Err(_) => {
                self.fault(format!("must be {FORM}"));
                None
            }
        }
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(&self, most: u32) -> Option<usize> {
        let number = self
            .node
            .get_ref()
            .as_integer()
            .and_then(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        let count = number
            .filter(|number| (1..=i64::from(most)).contains(number))
            .and_then(|number| usize::try_from(number).ok());
        self.typed(count, &format!("a whole number from 1 to {most}"))
    }

    /// The elements of a list.
    pub(super) fn elements(&self) -> Option<Vec<Self>> {
        let array = self.typed(self.node.get_ref().as_array(), "a list in [ ]")?;
        let element = |(index, node)| {
            let path = format!("{}[{index}]", self.path);
            Self::new(self.document, path, node)
        };
        Some(array.iter().enumerate().map(element).collect())
    }

    pub(super) fn table(&self) -> Option<Table<'t>> {
        let entries = self.typed(self.node.get_ref().as_table(), "a table")?;
        let at = self.node.span().start;
        Some(Table::new(self.document, &self.path, Some(at), entries))
    }

    fn typed<T>(&self, found: Option<T>, wanted: &str) -> Option<T> {
        if found.is_none() {
            self.fault(format!("must be {wanted}"));
        }
        found
    }
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(24);
