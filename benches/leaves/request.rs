//! The steps of one GET of 1 KiB between its head and its answer, one by one and together, without sockets.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use defender_proxy::{
    body::Outgoing,
    guard::Guard,
    headers,
    rewrite::{self, Encodings, Rewrite, Scope},
    route::{Outbound, Routes},
};
use divan::{Bencher, counter::ItemsCount};
use http::{HeaderMap, Method, Request, Response};
use http_body::Body;
use http_body_util::Full;

use crate::{
    headers::answer_fields,
    inputs::{Sender, TARGET, admitted, guard, routes},
    rewrite::{LINKS, list},
    tokens::ONE,
};

#[divan::bench]
fn negotiate(bencher: Bencher<'_, '_>) {
    let fields = Sender::Curl.request().headers().clone();
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| fields.clone())
        .bench_local_refs(|fields| rewrite::negotiate(fields, Scope::Fields));
}

/// The gate of the rate limits, and giving the leave back.
#[divan::bench]
fn gate(bencher: Bencher<'_, '_>) {
    let routes = routes(1);
    let (outbound, ()) = routes.resolve(admitted(TARGET)).unwrap();
    bencher
        .counter(ItemsCount::new(1u8))
        .bench_local(|| drop(now(outbound.admit(1))));
}

#[divan::bench]
fn authorize(bencher: Bencher<'_, '_>) {
    let routes = routes(1);
    let (outbound, ()) = routes.resolve(admitted(TARGET)).unwrap();
    let token = ONE.token();
    bencher
        .counter(ItemsCount::new(1u8))
        .bench_local(|| outbound.authorize(&token, Outgoing::Empty));
}

/// The answer's head and its body of 1 KiB, in one chunk.
#[divan::bench]
fn answer(bencher: Bencher<'_, '_>) {
    let answer = upstream_answer();
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| answer.clone())
        .bench_local_values(|answer| {
            finish(
                answer,
                "http://localhost:8080",
                Encodings::of(&HeaderMap::new()),
            );
        });
}

#[divan::bench]
fn all(bencher: Bencher<'_, '_>) {
    let (guard, routes, answer) = (guard(), routes(1), upstream_answer());
    let request = Sender::Curl.request();
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| (request.clone(), answer.clone()))
        .bench_local_values(|(request, answer)| serve(&guard, &routes, request, answer));
}

fn serve(guard: &Guard, routes: &Routes, request: Request<()>, answer: Response<Full<Bytes>>) {
    let (mut outbound, ()) = routes.resolve(guard.admit(request).unwrap()).unwrap();
    let client = rewrite::negotiate(outbound.headers_mut(), Scope::Fields);
    let admission = now(outbound.admit(1));
    divan::black_box(outbound.authorize(&ONE.token(), Outgoing::Empty));
    finish(answer, Outbound::local(&outbound), client);
    drop(admission);
}

fn finish(mut answer: Response<Full<Bytes>>, local: &str, client: Encodings) {
    headers::strip_response(answer.headers_mut());
    let rewrite = Rewrite {
        links: &LINKS,
        local,
        scope: Scope::Fields,
        client,
    };
    let rewritten = async { Ok::<_, ()>(rewrite.response(&Method::GET, answer).await) };
    let mut body = now(rewritten).into_body();
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        divan::black_box(frame.unwrap());
    }
}

/// What doesn't have to wait is there at once.
fn now<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result.unwrap(),
        Poll::Pending => panic!("it waits"),
    }
}

fn upstream_answer() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(list(1024, true)));
    *answer.headers_mut() = answer_fields(4);
    answer
}
