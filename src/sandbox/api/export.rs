//! Exports of what machines have and how they are set: as JSON of any size, made while it is sent, and as links to files.

mod records;

use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use self::records::{Change, Exposure, configuration};
use super::facts::Facts;
use super::names::{TENANT, guid};
use super::refusal::Refusal;
use super::request::Request;
use super::stream::{Chunks, append};
use super::times::Clock;
use super::{Answer, reply, times};

/// What an export holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `SoftwareVulnerabilitiesByMachine`.
    Vulnerabilities,
    /// `SoftwareVulnerabilityChangesByMachine`, which wants `sinceTime`.
    Changes,
    /// `SecureConfigurationsAssessmentByMachine`.
    Configurations,
}

/// Answers an export as JSON.
///
/// The query parameter `sandboxRecords` says how many records the export has in all, 1,000 if absent. A record has about
/// 1 KB, and nothing of the page is held in memory.
///
/// # Errors
///
/// [`Refusal`] for a page over the cap, a time that isn't of the last 14 days, or a token that isn't one of ours.
pub(super) fn records(
    request: &Request<'_>,
    facts: &Arc<Facts>,
    kind: Kind,
) -> Result<Answer, Refusal> {
    let since = kind.since(request, facts.clock)?;
    let part = Part::parse(request, since)?;
    let mut head = b"{\"@odata.context\":".to_vec();
    append(&mut head, &request.context(kind.context()));
    head.extend_from_slice(b",\"value\":[");
    let mut tail = b"]".to_vec();
    if let Some(page_size) = part.follows {
        tail.extend_from_slice(b",\"@odata.nextLink\":");
        let token = Token::new(part.rows.end, &part, facts.clock);
        append(&mut tail, &next_link(request, page_size, &token));
    }
    tail.push(b'}');
    let (facts, since) = (Arc::clone(facts), part.since);
    let write = move |index, out: &mut Vec<u8>| match kind {
        Kind::Vulnerabilities => append(out, &Exposure::new(index, &facts)),
        Kind::Changes => append(out, &Change::new(index, &facts, since)),
        Kind::Configurations => append(out, &configuration(index, &facts)),
    };
    Ok(reply::streamed(Chunks::new(head, part.rows, tail, write)))
}

impl Kind {
    fn context(self) -> &'static str {
        match self {
            Self::Vulnerabilities => {
                "Collection(microsoft.windowsDefenderATP.api.AssetVulnerability)"
            }
            Self::Changes => "Collection(microsoft.windowsDefenderATP.api.DeltaAssetVulnerability)",
            Self::Configurations => {
                "Collection(microsoft.windowsDefenderATP.api.AssetConfiguration)"
            }
        }
    }

    /// Seconds from `sinceTime` to the present. A link to the next page has it in its token.
    fn since(self, request: &Request<'_>, clock: Clock) -> Result<i64, Refusal> {
        if !matches!(self, Self::Changes) || request.query.get("$skiptoken").is_some() {
            return Ok(0);
        }
        let given = request
            .query
            .get("sincetime")
            .ok_or(Refusal::Missing("sinceTime"))?;
        let seconds = times::parse(given).map(|since| (clock.moment() - since) / times::TICKS);
        seconds
            .filter(|seconds| (0..=MAX_SINCE).contains(seconds))
            .ok_or_else(|| {
                Refusal::Input(format!(
                    "sinceTime '{given}' is not a time of the last 14 days"
                ))
            })
    }
}

/// The part of an export that one page holds.
struct Part {
    rows: Range<u64>,
    /// Records in the whole export.
    total: u64,
    since: i64,
    /// The size of the page that follows, if any.
    follows: Option<u64>,
}

impl Part {
    fn parse(request: &Request<'_>, since: i64) -> Result<Self, Refusal> {
        let query = &request.query;
        let token = query.get("$skiptoken").map(Token::parse).transpose()?;
        let (start, total, since) = match token {
            Some(token) => (token.line, token.records, token.since),
            None => (0, query.number("sandboxrecords")?.unwrap_or(1000), since),
        };
        let page_size = query
            .number("pagesize")?
            .or_else(|| request.page_size.map(|size| size as u64))
            .unwrap_or(50_000);
        if page_size == 0 || page_size > MAX_PAGE {
            return Err(Refusal::OverCap {
                option: "pageSize",
                cap: MAX_PAGE,
                given: page_size,
            });
        }
        let top = query.number("$top")?;
        let start = start.min(total);
        let end = start.saturating_add(top.unwrap_or(page_size)).min(total);
        Ok(Self {
            rows: start..end,
            total,
            since,
            follows: (end < total && top.is_none()).then_some(page_size),
        })
    }
}

/// Answers an export as files: links that carry their own right, on a host that wants no bearer token. `folder` is where
/// they lie, `max_hours` how long they may be good.
///
/// # Errors
///
/// [`Refusal`] for a longer validity.
pub(super) fn files(
    request: &Request<'_>,
    facts: &Facts,
    (folder, max_hours): (&str, u64),
) -> Result<Answer, Refusal> {
    let hours = request.query.number("sasvalidhours")?.unwrap_or(1);
    if !(1..=max_hours).contains(&hours) {
        return Err(Refusal::OverCap {
            option: "sasValidHours",
            cap: max_hours,
            given: hours,
        });
    }
    let clock = facts.clock;
    let [start, end] = [0, i64::try_from(hours).unwrap_or_default() * 3600]
        .map(|seconds| clock.after(seconds).replace(':', "%3A"));
    let date = &start[..10];
    let file = |part: u64| {
        format!(
            "https://tvmexportstrstgeus.blob.core.windows.net/tvm-export/{date}/0001/{folder}/json/OrgId={TENANT}/\
             part-{part:05}-{}.c000.json.gz?sv=2020-08-04&st={start}&se={end}&sr=b&sp=r&sig=c2FuZGJveC1vbmx5JTNE%3D",
            guid(part),
        )
    };
    Ok(reply::ok(&json!({
        "@odata.context": request.context("microsoft.windowsDefenderATP.api.ExportFilesResponse"),
        "exportFiles": (0..3).map(file).collect::<Vec<_>>(),
        "generatedTime": clock.after(0),
    })))
}

/// The link to the rest. The service writes `pagesize` small, whatever the client wrote.
fn next_link(request: &Request<'_>, page_size: u64, token: &Token) -> String {
    let mut json = Vec::new();
    append(&mut json, token);
    // Only the padding is encoded: `+` and `/` stay as they are, so a reader must not take `+` for a space.
    let token = STANDARD.encode(json).replace('=', "%3D");
    format!(
        "{}{}?pagesize={page_size}&$skiptoken={token}",
        request.call.link_origin, request.call.path
    )
}

/// Where the next page starts, opaque to clients.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Token {
    #[serde(rename = "ExportDefinition")]
    definition: Definition,
    #[serde(rename = "ExportFileIndex")]
    file: u64,
    #[serde(rename = "LineStoppedAt")]
    line: u64,
    #[serde(rename = "SandboxRecords")]
    records: u64,
    /// Seconds before the present.
    #[serde(rename = "SandboxSince")]
    since: i64,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Definition {
    #[serde(rename = "TimePath")]
    time_path: String,
}

impl Token {
    fn new(line: u64, part: &Part, clock: Clock) -> Self {
        let definition = Definition {
            time_path: format!("{}/0001/", &clock.after(0)[..10]),
        };
        Self {
            definition,
            file: line / 200_000,
            line,
            records: part.total,
            since: part.since,
        }
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let bytes = STANDARD.decode(text.replace(' ', "+")).ok();
        let token = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        token.ok_or_else(|| Refusal::Option {
            option: "$skiptoken".to_owned(),
            value: text.to_owned(),
        })
    }
}

/// Records in a page at most.
const MAX_PAGE: u64 = 200_000;

/// Seconds that changes are kept: 14 days.
const MAX_SINCE: i64 = 14 * 86_400;
