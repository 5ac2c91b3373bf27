//! How hyper speaks with clients, and the bounds of it.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::TokioTimer;

use super::unread::Watching;
use crate::config::Limits;

/// Both versions of HTTP.
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Watching>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            http1: http1(),
            http2: http2(limits),
        }
    }
}

/// Its timers are the connection's own: the screen lets only whole heads pass.
fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // `pipeline_flush` stays off: it would let a response to a client that has stopped reading pile up in memory.
    builder
        .max_buf_size(MAX_BUFFER)
        // Names are case-insensitive, but not to every script that cuts them out of the text.
        .title_case_headers(true);
    builder
}

fn http2(limits: &Limits) -> http2::Builder<Watching> {
    let mut builder = http2::Builder::new(Watching {
        limit: limits.stall,
    });
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.idle)
        .keep_alive_timeout(PONG_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(MAX_FRAME)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_STREAMS)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(MAX_RESETS_AHEAD)
        .max_local_error_reset_streams(MAX_STREAM_ERRORS);
    builder
}

/// The most that HTTP/1 buffers of one connection, in bytes; it also bounds a request's head.
const MAX_BUFFER: usize = 64 * 1024;
/// How long a client of HTTP/2 has to answer a ping.
const PONG_TIMEOUT: Duration = Duration::from_secs(20);
/// The most that the fields of one HTTP/2 request may take, in bytes; as in HTTP/1.
const MAX_HEADERS: u32 = 64 * 1024;
/// The largest frame, in bytes: the least that may be announced (RFC 9113 §4.2).
const MAX_FRAME: u32 = 16 * 1024;
/// The most requests at a time on one HTTP/2 connection: the least that is recommended (RFC 9113 §6.5.2).
const MAX_STREAMS: u32 = 100;
/// What one HTTP/2 upload may have on its way, in bytes. With 64 KiB a client that leaves Nagle's algorithm on, as many do, waits for
/// a delayed acknowledgement (40 ms) in each window.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The uploads of one connection hold this much, in bytes, however they stall. It is room for 32 that upstream doesn't take at all
/// before the others on the connection have to wait; and no more, because `h2` bounds the cost of tiny frames by a part of it.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;
/// What one HTTP/2 response may have written ahead of the socket, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How many requests a client may take back before they were looked at (rapid reset, CVE-2023-44487).
const MAX_RESETS_AHEAD: usize = 20;
/// How many of its streams a client may make the proxy reset by errors (CVE-2025-8671), in the life of a connection.
const MAX_STREAM_ERRORS: usize = 64;
