//! One page of a list: filter, order, cut, and the link to the next page.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Answer;
use super::odata::Options;
use super::refusal::Refusal;
use super::reply;
use super::request::{Request, Shaped};

/// How a resource is listed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listing {
    /// The last part of `@odata.context`.
    pub(super) kind: &'static str,
    /// Properties `$filter` may name; none for all.
    pub(super) filterable: &'static [&'static str],
    /// The largest `$top`.
    pub(super) cap: u64,
    /// Records in a page when the client says nothing.
    pub(super) page: usize,
    /// What follows a page.
    pub(super) next: Next,
    /// Properties `$expand` may name, which the records may lack until then.
    pub(super) nested: &'static [&'static str],
}

/// What follows a page that isn't the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// A link with `$skip`, unless the client gave `$top` and so pages by itself (Defender).
    SkipUnlessTop,
    /// A link with `$skip`, `$top` being the size of a page (Graph).
    Skip,
    /// A link with `$skiptoken`, since `$skip` is capped at this (legacy Graph alerts).
    Token { skip_cap: u64 },
}

impl Listing {
    /// The page of `records` that the query asks for.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for a bad option or a `$top` over the cap.
    pub(super) fn page<'a>(
        &self,
        request: &Request<'_>,
        records: &'a [Value],
    ) -> Result<Page<'a>, Refusal> {
        let options = self.options(request, records)?;
        let skip = self.skip(request, &options)?;
        if let Some(given) = options.top.filter(|top| *top > self.cap) {
            return Err(Refusal::OverCap {
                option: "Top",
                cap: self.cap,
                given,
            });
        }
        let matching = options.matching(records)?;
        let total = matching.len();
        let size = options
            .top
            .map(count)
            .or(request.page_size)
            .unwrap_or(self.page);
        let shown: Vec<&Value> = matching.into_iter().skip(skip).take(size).collect();
        let end = skip.saturating_add(shown.len());
        let more = end < total && !shown.is_empty();
        let linked = more && (options.top.is_none() || self.next != Next::SkipUnlessTop);
        Ok(Page {
            records: shown,
            kind: self.kind,
            count: options.count.then_some(total),
            next: linked.then(|| self.link(request, end)),
            select: options.select,
        })
    }

    /// The whole answer, with the records as they are stored.
    ///
    /// # Errors
    ///
    /// As [`Self::page`].
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        records: &[Value],
    ) -> Result<Answer, Refusal> {
        Ok(self
            .page(request, records)?
            .answer(request, Shaped::Borrowed))
    }

    /// How many records the filter accepts: the bare number of `…/$count`.
    ///
    /// # Errors
    ///
    /// As [`Self::page`].
    pub(super) fn count(
        &self,
        request: &Request<'_>,
        records: &[Value],
    ) -> Result<Answer, Refusal> {
        Ok(reply::count(
            self.options(request, records)?.matching(records)?.len(),
        ))
    }

    /// The options, all of whose names are of `records`: every record of a list has the same properties.
    fn options(&self, request: &Request<'_>, records: &[Value]) -> Result<Options, Refusal> {
        let options = request.query.options(self.filterable)?;
        request.query.check_expand(self.nested)?;
        let Some(Value::Object(record)) = records.first() else {
            return Ok(options);
        };
        let known = |name: &str| record.keys().any(|known| known.eq_ignore_ascii_case(name));
        let nested = |name: &str| {
            self.nested
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
        };
        let ordered = options.order.iter().map(|(name, _)| ("$orderby", name));
        let selected = options.select.iter().map(|name| ("$select", name));
        let mut names = ordered.chain(selected);
        match names.find(|(option, name)| !(known(name) || *option == "$select" && nested(name))) {
            Some((option, name)) => Err(Refusal::Property {
                option,
                name: name.clone(),
            }),
            None => Ok(options),
        }
    }

    fn skip(&self, request: &Request<'_>, options: &Options) -> Result<usize, Refusal> {
        match self.next {
            Next::Token { skip_cap } if options.skip > skip_cap => Err(Refusal::OverCap {
                option: "Skip",
                cap: skip_cap,
                given: options.skip,
            }),
            Next::Token { .. } => Ok(count(
                request.query.number("$skiptoken")?.unwrap_or(options.skip),
            )),
            Next::SkipUnlessTop | Next::Skip => Ok(count(options.skip)),
        }
    }

    fn link(&self, request: &Request<'_>, end: usize) -> String {
        let keep = request.query.without(&["$skip", "$skiptoken"]);
        match self.next {
            Next::Token { .. } => request.link(&keep, &format!("$skiptoken={end}")),
            Next::SkipUnlessTop | Next::Skip => request.link(&keep, &format!("$skip={end}")),
        }
    }
}

/// The records of one page.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) records: Vec<&'a Value>,
    kind: &'static str,
    count: Option<usize>,
    next: Option<String>,
    select: Vec<String>,
}

impl<'a> Page<'a> {
    /// The answer, each record reshaped by `shape`.
    pub(super) fn answer(
        &self,
        request: &Request<'_>,
        shape: impl Fn(&'a Value) -> Shaped<'a>,
    ) -> Answer {
        let value = self
            .records
            .iter()
            .map(|record| selected(shape(record), &self.select))
            .collect();
        // Graph writes the link before the records, Defender after them.
        let (early, late) = if request.family.is_graph() {
            (self.next.as_deref(), None)
        } else {
            (None, self.next.as_deref())
        };
        reply::ok(&Envelope {
            context: request.context(self.kind),
            count: self.count,
            early,
            value,
            late,
        })
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    #[serde(rename = "@odata.context")]
    context: String,
    #[serde(rename = "@odata.count", skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    early: Option<&'a str>,
    value: Vec<Shaped<'a>>,
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    late: Option<&'a str>,
}

/// `record` with the properties of `$select` alone.
fn selected<'a>(record: Shaped<'a>, select: &[String]) -> Shaped<'a> {
    if select.is_empty() {
        return record;
    }
    let Value::Object(fields) = record.as_ref() else {
        return record;
    };
    let wanted = |name: &str| {
        select
            .iter()
            .any(|wanted| wanted.eq_ignore_ascii_case(name))
    };
    let fields: Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Shaped::Owned(Value::Object(fields))
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
