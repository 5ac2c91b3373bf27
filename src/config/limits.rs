//! `[limits]`: bounds that keep clients from taking the proxy down, and the time that things may take.

use std::time::Duration;

use crate::config::value::Value;

/// Bounds that keep a hostile or broken client from taking the proxy down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections of clients at a time; further ones wait in the kernel's queue. 8,192 unless set.
    pub connections: usize,
    /// Requests to upstream at a time, until their answers have been read; further ones wait. 1,024 unless set.
    pub requests: usize,
    /// From the connection to its first request; 30 s unless set.
    pub first_request: Duration,
    /// Between two requests on an HTTP/1 connection, and for a request's head; 75 s unless set.
    pub idle: Duration,
    /// For which a client may leave a body where it is, be it one that it sends or one that it reads; 5 min unless set.
    pub stall: Duration,
    /// From the shutdown signal until requests in flight are cut off; 25 s unless set.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            requests: 1_024,
            first_request: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            stall: Duration::from_mins(5),
            grace: Duration::from_secs(25),
        }
    }
}

impl Limits {
    /// Reads `[limits]`; the default without it.
    pub(super) fn read(value: Option<&Value<'_>>) -> Self {
        let default = Self::default();
        let Some(mut table) = value.and_then(Value::table) else {
            return default;
        };
        let connections = table.take("connections");
        let requests = table.take("requests");
        let [first_request, idle, stall, grace] =
            ["first_request", "idle", "stall", "grace"].map(|key| table.take(key));
        table.finish();
        let count = |value: Option<Value<'_>>| value.and_then(|value| value.count(MOST));
        let time = |value: Option<Value<'_>>| value.and_then(|value| value.duration());
        Self {
            connections: count(connections).unwrap_or(default.connections),
            requests: count(requests).unwrap_or(default.requests),
            first_request: time(first_request).unwrap_or(default.first_request),
            idle: time(idle).unwrap_or(default.idle),
            stall: time(stall).unwrap_or(default.stall),
            grace: time(grace).unwrap_or(default.grace),
        }
    }

    /// The same, lowered until a process that may have `files` open can serve it: every client takes one, and every request may take
    /// another for its connection to upstream.
    #[must_use]
    pub fn within(self, files: usize) -> Self {
        let left = files.saturating_sub(RESERVED_FILES).max(2);
        let requests = self.requests.min(left / 2);
        Self {
            connections: self.connections.min(left - requests),
            requests,
            ..self
        }
    }
}

/// More than any machine serves.
const MOST: u32 = 1_000_000;
/// Files for the listener, the workers' runtimes, token requests, credential files and the log.
const RESERVED_FILES: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_process_are_enough() {
        for (files, connections, requests) in [
            (1_048_576, 8_192, 1_024),
            (9_344, 8_192, 1_024),
            (4_096, 2_944, 1_024),
            (1_024, 448, 448),
            (256, 64, 64),
            (64, 1, 1),
            (0, 1, 1),
        ] {
            let limits = Limits::default().within(files);
            assert_eq!(
                (limits.connections, limits.requests),
                (connections, requests),
                "{files}"
            );
        }
    }
}
