//! Vulnerability exports: as JSON of any size, made while it is sent, and as links to files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::names::{TENANT, draw, guid, pick};
use super::refusal::Refusal;
use super::request::Request;
use super::stream::{Chunks, append};
use super::{Answer, catalogue, machines, reply, times};

/// Answers `SoftwareVulnerabilitiesByMachine`.
///
/// The query parameter `sandboxRecords` says how many records the export has in all, 1,000 if absent. A record has about
/// 1 KB, and nothing of the page is held in memory.
///
/// # Errors
///
/// [`Refusal`] for a page over the cap, or a token that isn't one of ours.
pub(super) fn records(request: &Request<'_>) -> Result<Answer, Refusal> {
    let query = &request.query;
    let token = query.get("$skiptoken").map(Token::parse).transpose()?;
    let total = match &token {
        Some(token) => token.records,
        None => query.number("sandboxrecords")?.unwrap_or(1000),
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
    let start = token.map_or(0, |token| token.line).min(total);
    let end = start.saturating_add(top.unwrap_or(page_size)).min(total);
    let mut head = Vec::new();
    head.extend_from_slice(b"{\"@odata.context\":");
    append(
        &mut head,
        &request.context("Collection(microsoft.windowsDefenderATP.api.AssetVulnerability)"),
    );
    head.extend_from_slice(b",\"value\":[");
    let mut tail = b"]".to_vec();
    if end < total && top.is_none() {
        tail.extend_from_slice(b",\"@odata.nextLink\":");
        append(
            &mut tail,
            &next_link(request, page_size, &Token::new(end, total)),
        );
    }
    tail.push(b'}');
    Ok(reply::streamed(Chunks::new(
        head,
        start..end,
        tail,
        |index, out| append(out, &Record::new(index)),
    )))
}

/// Answers `SoftwareVulnerabilitiesExport`: links that carry their own right, on a host that wants no bearer token.
///
/// # Errors
///
/// [`Refusal`] for a validity of more than 6 hours.
pub(super) fn files(request: &Request<'_>) -> Result<Answer, Refusal> {
    let hours = request.query.number("sasvalidhours")?.unwrap_or(1);
    if !(1..=6).contains(&hours) {
        return Err(Refusal::OverCap {
            option: "sasValidHours",
            cap: 6,
            given: hours,
        });
    }
    let file = |part: u64| {
        format!(
            "https://tvmexportstrstgeus.blob.core.windows.net/tvm-export/2026-11-01/0001/VaExport/json/OrgId={TENANT}/\
             part-{part:05}-{}.c000.json.gz?sv=2020-08-04&st=2026-11-01T00%3A00%3A00Z&se=2026-11-01T{hours:02}%3A00%3A00Z\
             &sr=b&sp=r&sig=c2FuZGJveC1vbmx5JTNE%3D",
            guid(part),
        )
    };
    Ok(reply::ok(&json!({
        "@odata.context": request.context("microsoft.windowsDefenderATP.api.ExportFilesResponse"),
        "exportFiles": (0..3).map(file).collect::<Vec<_>>(),
        "generatedTime": times::after(60),
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
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Definition {
    #[serde(rename = "TimePath")]
    time_path: String,
}

impl Token {
    fn new(line: u64, records: u64) -> Self {
        let definition = Definition {
            time_path: "2026-11-01/0001/".to_owned(),
        };
        Self {
            definition,
            file: line / 200_000,
            line,
            records,
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

/// One vulnerability of one product on one machine.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    device_id: String,
    device_name: String,
    rbac_group_name: &'static str,
    rbac_group_id: u32,
    os_platform: &'static str,
    os_version: &'static str,
    os_architecture: &'static str,
    software_vendor: &'static str,
    software_name: &'static str,
    software_version: String,
    cve_id: String,
    vulnerability_severity_level: &'static str,
    cvss_score: f64,
    recommended_security_update: &'static str,
    recommended_security_update_id: String,
    recommended_security_update_url: String,
    disk_paths: [String; 1],
    registry_paths: [String; 1],
    first_seen_timestamp: &'static str,
    last_seen_timestamp: &'static str,
    exploitability_level: &'static str,
    recommendation_reference: String,
    security_update_available: bool,
    end_of_support_status: Option<&'static str>,
    end_of_support_date: Option<&'static str>,
    is_onboarded: bool,
    cve_mitigation_status: Option<&'static str>,
}

impl Record {
    fn new(index: u64) -> Self {
        let (machine, cve) = (
            index % machines::COUNT,
            index / machines::COUNT % catalogue::VULNERABILITIES,
        );
        let (device_id, cve_id) = (machines::id(machine), catalogue::cve(cve));
        let (vendor, name) = catalogue::product(cve);
        let version = format!("{}.{}.{}", 1 + index / 30_000, cve % 10, index % 1000);
        let update = 5_040_000 + cve;
        Self {
            id: format!("{device_id}_{vendor}_{name}_{version}_{cve_id}"),
            device_name: machines::name(machine),
            rbac_group_name: pick(
                index,
                &["Workstations", "Servers", "VIP", "Fabrikam Zürich"],
            ),
            rbac_group_id: pick(index, &[140, 141, 142, 143]),
            os_platform: pick(machine, &["Windows11", "Windows10", "WindowsServer2022"]),
            os_version: pick(
                machine,
                &["10.0.26100.4652", "10.0.19045.5487", "10.0.20348.3807"],
            ),
            os_architecture: "x64",
            software_vendor: vendor,
            software_name: name,
            vulnerability_severity_level: catalogue::severity(cve),
            cvss_score: f64::from(u32::try_from(30 + draw(cve, "cvss") % 70).unwrap_or_default())
                / 10.0,
            recommended_security_update: "October 2026 Security Updates",
            recommended_security_update_id: update.to_string(),
            recommended_security_update_url: format!(
                "https://catalog.update.contoso.example/Search.aspx?q=KB{update}"
            ),
            disk_paths: [format!(
                r"C:\Program Files (x86)\{vendor}\{name}\Application\{version}\Installer\setup.exe"
            )],
            registry_paths: [format!(
                r"HKEY_LOCAL_MACHINE\SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall\{name}"
            )],
            first_seen_timestamp: "2026-07-01 10:37:50",
            last_seen_timestamp: "2026-10-31 22:03:15",
            exploitability_level: pick(cve, &["NoExploit", "ExploitIsPublic", "ExploitIsVerified"]),
            recommendation_reference: format!("va-_-{vendor}-_-{name}"),
            security_update_available: true,
            end_of_support_status: None,
            end_of_support_date: None,
            is_onboarded: true,
            cve_mitigation_status: None,
            device_id,
            cve_id,
            software_version: version,
        }
    }
}

/// Records in a page at most.
const MAX_PAGE: u64 = 200_000;
