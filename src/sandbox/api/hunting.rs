//! Advanced hunting: a few tables, the operators `take`, `limit` and `count`, and an echo of everything else.

mod tables;

use http::Method;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use self::tables::{Column, TABLES, Table};
use super::refusal::Refusal;
use super::request::{Request, required};
use super::stream::{Chunks, append};
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
pub(super) fn run(request: &Request<'_>, dialect: Dialect) -> Result<Answer, Refusal> {
    if *request.method != Method::POST {
        return Err(request.method_refused("POST"));
    }
    let body = request.body()?;
    let result = Outcome::of(query(&body, dialect)?);
    let bytes = result.size();
    if bytes > MAX_BYTES {
        return Err(Refusal::ResultSize { bytes });
    }
    let head = dialect.head(request, &result, bytes);
    let columns = result.columns;
    let text = result.query;
    let write = move |index, out: &mut Vec<u8>| match columns {
        Columns::Table(columns) => append(out, &Row { columns, index }),
        Columns::Count(count) => append(out, &json!({"Count": count})),
        Columns::Echo => append(out, &json!({"Query": text, "ReceivedAt": times::after(0)})),
    };
    Ok(reply::streamed(Chunks::new(
        head,
        0..result.rows,
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
                member("Stats", &stats(result.rows, bytes));
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
    query: String,
    columns: Columns,
    rows: u64,
}

#[derive(Clone, Copy)]
enum Columns {
    Table(&'static [Column]),
    /// The one cell of `| count`.
    Count(u64),
    /// The query itself, for text that isn't understood.
    Echo,
}

impl Outcome {
    fn of(query: &str) -> Self {
        let code = query
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        let table = TABLES
            .iter()
            .find(|table| starts_with_word(code.trim_start(), table.name));
        let mut result = match table {
            Some(Table { columns, rows, .. }) => Self {
                query: query.to_owned(),
                columns: Columns::Table(columns),
                rows: *rows,
            },
            None => Self {
                query: query.to_owned(),
                columns: Columns::Echo,
                rows: 1,
            },
        };
        if table.is_some() {
            pipeline(&code)
                .iter()
                .skip(1)
                .for_each(|operator| result.apply(operator));
        }
        if let (Columns::Table(_) | Columns::Echo, Some(rows)) =
            (result.columns, sandbox_rows(query))
        {
            result.rows = rows;
        }
        result
    }

    /// Applies one operator. Those that select or compute are taken as said and done.
    fn apply(&mut self, operator: &str) {
        let mut words = operator.split_whitespace();
        match (
            words.next(),
            words.next().and_then(|number| number.parse::<u64>().ok()),
        ) {
            // More rows than the table has are made up, so that large answers can be asked for.
            (Some("take" | "limit"), Some(rows)) => self.rows = rows.min(MAX_ROWS),
            (Some("count"), _) => {
                self.columns = Columns::Count(self.rows);
                self.rows = 1;
            }
            _ => {}
        }
    }

    fn schema(&self) -> Vec<(&'static str, &'static str)> {
        match self.columns {
            Columns::Table(columns) => columns
                .iter()
                .map(|column| (column.name, column.kind))
                .collect(),
            Columns::Count(_) => vec![("Count", "Int64")],
            Columns::Echo => vec![("Query", "String"), ("ReceivedAt", "DateTime")],
        }
    }

    /// About how many bytes the rows take, from the first few.
    fn size(&self) -> u64 {
        let sample = match self.columns {
            Columns::Table(columns) => {
                let mut bytes = Vec::new();
                (0..SAMPLE).for_each(|index| append(&mut bytes, &Row { columns, index }));
                bytes.len() as u64 / SAMPLE + 1
            }
            Columns::Count(_) => 16,
            Columns::Echo => self.query.len() as u64 + 60,
        };
        sample.saturating_mul(self.rows)
    }
}

/// One row, serialized straight from its columns.
struct Row {
    columns: &'static [Column],
    index: u64,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.columns.len()))?;
        for column in self.columns {
            map.serialize_entry(column.name, &(column.value)(self.index))?;
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

/// The operators of `code`, split at each `|` that isn't inside quotes.
fn pipeline(code: &str) -> Vec<&str> {
    let mut quote = None;
    code.split(|symbol| {
        match quote {
            Some(open) if open == symbol => quote = None,
            None if symbol == '"' || symbol == '\'' => quote = Some(symbol),
            _ => {}
        }
        symbol == '|' && quote.is_none()
    })
    .collect()
}

fn starts_with_word(code: &str, word: &str) -> bool {
    code.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

/// N of `sandbox_rows=N` anywhere in the query.
fn sandbox_rows(code: &str) -> Option<u64> {
    let (_, rest) = code.split_once("sandbox_rows=")?;
    let end = rest
        .find(|symbol: char| !symbol.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Rows the service returns at most.
const MAX_ROWS: u64 = 100_000;

/// Bytes the service returns at most.
const MAX_BYTES: u64 = 124 * 1024 * 1024;

/// Rows looked at to know the size of all.
const SAMPLE: u64 = 64;
