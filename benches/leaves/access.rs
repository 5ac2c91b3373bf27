//! One line of the access log, from its record to a writer that keeps nothing. What the system takes to write it isn't in it.

use std::io;

use defender_proxy::{
    access::{Record, Source},
    server::breaker::Breaker,
    telemetry::REQUESTS,
};
use divan::{Bencher, counter::ItemsCount};
use http::StatusCode;
use http_body_util::Full;
use tracing::subscriber::{NoSubscriber, with_default};
use tracing_subscriber::{EnvFilter, fmt};

use crate::inputs::Sender;

#[divan::bench]
fn text(bencher: Bencher<'_, '_>) {
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(REQUESTS))
        .with_writer(io::sink)
        .with_ansi(false)
        .with_target(false)
        .finish();
    with_default(subscriber, || lines(bencher));
}

#[divan::bench]
fn json(bencher: Bencher<'_, '_>) {
    let subscriber = fmt()
        .with_env_filter(EnvFilter::new(REQUESTS))
        .with_writer(io::sink)
        .json()
        .flatten_event(true)
        .finish();
    with_default(subscriber, || lines(bencher));
}

/// The record alone, as with `--quiet`.
#[divan::bench]
fn off(bencher: Bencher<'_, '_>) {
    with_default(NoSubscriber::new(), || lines(bencher));
}

fn lines(bencher: Bencher<'_, '_>) {
    let (request, breaker) = (Sender::Curl.request(), Breaker::default());
    bencher.counter(ItemsCount::new(1u8)).bench_local(|| {
        let mut record = Record::start(&request, &breaker);
        record.note_token(std::time::Duration::from_mins(1));
        let body = Full::<bytes::Bytes>::default();
        drop(record.body(StatusCode::OK, Source::Upstream, body));
    });
}
