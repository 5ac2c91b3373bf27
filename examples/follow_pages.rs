//! A client that reads a list page by page. It knows no tenant and no token: the proxy attaches one, and leads
//! `@odata.nextLink` back to itself.
//!
//! ```sh
//! cargo run --release -- sandbox
//! cargo run --example follow_pages -- http://localhost:8080/api/incidents
//! ```

#![expect(
    clippy::print_stdout,
    reason = "the pages are what this program is for"
)]

use std::env;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let first = env::args().nth(1);
    let first = first.context("which list? For example http://localhost:8080/api/incidents")?;
    let client = Client::builder(TokioExecutor::new()).build_http();

    let mut next: Option<Uri> = Some(first.parse()?);
    let mut total = 0;
    while let Some(link) = next.take() {
        let page = get(&client, link.clone()).await?;
        let items = page["value"].as_array().map_or(0, Vec::len);
        total += items;
        println!("{items:5} items from {link}");
        // The link is followed as it is: what comes after its `?` is upstream's own business.
        next = match page["@odata.nextLink"].as_str() {
            Some(link) => Some(link.parse()?),
            None => None,
        };
    }
    println!("{total:5} in all");
    Ok(())
}

async fn get(client: &Client<HttpConnector, Empty<Bytes>>, link: Uri) -> Result<Value> {
    let response = client.get(link).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    // Whether upstream or the proxy refused, the body says why.
    ensure!(
        status.is_success(),
        "{status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(serde_json::from_slice(&body)?)
}
