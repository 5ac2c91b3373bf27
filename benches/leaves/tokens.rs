//! Tokens that the cache holds. They were issued by the sandbox.

use std::{
    fs,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use defender_proxy::{
    auth::{AccessToken, TokenKey, Tokens, identity::Identity},
    config::Config,
    sandbox::{Options, Sandbox},
    serve,
    upstream::Transport,
};
use divan::{Bencher, counter::ItemsCount};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::inputs::{config, partner, tenant};

#[divan::bench(threads = [1, 2])]
fn one_key(bencher: Bencher<'_, '_>) {
    looks_up(bencher, &ONE);
}

#[divan::bench(threads = [1, 2])]
fn ten_thousand_keys(bencher: Bencher<'_, '_>) {
    looks_up(bencher, &MANY);
}

fn looks_up(bencher: Bencher<'_, '_>, cache: &Filled) {
    bencher
        .counter(ItemsCount::new(1u8))
        .with_inputs(|| &cache.keys[fastrand::usize(..cache.keys.len())])
        .bench_values(|key| cache.get(key));
}

/// A cache with a live token for each of its keys.
pub(crate) struct Filled {
    tokens: Tokens,
    identity: Arc<Identity>,
    keys: Vec<TokenKey>,
    _sandbox: Sandbox,
    _files: TempDir,
    _runtime: Runtime,
}

impl Filled {
    fn with(count: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let files = tempfile::tempdir().unwrap();
        let customers = u32::try_from(count).unwrap();
        let options = Options::default().more_customers(customers);
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        let config = in_front_of(&sandbox, &files, count);
        let identity = Arc::clone(&config.identities[0]);
        let transport = Transport::new(&config.upstream).unwrap();
        let tokens = runtime.block_on(async { serve::tokens(&config, &transport) });
        let (_, audience) = config.audiences(&identity).pop_first().unwrap();
        let key = |number| TokenKey {
            identity: Arc::clone(&identity.name),
            tenant: tenant(number).parse().unwrap(),
            audience: audience.clone(),
        };
        let keys: Vec<TokenKey> = (1..=count).map(key).collect();
        for key in &keys {
            runtime.block_on(tokens.get(&identity, key)).unwrap();
        }
        Self {
            tokens,
            identity,
            keys,
            _sandbox: sandbox,
            _files: files,
            _runtime: runtime,
        }
    }

    /// A token that is there is given at once.
    fn get(&self, key: &TokenKey) -> Arc<AccessToken> {
        let mut context = Context::from_waker(Waker::noop());
        match pin!(self.tokens.get(&self.identity, key)).poll(&mut context) {
            Poll::Ready(Ok(token)) => token,
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => panic!("the cache has lost a token"),
        }
    }

    /// Any of its tokens.
    pub(crate) fn token(&self) -> Arc<AccessToken> {
        self.get(&self.keys[0])
    }
}

fn in_front_of(sandbox: &Sandbox, files: &TempDir, customers: usize) -> Config {
    let (ca, secret) = (files.path().join("ca.pem"), files.path().join("secret"));
    fs::write(&ca, sandbox.ca_pem()).unwrap();
    fs::write(&secret, &sandbox.options().client_secret).unwrap();
    let partner =
        partner(customers).replace("env = 'SECRET'", &format!("file = '{}'", secret.display()));
    config(&format!(
        "[cloud]\nname = 'custom'\nlogin = '{}'\ndefender_xdr = '{defender}'\ndefender_endpoint = '{defender}'\n\
         graph = '{}'\n[upstream]\nca = '{}'\n{partner}",
        sandbox.login(),
        sandbox.graph(),
        ca.display(),
        defender = sandbox.defender(),
    ))
}

pub(crate) static ONE: LazyLock<Filled> = LazyLock::new(|| Filled::with(1));
static MANY: LazyLock<Filled> = LazyLock::new(|| Filled::with(10_000));
