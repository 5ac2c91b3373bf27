//! What doesn't change and all records agree on: the present, the devices, and which device has which vulnerability.

use super::catalogue::{PER_MACHINE, VULNERABILITIES, cve, exposed_to};
use super::devices::Device;
use super::machines;
use super::times::Clock;
use crate::sandbox::Now;

/// The facts, made once and shared by every answer.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) clock: Clock,
    devices: Vec<Device>,
    /// The CVE number of each vulnerability.
    cves: Vec<String>,
    /// For each vulnerability the devices that have it.
    exposed: Vec<Vec<u64>>,
}

impl Facts {
    /// The facts as they are at `now`.
    pub(super) fn new(now: Now) -> Self {
        let mut exposed: Vec<Vec<u64>> = (0..VULNERABILITIES).map(|_| Vec::new()).collect();
        for device in 0..machines::COUNT {
            for ordinal in 0..PER_MACHINE {
                exposed[place(exposed_to(device, ordinal))].push(device);
            }
        }
        let clock = Clock::new(now);
        Self {
            clock,
            cves: (0..VULNERABILITIES)
                .map(|index| cve(index, clock))
                .collect(),
            devices: (0..machines::COUNT).map(Device::of).collect(),
            exposed,
        }
    }

    /// Device `index`; beyond the last they start over.
    pub(super) fn device(&self, index: u64) -> &Device {
        &self.devices[place(index % machines::COUNT)]
    }

    /// The CVE number of vulnerability `index`.
    pub(super) fn cve(&self, index: u64) -> &str {
        &self.cves[place(index)]
    }

    /// The index of the device `id`.
    pub(super) fn device_index(&self, id: &str) -> Option<u64> {
        (0..)
            .zip(&self.devices)
            .find(|(_, device)| device.id == id)
            .map(|(index, _)| index)
    }

    /// The devices that have any of `vulnerabilities`, each once, in order.
    pub(super) fn exposed(&self, vulnerabilities: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut devices: Vec<u64> = vulnerabilities
            .flat_map(|index| self.exposed[place(index)].iter().copied())
            .collect();
        devices.sort_unstable();
        devices.dedup();
        devices
    }
}

fn place(index: u64) -> usize {
    usize::try_from(index).unwrap_or_default()
}
