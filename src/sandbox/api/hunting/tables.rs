//! The tables that can be hunted in: their columns, and the value of each for a row.

mod others;

use serde_json::{Value, json};

use self::others::{ALERT, EMAIL, LOGON};
use crate::sandbox::api::facts::Facts;
use crate::sandbox::api::names::{USERS, draw, hex, pick};
use crate::sandbox::api::{alerts, machines, texts};

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Rows of a query that limits nothing.
    pub(super) rows: u64,
    pub(super) columns: &'static [Column],
}

/// Name, type, and the value in a row.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) value: fn(&Facts, u64) -> Value,
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
        rows: alerts::COUNT,
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
    value: |facts, index| {
        facts
            .clock
            .ago(
                i64::try_from(index % 2_592_000).unwrap_or_default(),
                draw(index, "row") | 7,
            )
            .into()
    },
};
const DEVICE_ID: Column = Column {
    name: "DeviceId",
    kind: "String",
    value: |facts, index| facts.device(index).id.as_str().into(),
};
const DEVICE_NAME: Column = Column {
    name: "DeviceName",
    kind: "String",
    value: |facts, index| facts.device(index).name.as_str().into(),
};
const REPORT_ID: Column = Column {
    name: "ReportId",
    kind: "Int64",
    value: |_, index| (index + 1).into(),
};

const DEVICE_INFO: &[Column] = &[
    TIMESTAMP,
    DEVICE_ID,
    DEVICE_NAME,
    Column {
        name: "ClientVersion",
        kind: "String",
        value: |_, _| "10.8760.26100.4652".into(),
    },
    Column {
        name: "PublicIP",
        kind: "String",
        value: |facts, index| facts.device(index).public_address.as_str().into(),
    },
    Column {
        name: "OSPlatform",
        kind: "String",
        value: |facts, index| facts.device(index).platform.into(),
    },
    Column {
        name: "OSBuild",
        kind: "Int64",
        value: |facts, index| facts.device(index).build.into(),
    },
    Column {
        name: "IsAzureADJoined",
        kind: "SByte",
        value: |facts, index| u8::from(facts.device(index).joined).into(),
    },
    Column {
        name: "LoggedOnUsers",
        kind: "String",
        value: |_, index| {
            json!([{"UserName": user(index), "DomainName": "CONTOSO"}])
                .to_string()
                .into()
        },
    },
    Column {
        name: "MachineGroup",
        kind: "String",
        value: |facts, index| facts.device(index).group.into(),
    },
    REPORT_ID,
    Column {
        name: "OnboardingStatus",
        kind: "String",
        value: |facts, index| {
            let device = facts.device(index);
            let status = if device.onboarded {
                "Onboarded"
            } else {
                "Can be onboarded"
            };
            status.into()
        },
    },
];

const PROCESS: &[Column] = &[
    TIMESTAMP,
    DEVICE_ID,
    DEVICE_NAME,
    Column {
        name: "ActionType",
        kind: "String",
        value: |_, _| "ProcessCreated".into(),
    },
    Column {
        name: "FileName",
        kind: "String",
        value: |_, index| pick(draw(index, "file"), &["cmd.exe", "powershell.exe", "bash"]).into(),
    },
    Column {
        name: "FolderPath",
        kind: "String",
        value: |_, _| r"C:\Windows\System32\".into(),
    },
    Column {
        name: "SHA1",
        kind: "String",
        value: |_, index| hex(draw(index % 97, "row file"), 40).into(),
    },
    Column {
        name: "ProcessId",
        kind: "Int64",
        value: |_, index| (1000 + draw(index, "pid") % 60_000).into(),
    },
    Column {
        name: "ProcessCommandLine",
        kind: "String",
        value: |_, index| texts::command_line(index).into(),
    },
    Column {
        name: "AccountName",
        kind: "String",
        value: |_, index| user(index).into(),
    },
    Column {
        name: "InitiatingProcessFileName",
        kind: "String",
        value: |_, _| "explorer.exe".into(),
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
        value: |_, index| pick(index, &["ConnectionSuccess", "ConnectionFailed"]).into(),
    },
    Column {
        name: "RemoteIP",
        kind: "String",
        value: |_, index| format!("198.51.100.{}", 1 + index % 250).into(),
    },
    Column {
        name: "RemotePort",
        kind: "Int64",
        value: |_, index| pick(index, &[443, 443, 80, 53, 8443]).into(),
    },
    Column {
        name: "RemoteUrl",
        kind: "String",
        value: remote_url,
    },
    Column {
        name: "LocalIP",
        kind: "String",
        value: |facts, index| facts.device(index).address.as_str().into(),
    },
    Column {
        name: "LocalPort",
        kind: "Int64",
        value: |_, index| (49_152 + draw(index, "port") % 16_000).into(),
    },
    Column {
        name: "Protocol",
        kind: "String",
        value: |_, _| "Tcp".into(),
    },
    REPORT_ID,
];

fn user(index: u64) -> &'static str {
    pick(draw(index, "row user"), &USERS)
}

fn remote_url(_: &Facts, index: u64) -> Value {
    match index % 50 {
        // Data, though a link rewriter may think otherwise.
        9 => "https://api.security.microsoft.com/api/incidents?$skip=100".into(),
        19 => r#"{"@odata.nextLink":"https://api-eu.security.microsoft.com/api/alerts?$skip=10"}"#
            .into(),
        _ => format!("host{}.fabrikam.example", index % 40).into(),
    }
}
