//! The figures, and their rows in the table.

use clap::ValueEnum;

use crate::lab::Upstream;

/// What is measured together, by one start of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    Small,
    Medium,
    Download,
    Upload,
    Latency,
    Connections,
    Memory,
    H2c,
    Http2Upstream,
    Http2,
    ColdStart,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) label: &'static str,
    pub(crate) decimals: usize,
}

impl Figure {
    pub(crate) const ALL: [Self; 11] = [
        Self::Small,
        Self::Medium,
        Self::Download,
        Self::Upload,
        Self::Latency,
        Self::Connections,
        Self::Memory,
        Self::H2c,
        Self::Http2Upstream,
        Self::Http2,
        Self::ColdStart,
    ];

    pub(crate) const fn rows(self) -> &'static [Row] {
        match self {
            Self::Small => const { &[row("1 KiB GET: CPU µs", 1), row("… requests/s", 0)] },
            Self::Medium => const { &[row("64 KiB GET: CPU µs", 1), row("… requests/s", 0)] },
            Self::Download => const { &[row("100 MiB down: CPU ms", 0)] },
            Self::Upload => const { &[row("100 MiB up: CPU ms", 0)] },
            Self::Latency => const { &[row("2,000 requests/s: p50 µs", 0), row("… p99 µs", 0)] },
            Self::Connections => {
                const {
                    &[
                        row("1 KiB GET, new connection each: CPU µs", 1),
                        row("… requests/s", 0),
                    ]
                }
            }
            Self::Memory => {
                const {
                    &[
                        row("RSS idle, MiB", 1),
                        row("… 2,000 idle clients", 1),
                        row("… 2,000 idle clients, peak", 1),
                        row("… 16 stalled readers", 1),
                        row("… 16 stalled readers, peak", 1),
                    ]
                }
            }
            Self::H2c => {
                const {
                    &[
                        row("1 KiB GET, h2c clients: CPU µs", 1),
                        row("… requests/s", 0),
                    ]
                }
            }
            Self::Http2Upstream => {
                const {
                    &[
                        row("1 KiB GET, HTTP/2 upstream: CPU µs", 1),
                        row("… requests/s", 0),
                    ]
                }
            }
            Self::Http2 => {
                const {
                    &[
                        row("1 KiB GET, HTTP/2 on both sides: CPU µs", 1),
                        row("… requests/s", 0),
                    ]
                }
            }
            Self::ColdStart => const { &[row("Start to first 200, ms", 0)] },
        }
    }

    /// What the origin speaks.
    pub(crate) fn upstream(self) -> Upstream {
        if matches!(self, Self::Http2Upstream | Self::Http2) {
            Upstream::Http2
        } else {
            Upstream::Http1
        }
    }

    /// What its ratios refer to: the first of these that was measured.
    pub(crate) const fn references(self) -> [&'static str; 2] {
        // nginx doesn't speak HTTP/2 to upstream.
        if matches!(self, Self::Http2) {
            ["envoy", "haproxy"]
        } else {
            ["nginx", "haproxy"]
        }
    }
}

const fn row(label: &'static str, decimals: usize) -> Row {
    Row { label, decimals }
}
