//! From a request that was let in to one that is stripped and addressed: all of `Routes::resolve`.

use defender_proxy::route::Routes;
use divan::{Bencher, counter::ItemsCount};

use crate::inputs::{TARGET, admitted, config, customer, partner, routes};

#[divan::bench(args = [1, 20, 200])]
fn among_routes(bencher: Bencher<'_, '_>, count: usize) {
    resolves(bencher, &routes(count), TARGET);
}

#[divan::bench(args = [1, 100, 10_000])]
fn among_customers(bencher: Bencher<'_, '_>, count: usize) {
    let routes = Routes::new(&config(&partner(count)));
    let target = format!("/t/{}{TARGET}", customer(count.div_ceil(2)));
    resolves(bencher, &routes, &target);
}

fn resolves(bencher: Bencher<'_, '_>, routes: &Routes, target: &str) {
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| admitted(target))
        .bench_local_values(|request| routes.resolve(request).unwrap());
}
