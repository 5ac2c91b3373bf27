//! The query of a call: percent-decoded names and values, and the `OData` options among them.

use super::filter::{self, Filter};
use super::refusal::Refusal;
use serde_json::Value;

/// The decoded query.
#[derive(Debug, Default)]
pub(super) struct Query {
    pairs: Vec<(String, String)>,
    raw: Vec<(String, String)>,
}

impl Query {
    /// Decodes `raw` (without its `?`). Nothing is refused here: a stray `%` stands for itself.
    pub(super) fn parse(raw: Option<&str>) -> Self {
        let parts = raw
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty());
        let (mut pairs, mut kept) = (Vec::new(), Vec::new());
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let name = decode(name, true).to_ascii_lowercase();
            kept.push((name.clone(), part.to_owned()));
            pairs.push((name, decode(value, true)));
        }
        Self { pairs, raw: kept }
    }

    /// The value of `name` (lower case), if given.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The value of `name` as a whole number.
    ///
    /// # Errors
    ///
    /// [`Refusal::Option`] if it is none.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        self.get(name)
            .map(|value| {
                let refusal = || Refusal::Option {
                    option: name.to_owned(),
                    value: value.to_owned(),
                };
                value.trim().parse().map_err(|_| refusal())
            })
            .transpose()
    }

    /// Whether `$expand` names `property`.
    pub(super) fn expands(&self, property: &str) -> bool {
        self.expanded()
            .any(|name| name.eq_ignore_ascii_case(property))
    }

    /// Refuses an `$expand` of anything but `known`.
    ///
    /// # Errors
    ///
    /// [`Refusal::Property`].
    pub(super) fn check_expand(&self, known: &[&str]) -> Result<(), Refusal> {
        let unknown = |name: &&str| !known.iter().any(|known| known.eq_ignore_ascii_case(name));
        self.expanded().find(unknown).map_or(Ok(()), |name| {
            Err(Refusal::Property {
                option: "$expand",
                name: name.to_owned(),
            })
        })
    }

    /// The names in `$expand`, without what stands in parentheses behind them.
    fn expanded(&self) -> impl Iterator<Item = &str> {
        let mut depth = 0_usize;
        let comma = move |symbol| {
            match symbol {
                '(' => depth += 1,
                ')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            symbol == ',' && depth == 0
        };
        let list = self.get("$expand").unwrap_or_default();
        list.split(comma)
            .map(|item| item.split('(').next().unwrap_or_default().trim())
            .filter(|name| !name.is_empty())
    }

    /// The parts as they were sent, without those named (lower case): what a link to the next page repeats.
    pub(super) fn without(&self, names: &[&str]) -> Vec<&str> {
        self.raw
            .iter()
            .filter(|(name, _)| !names.contains(&name.as_str()))
            .map(|(_, part)| part.as_str())
            .collect()
    }

    /// The options of a list.
    ///
    /// # Errors
    ///
    /// [`Refusal`] for an unknown `$` option, a filter on a property not among `filterable`, or a bad number.
    pub(super) fn options(&self, filterable: &[&str]) -> Result<Options, Refusal> {
        if let Some((option, value)) = self.pairs.iter().find(|(name, _)| unknown(name)) {
            return Err(Refusal::Option {
                option: option.clone(),
                value: value.clone(),
            });
        }
        Ok(Options {
            top: self.number("$top")?,
            skip: self.number("$skip")?.unwrap_or_default(),
            filter: self
                .get("$filter")
                .map(|filter| Filter::parse(filter, filterable))
                .transpose()?,
            order: self
                .get("$orderby")
                .map(order)
                .transpose()?
                .unwrap_or_default(),
            select: self.get("$select").map(names).unwrap_or_default(),
            count: self
                .get("$count")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        })
    }
}

/// The `OData` options of a list.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) top: Option<u64>,
    pub(super) skip: u64,
    pub(super) filter: Option<Filter>,
    /// Property and whether descending.
    pub(super) order: Vec<(String, bool)>,
    /// Empty for all properties.
    pub(super) select: Vec<String>,
    pub(super) count: bool,
}

impl Options {
    /// Those of `records` that the filter accepts, in the wanted order.
    ///
    /// # Errors
    ///
    /// [`Refusal::Filter`] when the filter compares unlike kinds.
    pub(super) fn matching<'a>(&self, records: &'a [Value]) -> Result<Vec<&'a Value>, Refusal> {
        let mut matching = Vec::new();
        for record in records {
            if self
                .filter
                .as_ref()
                .map_or(Ok(true), |filter| filter.accepts(record))?
            {
                matching.push(record);
            }
        }
        // By the last key first: the sort is stable.
        for (name, descending) in self.order.iter().rev() {
            matching.sort_by(|left, right| {
                let order =
                    filter::order(filter::property(left, name), filter::property(right, name));
                if *descending { order.reverse() } else { order }
            });
        }
        Ok(matching)
    }
}

/// Percent-decodes `text`; with `plus`, `+` is a space as in a form. What is no UTF-8 then becomes U+FFFD.
pub(super) fn decode(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                rest = after;
            }
            (b'+', _) if plus => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

fn unknown(name: &str) -> bool {
    name.starts_with('$') && !OPTIONS.contains(&name)
}

fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

/// `lastSeen desc,riskScore` to its keys.
fn order(list: &str) -> Result<Vec<(String, bool)>, Refusal> {
    let refusal = || Refusal::Option {
        option: "$orderby".to_owned(),
        value: list.to_owned(),
    };
    list.split(',')
        .map(|key| {
            let mut words = key.split_whitespace();
            let name = words.next().ok_or_else(refusal)?;
            match (words.next(), words.next()) {
                (None | Some("asc"), None) => Ok((name.to_owned(), false)),
                (Some("desc"), None) => Ok((name.to_owned(), true)),
                _ => Err(refusal()),
            }
        })
        .collect()
}

/// Every `$` option that is understood or harmless.
const OPTIONS: [&str; 9] = [
    "$top",
    "$skip",
    "$filter",
    "$orderby",
    "$select",
    "$expand",
    "$count",
    "$skiptoken",
    "$format",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse(Some("%24filter=a+eq%20'%C3%BC%2B'&$TOP=5&x&bad=%zz%4&&"));
        assert_eq!(query.get("$filter"), Some("a eq 'ü+'"));
        assert_eq!(query.number("$top").unwrap(), Some(5));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("bad"), Some("%zz%4"));
        assert_eq!(
            query.without(&["$top", "bad"]),
            ["%24filter=a+eq%20'%C3%BC%2B'", "x"]
        );
    }

    #[test]
    fn bad_options_are_named() {
        for (query, named) in [
            ("$top=x", "$top"),
            ("$skip=-1", "$skip"),
            ("$stop=1", "$stop"),
            ("$orderby=a+up", "$orderby"),
        ] {
            let fault = Query::parse(Some(query)).options(&[]).unwrap_err();
            assert!(
                matches!(&fault, Refusal::Option { option, .. } if option == named),
                "{query}: {fault}"
            );
        }
    }

    #[test]
    fn expanded_names_have_options_of_their_own() {
        let query = Query::parse(Some("$expand=alerts($select=id,title),%20Evidence"));
        assert!(query.expands("alerts") && query.expands("evidence") && !query.expands("title"));
        assert!(query.check_expand(&["alerts", "evidence"]).is_ok());
        assert!(query.check_expand(&["alerts"]).is_err());
        assert!(Query::parse(None).check_expand(&[]).is_ok());
    }

    #[test]
    fn orders_by_several_keys_and_times_as_times() {
        let records = [
            json!({"n": 1, "at": "2026-01-01T00:00:00Z"}),
            json!({"n": 2, "at": "2026-01-01T00:00:00.5Z"}),
            json!({"n": 3, "at": null}),
            json!({"n": 4, "at": "2026-01-01T00:00:00Z"}),
        ];
        let options = Query::parse(Some("$orderby=at desc,n desc"))
            .options(&[])
            .unwrap();
        let sorted: Vec<_> = options
            .matching(&records)
            .unwrap()
            .into_iter()
            .map(|record| record["n"].clone())
            .collect();
        assert_eq!(sorted, [2, 4, 1, 3]);
    }
}
