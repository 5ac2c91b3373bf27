//! The screen in front of hyper, through `Framing`, which is all of it but the socket.

use std::fmt::Write;

use defender_proxy::server::screen::Framing;
use divan::{Bencher, counter::BytesCount};

use crate::inputs::{SENDERS, Sender};

#[divan::bench(args = SENDERS)]
fn one_head(bencher: Bencher<'_, '_>, sender: Sender) {
    passes(bencher, &sender.head());
}

#[divan::bench]
fn sixteen_pipelined(bencher: Bencher<'_, '_>) {
    passes(bencher, &Sender::Curl.head().repeat(16));
}

/// A body of 64 KiB, in chunks of this size.
#[divan::bench(args = [64, 4096, 16_384])]
fn chunked(bencher: Bencher<'_, '_>, size: usize) {
    let mut text =
        "POST /api/indicators HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_owned();
    let data = "x".repeat(size);
    for _ in 0..BODY / size {
        let _ = write!(text, "{size:x}\r\n{data}\r\n");
    }
    text.push_str("0\r\n\r\n");
    passes(bencher, &text);
}

fn passes(bencher: Bencher<'_, '_>, text: &str) {
    bencher
        .counter(BytesCount::of_str(text))
        .with_inputs(Framing::new)
        .bench_local_refs(|framing| {
            let (passed, fault) = framing.pass(divan::black_box(text.as_bytes()));
            assert!(passed == text.len() && fault.is_none());
        });
}

const BODY: usize = 64 * 1024;
