//! Advanced hunting: a few tables and operators, and an echo of every query that says more.

mod condition;
mod query;
mod tables;

use std::sync::Arc;

use http::Method;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use self::query::{Query, Step};
use self::tables::Column;
use super::facts::Facts;
use super::refusal::Refusal;
use super::request::{Request, required};
use super::stream::{Chunks, append};
use super::world::Store;
use super::{Answer, reply, times};

/// How the three hunting calls differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `/api/advancedqueries/run` of Defender for Endpoint: `Schema`, `Results`.
    Endpoint,
    /// `/api/advancedhunting/run` of Defender XDR: also `Stats`.
    Xdr,
    /// `/security/runHuntingQuery` of Graph: everything in small letters.
    Graph,
}

/// Answers a hunting call.
///
/// # Errors
///
/// [`Refusal`] for a body without a query, or a result of more than 124 MB.
pub(super) fn run(
    store: &Store,
    request: &Request<'_>,
    dialect: Dialect,
) -> Result<Answer, Refusal> {
    if *request.method != Method::POST {
        return Err(request.method_refused("POST"));
    }
    let body = request.body()?;
    let facts = Arc::clone(&store.read().facts);
    let result = Outcome::of(query(&body, dialect)?, &facts);
    let bytes = result.size(&facts);
    if bytes > MAX_BYTES {
        return Err(Refusal::ResultSize { bytes });
    }
    let head = dialect.head(request, &result, bytes);
    let Outcome { columns, rows } = result;
    let received = times::text(facts.clock.moment());
    let count = rows.count();
    let write = move |place, out: &mut Vec<u8>| match &columns {
        Columns::Table(columns) => {
            let (facts, index) = (&facts, rows.at(place));
            append(
                out,
                &Row {
                    columns,
                    facts,
                    index,
                },
            );
        }
        Columns::Count(count) => append(out, &json!({"Count": count})),
        Columns::Echo(query) => append(out, &json!({"Query": query, "ReceivedAt": received})),
    };
    Ok(reply::streamed(Chunks::new(
        head,
        0..count,
        b"]}".to_vec(),
        write,
    )))
}

/// The query of `body`. Names are case-sensitive, but Graph's own clients write the name small.
fn query(body: &Map<String, Value>, dialect: Dialect) -> Result<&str, Refusal> {
    match dialect {
        Dialect::Graph if !body.contains_key("Query") => required(body, "query"),
        Dialect::Graph | Dialect::Endpoint | Dialect::Xdr => required(body, "Query"),
    }
}

impl Dialect {
    /// Everything up to the bracket that opens the rows.
    fn head(self, request: &Request<'_>, result: &Outcome, bytes: u64) -> Vec<u8> {
        let (name, kind) = if self == Self::Graph {
            ("name", "type")
        } else {
            ("Name", "Type")
        };
        let schema: Vec<Value> = result
            .schema()
            .into_iter()
            .map(|(column, of)| json!({name: column, kind: of}))
            .collect();
        let mut head = b"{".to_vec();
        let mut member = |name: &str, value: &Value| {
            append(&mut head, &name);
            head.push(b':');
            append(&mut head, value);
            head.push(b',');
        };
        match self {
            Self::Endpoint => member("Schema", &schema.into()),
            Self::Xdr => {
                member("Stats", &stats(result.rows.count(), bytes));
                member("Schema", &schema.into());
            }
            Self::Graph => {
                member(
                    "@odata.context",
                    &request
                        .context("microsoft.graph.security.huntingQueryResults")
                        .into(),
                );
                member("schema", &schema.into());
            }
        }
        let results: &[u8] = if self == Self::Graph {
            b"\"results\":["
        } else {
            b"\"Results\":["
        };
        head.extend_from_slice(results);
        head
    }
}

/// What a query yields.
struct Outcome {
    columns: Columns,
    rows: Rows,
}

enum Columns {
    Table(Vec<&'static Column>),
    /// The one cell of `| count`.
    Count(u64),
    /// The query itself, for text that isn't understood.
    Echo(String),
}

enum Rows {
    /// These rows of the table.
    Of(Vec<u64>),
    /// So many, made up: large answers can be asked for.
    MadeUp(u64),
}

impl Outcome {
    fn of(source: &str, facts: &Facts) -> Self {
        let made_up = sandbox_rows(source);
        let Some(query) = Query::parse(source) else {
            return Self {
                columns: Columns::Echo(source.to_owned()),
                rows: Rows::MadeUp(made_up.unwrap_or(1)),
            };
        };
        let mut result = Self {
            columns: Columns::Table(query.table.columns.iter().collect()),
            rows: Rows::Of((0..query.table.rows).collect()),
        };
        for step in query.steps {
            result.apply(step, facts);
        }
        if let (Columns::Table(_), Some(rows)) = (&result.columns, made_up) {
            result.rows = Rows::MadeUp(rows);
        }
        result
    }

    fn apply(&mut self, step: Step, facts: &Facts) {
        let Rows::Of(rows) = &mut self.rows else {
            return;
        };
        match step {
            Step::Where(conditions) => {
                rows.retain(|row| {
                    conditions
                        .iter()
                        .all(|condition| condition.holds(*row, facts))
                });
            }
            Step::Project(columns) => self.columns = Columns::Table(columns),
            Step::Take(most) => rows.truncate(usize::try_from(most).unwrap_or(usize::MAX)),
            Step::Count => {
                self.columns = Columns::Count(rows.len() as u64);
                *rows = vec![0];
            }
        }
    }

    fn schema(&self) -> Vec<(&'static str, &'static str)> {
        match &self.columns {
            Columns::Table(columns) => columns
                .iter()
                .map(|column| (column.name, column.kind))
                .collect(),
            Columns::Count(_) => vec![("Count", "Int64")],
            Columns::Echo(_) => vec![("Query", "String"), ("ReceivedAt", "DateTime")],
        }
    }

    /// About how many bytes the rows take, from the first few.
    fn size(&self, facts: &Facts) -> u64 {
        let sample = match &self.columns {
            Columns::Table(columns) => {
                let mut bytes = Vec::new();
                (0..SAMPLE).for_each(|index| {
                    append(
                        &mut bytes,
                        &Row {
                            columns,
                            facts,
                            index,
                        },
                    );
                });
                bytes.len() as u64 / SAMPLE + 1
            }
            Columns::Count(_) => 16,
            Columns::Echo(query) => query.len() as u64 + 60,
        };
        sample.saturating_mul(self.rows.count())
    }
}

impl Rows {
    fn count(&self) -> u64 {
        match self {
            Self::Of(rows) => rows.len() as u64,
            Self::MadeUp(rows) => *rows,
        }
    }

    /// The row of the table that is at `place` of the answer.
    fn at(&self, place: u64) -> u64 {
        match self {
            Self::Of(rows) => usize::try_from(place)
                .ok()
                .and_then(|place| rows.get(place).copied())
                .unwrap_or_default(),
            Self::MadeUp(_) => place,
        }
    }
}

/// One row, serialized straight from its columns.
struct Row<'a> {
    columns: &'a [&'static Column],
    facts: &'a Facts,
    index: u64,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            map.serialize_entry(column.name, &(column.value)(self.facts, self.index))?;
        }
        map.end()
    }
}

fn stats(rows: u64, bytes: u64) -> Value {
    json!({
        "ExecutionTime": 0.062_499_9,
        "resource_usage": {
            "cache": {"memory": {"hits": 773_461, "misses": 4481, "total": 777_942}, "disk": {"hits": 994, "misses": 197, "total": 1191}},
            "cpu": {"user": "00:00:04.4843750", "kernel": "00:00:00.0156250", "total cpu": "00:00:04.5000000"},
            "memory": {"peak_per_node": 812_236_736},
        },
        "dataset_statistics": [{"table_row_count": rows, "table_size": bytes}],
    })
}

/// N of `sandbox_rows=N` anywhere in the query.
fn sandbox_rows(code: &str) -> Option<u64> {
    let (_, rest) = code.split_once("sandbox_rows=")?;
    let end = rest
        .find(|symbol: char| !symbol.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Bytes the service returns at most.
const MAX_BYTES: u64 = 124 * 1024 * 1024;

/// Rows looked at to know the size of all.
const SAMPLE: u64 = 64;
