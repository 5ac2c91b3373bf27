//! Devices: what every list, table and export says of one.

use super::names::{draw, hex, pick};

/// One device. What a list shows beside this belongs to that list alone.
#[derive(Debug)]
pub(super) struct Device {
    /// 40 hexadecimal digits.
    pub(super) id: String,
    /// Its DNS name.
    pub(super) name: String,
    pub(super) platform: &'static str,
    /// The release, as in `24H2`.
    pub(super) version: &'static str,
    pub(super) build: Option<u32>,
    pub(super) processor: &'static str,
    pub(super) group_id: u32,
    pub(super) group: &'static str,
    /// Whether Entra ID knows it.
    pub(super) joined: bool,
    pub(super) onboarded: bool,
    pub(super) address: String,
    pub(super) public_address: String,
}

impl Device {
    /// Device `index`, always the same.
    pub(super) fn of(index: u64) -> Self {
        let (platform, version, build) = pick(draw(index, "os"), &PLATFORMS);
        let (group_id, group) = pick(draw(index, "group"), &GROUPS);
        Self {
            id: hex(draw(index, "machine"), 40),
            name: name(index, platform),
            platform,
            version,
            build,
            processor: pick(draw(index, "processor"), &["x64", "x64", "x64", "arm64"]),
            group_id,
            group,
            joined: draw(index, "joined").is_multiple_of(3),
            onboarded: !draw(index, "onboarded").is_multiple_of(4),
            address: format!("10.20.{}.{}", index / 100, 10 + index % 100),
            public_address: format!("203.0.113.{}", 1 + index % 250),
        }
    }

    /// The operating system's version as exports write it, such as `10.0.26100.4652`.
    pub(super) fn os_version(&self) -> String {
        self.build.map_or_else(
            || self.version.to_owned(),
            |build| format!("10.0.{build}.4652"),
        )
    }
}

fn name(index: u64, platform: &str) -> String {
    let prefix = match platform {
        "macOS" => "mac",
        "Linux" => "lnx",
        _ if platform.starts_with("WindowsServer") => "srv",
        _ => "pc",
    };
    let domain = pick(
        draw(index, "domain"),
        &["contoso.example", "contoso.example", "fabrikam.example"],
    );
    format!("{prefix}{}.{domain}", index + 1)
}

/// Platform, version and build number.
const PLATFORMS: [(&str, &str, Option<u32>); 8] = [
    ("Windows11", "23H2", Some(22631)),
    ("Windows11", "24H2", Some(26100)),
    ("Windows11", "24H2", Some(26100)),
    ("Windows10", "22H2", Some(19045)),
    ("WindowsServer2022", "21H2", Some(20348)),
    ("WindowsServer2019", "1809", Some(17763)),
    ("Linux", "22.4", None),
    ("macOS", "15.1", None),
];

const GROUPS: [(u32, &str); 4] = [
    (140, "Workstations"),
    (141, "Servers"),
    (142, "VIP"),
    (143, "Fabrikam Zürich"),
];
