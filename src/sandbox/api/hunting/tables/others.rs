//! Tables that are not about devices: alerts, identities, mail.

use serde_json::{Value, json};

use super::{Column, DEVICE_NAME, REPORT_ID, TIMESTAMP, user};
use crate::sandbox::api::names::{draw, guid, pick};
use crate::sandbox::api::texts;

/// `AlertInfo`.
pub(super) const ALERT: &[Column] = &[
    TIMESTAMP,
    Column {
        name: "AlertId",
        kind: "String",
        value: |index| format!("ed{}", guid(draw(index, "alert row"))).into(),
    },
    Column {
        name: "Title",
        kind: "String",
        value: |index| texts::theme(index).title.into(),
    },
    Column {
        name: "Category",
        kind: "String",
        value: |index| texts::theme(index).category.into(),
    },
    Column {
        name: "Severity",
        kind: "String",
        value: |index| pick(index, &["Low", "Medium", "High"]).into(),
    },
    Column {
        name: "ServiceSource",
        kind: "String",
        value: |_| "Microsoft Defender for Endpoint".into(),
    },
    Column {
        name: "DetectionSource",
        kind: "String",
        value: |_| "EDR".into(),
    },
    Column {
        name: "AttackTechniques",
        kind: "String",
        value: |index| json!([texts::theme(index).technique]).to_string().into(),
    },
];

/// `IdentityLogonEvents`.
pub(super) const LOGON: &[Column] = &[
    TIMESTAMP,
    Column {
        name: "ActionType",
        kind: "String",
        value: |index| pick(index, &["LogonSuccess", "LogonFailed"]).into(),
    },
    Column {
        name: "Application",
        kind: "String",
        value: |_| "Active Directory".into(),
    },
    Column {
        name: "LogonType",
        kind: "String",
        value: |_| "Credentials validation".into(),
    },
    Column {
        name: "Protocol",
        kind: "String",
        value: |index| pick(index, &["Kerberos", "Ntlm"]).into(),
    },
    Column {
        name: "FailureReason",
        kind: "String",
        value: |_| Value::Null,
    },
    Column {
        name: "AccountUpn",
        kind: "String",
        value: |index| format!("{}@contoso.example", user(index)).into(),
    },
    DEVICE_NAME,
    Column {
        name: "IPAddress",
        kind: "String",
        value: |index| format!("10.20.{}.{}", index % 2, 10 + index % 100).into(),
    },
    Column {
        name: "AdditionalFields",
        kind: "Dynamic",
        value: |index| json!({"Spns": ["host/pc"], "Count": index % 5}),
    },
    REPORT_ID,
];

/// `EmailEvents`.
pub(super) const EMAIL: &[Column] = &[
    TIMESTAMP,
    Column {
        name: "NetworkMessageId",
        kind: "String",
        value: |index| guid(draw(index, "mail")).into(),
    },
    Column {
        name: "SenderFromAddress",
        kind: "String",
        value: |index| format!("news{}@fabrikam.example", index % 30).into(),
    },
    Column {
        name: "RecipientEmailAddress",
        kind: "String",
        value: |index| format!("{}@contoso.example", user(index)).into(),
    },
    Column {
        name: "Subject",
        kind: "String",
        value: |index| {
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
        value: |index| pick(index, &["Delivered", "Junked", "Blocked"]).into(),
    },
    Column {
        name: "ThreatTypes",
        kind: "String",
        value: |index| {
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
        value: |index| (index % 4).into(),
    },
    REPORT_ID,
];
