//! What there may be many of.

use std::fmt;

use clap::ValueEnum;

/// A number that grows while everything else stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Curve {
    /// Of a partner; requests go to one after the other.
    Customers,
    /// Requests go to one after the other.
    Routes,
    /// Of clients, each with a request under way at any time.
    Connections,
    /// Of clients, beside those that ask.
    Idle,
}

impl Curve {
    pub(crate) const ALL: [Self; 4] =
        [Self::Customers, Self::Routes, Self::Connections, Self::Idle];

    /// What the first is like, the others are compared with.
    pub(crate) const fn counts(self) -> &'static [u32] {
        match self {
            Self::Customers => &[1, 10, 100, 1000, MOST_CUSTOMERS],
            Self::Routes => &[1, 10, 50, 200],
            Self::Connections => &[1, 10, 100, 1000, 5000],
            Self::Idle => &[0, 100, 1000, 5000],
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Customers => "customers",
            Self::Routes => "routes",
            Self::Connections => "connections",
            Self::Idle => "idle connections",
        })
    }
}

pub(super) const MOST_CUSTOMERS: u32 = 10_000;
