//! The proxy inside another program, with a configuration of its own and an end that the program decides: here, Ctrl-C.
//!
//! ```sh
//! export DEFENDER_CLIENT_SECRET=…
//! cargo run --example embed
//! curl -s localhost:8081/api/incidents
//! ```
//!
//! With a file as its argument, that is the configuration: `cargo run --example embed -- proxy.toml`.

#![expect(clippy::print_stdout, reason = "it says where it listens")]

use std::{env, fs};

use anyhow::{Context, Result};
use defender_proxy::{
    config::{Config, Source},
    serve::Bound,
    server::Limits,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let environment = |name: &str| env::var(name).ok();
    let (text, source) = match env::args().nth(1) {
        Some(path) => (fs::read_to_string(&path).context("no such file")?, path),
        None => (CONFIG.to_owned(), "embed.toml".to_owned()),
    };
    // An error has a line for every fault.
    let config = Config::parse(&text, Source::File(source.into()), &environment)?;

    let proxy = Bound::new(&config, Limits::default()).await?;
    println!("listening on {}", proxy.url());
    proxy
        .run(async {
            if let Err(error) = tokio::signal::ctrl_c().await {
                println!("can't wait for Ctrl-C: {error}");
            }
        })
        .await?;
    println!("stopped");
    Ok(())
}

const CONFIG: &str = r#"
[listen]
address = "127.0.0.1:8081"

[identity.soc]
kind = "application"
tenant = "contoso.example"
client_id = "11111111-1111-1111-1111-111111111111"
credential = { secret = { env = "DEFENDER_CLIENT_SECRET" } }

[[route]]
prefix = "/"
api = "defender"
read_only = true
"#;
