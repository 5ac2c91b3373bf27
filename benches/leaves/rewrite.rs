//! Links in the body of a list, and gzip around it.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fmt::Write as _,
    io::Write as _,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use defender_proxy::rewrite::{Fields, Gunzip, Linked, Links, Scope};
use divan::{Bencher, counter::BytesCount};
use flate2::{Compression, write::GzEncoder};
use http_body::{Body, Frame};

#[divan::bench(args = SIZES, consts = CHUNKS)]
fn with_links<const CHUNK: usize>(bencher: Bencher<'_, '_>, size: usize) {
    rewrites(bencher, &list(size, true), CHUNK);
}

#[divan::bench(args = SIZES, consts = CHUNKS)]
fn without_links<const CHUNK: usize>(bencher: Bencher<'_, '_>, size: usize) {
    rewrites(bencher, &list(size, false), CHUNK);
}

/// Bytes a second are those that come out.
#[divan::bench(args = SIZES)]
fn gunzip(bencher: Bencher<'_, '_>, size: usize) {
    let list = list(size, true);
    let packed = gzip(&list);
    bencher
        .counter(BytesCount::new(list.len()))
        .with_inputs(|| Gunzip::new(Chunks::of(&packed, FROM_SOCKET)))
        .bench_local_values(|body| assert!(drain(body) > 0));
}

#[divan::bench(args = SIZES)]
fn gunzip_with_links(bencher: Bencher<'_, '_>, size: usize) {
    let list = list(size, true);
    let packed = gzip(&list);
    bencher
        .counter(BytesCount::new(list.len()))
        .with_inputs(|| Linked::new(Gunzip::new(Chunks::of(&packed, FROM_SOCKET)), fields()))
        .bench_local_values(|body| assert!(drain(body) > 0));
}

fn rewrites(bencher: Bencher<'_, '_>, list: &Bytes, chunk: usize) {
    bencher
        .counter(BytesCount::new(list.len()))
        .with_inputs(|| Linked::new(Chunks::of(list, chunk), fields()))
        .bench_local_values(|body| assert!(drain(body) > 0));
}

fn fields() -> Fields {
    Fields::new(Arc::clone(&LINKS), "http://localhost:8080", Scope::Fields)
}

/// Reads a body to its end, as hyper does; how many bytes there were.
fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let mut length = 0;
    loop {
        match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => length += frame.data_ref().map_or(0, Bytes::len),
            Poll::Ready(Some(Err(_))) => panic!("the body is broken"),
            Poll::Ready(None) => return length,
            // It gives way now and then.
            Poll::Pending => {}
        }
    }
}

/// A body that has come in chunks.
struct Chunks(VecDeque<Bytes>);

impl Chunks {
    fn of(body: &Bytes, size: usize) -> Self {
        let starts = (0..body.len()).step_by(size);
        Self(
            starts
                .map(|at| body.slice(at..body.len().min(at + size)))
                .collect(),
        )
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}

/// A page of incidents of about `size` bytes: `linked` has a context in each record and leads to the next page. Either has other
/// links among its data, which stay.
pub(crate) fn list(size: usize, linked: bool) -> Bytes {
    let context = "\"@odata.context\":\"https://api.security.microsoft.com/api/$metadata#Incidents/$entity\",";
    let context = if linked { context } else { "" };
    let mut text = format!("{{{context}\"value\":[");
    for number in 0.. {
        let _ = write!(
            text,
            "{{{context}\"incidentId\":{number},\"incidentUri\":\"https://security.microsoft.com/incidents/{number}?tid=1\",\
             \"incidentName\":\"Suspicious \\\"PowerShell\\\" activity on one endpoint\",\"severity\":\"High\",\
             \"status\":\"Active\",\"assignedTo\":null,\"tags\":[\"a\",\"b\"],\
             \"createdTime\":\"2026-11-01T00:00:00.1234567Z\"}}"
        );
        if text.len() >= size.saturating_sub(256) {
            break;
        }
        text.push(',');
    }
    text.push(']');
    if linked {
        text.push_str(
            ",\"@odata.nextLink\":\"https://api.security.microsoft.com/api/incidents?$skip=50\"",
        );
    }
    text.push('}');
    text.into()
}

fn gzip(body: &Bytes) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap().into()
}

const KIB: usize = 1024;
const SIZES: [usize; 3] = [KIB, 64 * KIB, 8 * KIB * KIB];
const CHUNKS: [usize; 5] = [64, 512, 4 * KIB, 16 * KIB, 64 * KIB];
/// What hyper mostly hands on of a busy TLS connection: a record.
const FROM_SOCKET: usize = 16 * KIB;

pub(crate) static LINKS: LazyLock<Arc<Links>> = LazyLock::new(|| {
    let hosts = defender_proxy::cloud::known_hosts().map(str::to_owned);
    Arc::new(Links::new(hosts))
});
