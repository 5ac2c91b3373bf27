//! The tables that can be hunted in: their columns, and the value of each for a row.

mod others;

use serde_json::{Value, json};

use self::others::{ALERT, EMAIL, LOGON};
use crate::sandbox::api::names::{USERS, draw, hex, pick};
use crate::sandbox::api::{machines, texts, times};

/// A table.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Rows of a query that limits nothing.
    pub(super) rows: u64,
    pub(super) columns: &'static [Column],
}

/// Name, type, and the value in row `index`.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) value: fn(u64) -> Value,
}

/// Every known table.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "DeviceInfo",
        rows: machines::COUNT,
        columns: DEVICE_INFO,
    },
    Table {
        name: "DeviceProcessEvents",
        rows: 5000,
        columns: PROCESS,
    },
    Table {
        name: "DeviceNetworkEvents",
        rows: 5000,
        columns: NETWORK,
    },
    Table {
        name: "AlertInfo",
        rows: 1000,
        columns: ALERT,
    },
    Table {
        name: "IdentityLogonEvents",
        rows: 2000,
        columns: LOGON,
    },
    Table {
        name: "EmailEvents",
        rows: 2000,
        columns: EMAIL,
    },
];

const TIMESTAMP: Column = Column {
    name: "Timestamp",
    kind: "DateTime",
    value: |index| {
        times::ago(
            i64::try_from(index % 2_592_000).unwrap_or_default(),
            draw(index, "row") | 7,
        )
        .into()
    },
};
const DEVICE_ID: Column = Column {
    name: "DeviceId",
    kind: "String",
    value: |index| machines::id(index % machines::COUNT).into(),
};
const DEVICE_NAME: Column = Column {
    name: "DeviceName",
    kind: "String",
    value: |index| machines::name(index % machines::COUNT).into(),
};
const REPORT_ID: Column = Column {
    name: "ReportId",
    kind: "Int64",
    value: |index| (index + 1).into(),
};

const DEVICE_INFO: &[Column] = &[
    TIMESTAMP,
    DEVICE_ID,
    DEVICE_NAME,
    Column {
        name: "ClientVersion",
        kind: "String",
        value: |_| "10.8760.26100.4652".into(),
    },
    Column {
        name: "PublicIP",
        kind: "String",
        value: |index| format!("203.0.113.{}", 1 + index % 250).into(),
    },
    Column {
        name: "OSPlatform",
        kind: "String",
        value: |index| machines::record(index % machines::COUNT)["osPlatform"].clone(),
    },
    Column {
        name: "OSBuild",
        kind: "Int64",
        value: |index| machines::record(index % machines::COUNT)["osBuild"].clone(),
    },
    Column {
        name: "IsAzureADJoined",
        kind: "SByte",
        value: |index| (index % 2).into(),
    },
    Column {
        name: "LoggedOnUsers",
        kind: "String",
        value: |index| {
            json!([{"UserName": user(index), "DomainName": "CONTOSO"}])
                .to_string()
                .into()
        },
    },
    Column {
        name: "MachineGroup",
        kind: "String",
        value: |index| pick(index, &["Workstations", "Servers", "VIP"]).into(),
    },
    REPORT_ID,
    Column {
        name: "OnboardingStatus",
        kind: "String",
        value: |_| "Onboarded".into(),
    },
];

const PROCESS: &[Column] = &[
    TIMESTAMP,
    DEVICE_ID,
    DEVICE_NAME,
    Column {
        name: "ActionType",
        kind: "String",
        value: |_| "ProcessCreated".into(),
    },
    Column {
        name: "FileName",
        kind: "String",
        value: |index| pick(draw(index, "file"), &["cmd.exe", "powershell.exe", "bash"]).into(),
    },
    Column {
        name: "FolderPath",
        kind: "String",
        value: |_| r"C:\Windows\System32\".into(),
    },
    Column {
        name: "SHA1",
        kind: "String",
        value: |index| hex(draw(index % 97, "row file"), 40).into(),
    },
    Column {
        name: "ProcessId",
        kind: "Int64",
        value: |index| (1000 + draw(index, "pid") % 60_000).into(),
    },
    Column {
        name: "ProcessCommandLine",
        kind: "String",
        value: |index| texts::command_line(index).into(),
    },
    Column {
        name: "AccountName",
        kind: "String",
        value: |index| user(index).into(),
    },
    Column {
        name: "InitiatingProcessFileName",
        kind: "String",
        value: |_| "explorer.exe".into(),
    },
    REPORT_ID,
];

const NETWORK: &[Column] = &[
    TIMESTAMP,
    DEVICE_ID,
    DEVICE_NAME,
    Column {
        name: "ActionType",
        kind: "String",
        value: |index| pick(index, &["ConnectionSuccess", "ConnectionFailed"]).into(),
    },
    Column {
        name: "RemoteIP",
        kind: "String",
        value: |index| format!("198.51.100.{}", 1 + index % 250).into(),
    },
    Column {
        name: "RemotePort",
        kind: "Int64",
        value: |index| pick(index, &[443, 443, 80, 53, 8443]).into(),
    },
    Column {
        name: "RemoteUrl",
        kind: "String",
        value: remote_url,
    },
    Column {
        name: "LocalIP",
        kind: "String",
        value: |index| format!("10.20.{}.{}", index % 2, 10 + index % 100).into(),
    },
    Column {
        name: "LocalPort",
        kind: "Int64",
        value: |index| (49_152 + draw(index, "port") % 16_000).into(),
    },
    Column {
        name: "Protocol",
        kind: "String",
        value: |_| "Tcp".into(),
    },
    REPORT_ID,
];

fn user(index: u64) -> &'static str {
    pick(draw(index, "row user"), &USERS)
}

fn remote_url(index: u64) -> Value {
    match index % 50 {
        // Data, though a link rewriter may think otherwise.
        9 => "https://api.security.microsoft.com/api/incidents?$skip=100".into(),
        19 => r#"{"@odata.nextLink":"https://api-eu.security.microsoft.com/api/alerts?$skip=10"}"#
            .into(),
        _ => format!("host{}.fabrikam.example", index % 40).into(),
    }
}
