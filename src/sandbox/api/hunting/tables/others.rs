//! Tables that are not about devices: alerts, identities, mail.

use serde_json::{Value, json};

use super::{Column, DEVICE_NAME, REPORT_ID, TIMESTAMP, user};
use crate::sandbox::api::names::{draw, guid, pick};
use crate::sandbox::api::{alerts, texts};

/// `AlertInfo`.
pub(super) const ALERT: &[Column] = &[
    Column {
        name: "Timestamp",
        kind: "DateTime",
        value: |facts, index| alerts::created(index, facts).into(),
    },
    Column {
        name: "AlertId",
        kind: "String",
        value: |_, index| alerts::id(index).into(),
    },
    Column {
        name: "Title",
        kind: "String",
        value: |_, index| texts::theme(index).title.into(),
    },
    Column {
        name: "Category",
        kind: "String",
        value: |_, index| texts::theme(index).category.into(),
    },
    Column {
        name: "Severity",
        kind: "String",
        value: |_, index| alerts::severity(index).into(),
    },
    Column {
        name: "ServiceSource",
        kind: "String",
        value: |_, _| "Microsoft Defender for Endpoint".into(),
    },
    Column {
        name: "DetectionSource",
        kind: "String",
        value: |_, _| "EDR".into(),
    },
    Column {
        name: "AttackTechniques",
        kind: "String",
        value: |_, index| json!([texts::theme(index).technique]).to_string().into(),
    },
];

/// `IdentityLogonEvents`.
pub(super) const LOGON: &[Column] = &[
    TIMESTAMP,
    Column {
        name: "ActionType",
        kind: "String",
        value: |_, index| pick(index, &["LogonSuccess", "LogonFailed"]).into(),
    },
    Column {
        name: "Application",
        kind: "String",
        value: |_, _| "Active Directory".into(),
    },
    Column {
        name: "LogonType",
        kind: "String",
        value: |_, _| "Credentials validation".into(),
    },
    Column {
        name: "Protocol",
        kind: "String",
        value: |_, index| pick(index, &["Kerberos", "Ntlm"]).into(),
    },
    Column {
        name: "FailureReason",
        kind: "String",
        value: |_, _| Value::Null,
    },
    Column {
        name: "AccountUpn",
        kind: "String",
        value: |_, index| format!("{}@contoso.example", user(index)).into(),
    },
    DEVICE_NAME,
    Column {
        name: "IPAddress",
        kind: "String",
        value: |facts, index| facts.device(index).address.as_str().into(),
    },
    Column {
        name: "AdditionalFields",
        kind: "Dynamic",
        value: |_, index| json!({"Spns": ["host/pc"], "Count": index % 5}),
    },
    REPORT_ID,
];

/// `EmailEvents`.
pub(super) const EMAIL: &[Column] = &[
    TIMESTAMP,
    Column {
        name: "NetworkMessageId",
        kind: "String",
        value: |_, index| guid(draw(index, "mail")).into(),
    },
    Column {
        name: "SenderFromAddress",
        kind: "String",
        value: |_, index| format!("news{}@fabrikam.example", index % 30).into(),
    },
    Column {
        name: "RecipientEmailAddress",
        kind: "String",
        value: |_, index| format!("{}@contoso.example", user(index)).into(),
    },
    Column {
        name: "Subject",
        kind: "String",
        value: |_, index| {
            pick(
                index,
                &[
                    "Invoice 42/7",
                    "Überweisung \"dringend\"",
                    "会議の件",
                    "Re: Q3",
                ],
            )
            .into()
        },
    },
    Column {
        name: "DeliveryAction",
        kind: "String",
        value: |_, index| pick(index, &["Delivered", "Junked", "Blocked"]).into(),
    },
    Column {
        name: "ThreatTypes",
        kind: "String",
        value: |_, index| {
            if index.is_multiple_of(5) {
                "Phish".into()
            } else {
                Value::Null
            }
        },
    },
    Column {
        name: "UrlCount",
        kind: "Int64",
        value: |_, index| (index % 4).into(),
    },
    REPORT_ID,
];
