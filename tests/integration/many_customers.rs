//! A thousand customers at once: one token request for each, and no token under another's tenant.

use std::{collections::HashMap, fmt::Write as _, time::Instant};

use bytes::Bytes;
use defender_proxy::sandbox::Options;
use http::Request;
use http_body_util::Full;
use serde_json::Value;

use crate::{
    customers::{partner, tenant},
    load::{self, Http2},
    support::{Proxy, Upstreams, field},
};

const CUSTOMERS: usize = 1_000;
/// In as many rounds as the stand-ins' record of requests needs to hold each.
const ROUNDS: usize = 4;
const EACH: usize = 5;
const CONNECTIONS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_customers_get_a_token_each_and_never_anothers() {
    let tenants: Vec<String> = (0..CUSTOMERS)
        .map(|number| format!("5a9db0c5-0000-4000-9000-{number:012}"))
        .collect();
    let upstreams = Upstreams::start_with(Options {
        customers: tenants.clone(),
        ..Options::default()
    })
    .await;
    let mut customers = String::new();
    for (number, tenant) in tenants.iter().enumerate() {
        write!(customers, "c{number} = \"{tenant}\", ").unwrap();
    }
    let config = partner(&upstreams, customers.trim_end_matches(", "));
    let proxy = Proxy::start_with(&upstreams, &config, &["-q"]);
    let connections = Http2::connect_many(&proxy, CONNECTIONS).await;

    let began = Instant::now();
    let mut checked = 0;
    for round in 0..ROUNDS {
        let mut order: Vec<usize> = (0..CUSTOMERS * EACH).collect();
        fastrand::shuffle(&mut order);
        // As many at a time as a connection takes streams.
        for batch in order.chunks(100 * CONNECTIONS) {
            let pending = batch.iter().enumerate().map(|(at, turn)| {
                let request = request(turn % CUSTOMERS, round * EACH + turn / CUSTOMERS);
                connections[at % CONNECTIONS].send(request)
            });
            load::all_ok(pending.collect()).await;
        }
        checked += check(&upstreams.api_requests().await, &tenants, round);
    }
    load::note("20,000 requests for 1,000 customers", began);
    assert_eq!(checked, CUSTOMERS * EACH * ROUNDS);
    assert_eq!(upstreams.api_calls().await, 20_000);
    assert_eq!(upstreams.token_requests().await, 1_000);
    eprintln!("memory of the proxy: {} MiB", proxy.memory() / 1024);
}

/// A request for a customer, named in each way by turns, and marked.
fn request(customer: usize, turn: usize) -> Request<Full<Bytes>> {
    let (small, name) = (load::SMALL, format!("c{customer}"));
    let request = match turn % 3 {
        0 => Request::get(format!("http://localhost/t/{name}{small}")),
        1 => Request::get(format!("http://{name}.localhost{small}")),
        _ => Request::get(format!("http://localhost{small}")).header("x-defender-tenant", name),
    };
    let request = request.header("mark", format!("{customer} {turn}"));
    request.body(Full::default()).unwrap()
}

/// Compares the tenant of each token with the customer of the mark; tells how many requests of a round there were.
fn check(requests: &[Value], tenants: &[String], round: usize) -> usize {
    let mut seen = HashMap::<(usize, usize), usize>::new();
    for request in requests {
        let mark = field(request, "mark").expect("a mark");
        let (customer, turn) = mark.split_once(' ').unwrap();
        let (customer, turn): (usize, usize) = (customer.parse().unwrap(), turn.parse().unwrap());
        assert_eq!(tenant(request), tenants[customer], "{request}");
        if turn / EACH == round {
            *seen.entry((customer, turn)).or_default() += 1;
        }
    }
    assert!(
        seen.values().all(|count| *count == 1),
        "one request came twice"
    );
    seen.len()
}
