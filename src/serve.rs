//! From a configuration to a running proxy: the place where the parts are put together.

use std::{collections::HashSet, io, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use crate::{
    auth::{
        Tokens,
        entra::Entra,
        managed::Platform,
        secret::{SecretError, SecretSource},
        source::Source,
        user::SignIns,
    },
    cloud,
    config::Config,
    guard::{ClientKey, Guard},
    proxy::{Proxy, Shared},
    rewrite::Links,
    route::Routes,
    server::{
        self, Limits,
        connection::Acceptor,
        listener::{BindError, Listener},
        tls::{self, TlsError},
    },
    upstream::{Transport, tls::RootsError},
};

/// A proxy that listens, but doesn't serve yet.
#[derive(Debug)]
pub struct Bound {
    listener: Listener,
    acceptor: Acceptor,
    shared: Arc<Shared>,
    transport: Transport,
    url: String,
}

impl Bound {
    /// Puts the parts together and binds the address. Token fetches will run on the current runtime.
    ///
    /// # Errors
    /// When the address is taken, or a file or secret that the configuration names can't be read.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn new(config: &Config, limits: Limits) -> Result<Self, StartError> {
        let transport = Transport::new(&config.upstream)?;
        let tls = config.listen.tls.as_ref().map(tls::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(shared(config, &transport).await?);
        let listener = Listener::bind(&config.listen.address).await?;
        let url = match listener.tcp_address() {
            Some(address) => format!("{scheme}://{address}"),
            None => listener.local(),
        };
        Ok(Self {
            listener,
            acceptor: Acceptor::new(tls, limits),
            shared,
            transport,
            url,
        })
    }

    /// Where clients reach it, such as `http://127.0.0.1:8080`, with the real port.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `shutdown` completes and what is in flight has ended, or its grace time has passed.
    ///
    /// # Errors
    /// When a worker can't be started.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let proxies = || Proxy::new(Arc::clone(&self.shared), self.transport.client());
        server::run(self.listener, self.acceptor, proxies, shutdown).await
    }
}

async fn shared(config: &Config, transport: &Transport) -> Result<Shared, StartError> {
    let client_key = match &config.listen.client_key {
        Some(source) => Some(client_key(source).await?),
        None => None,
    };
    let listen = &config.listen;
    let guard = Guard::new(
        listen.allowed_hosts.clone(),
        listen.allowed_origins.clone(),
        client_key,
        listen.tls.is_some(),
    )
    .with_customers(customers(config));
    let routes = Routes::new(config);
    let links = Links::new(
        routes
            .authorities()
            .chain(cloud::known_hosts().map(str::to_owned)),
    );
    Ok(Shared {
        guard,
        stand_in_login: listen.stand_in_login,
        links: Arc::new(links),
        routes,
        tokens: tokens(config, transport),
    })
}

/// Whatever may stand before `.localhost`.
fn customers(config: &Config) -> HashSet<String> {
    config
        .partners()
        .flat_map(|partner| partner.customers.spellings())
        .map(str::to_owned)
        .collect()
}

/// Reads the key, and goes on reading it when it stands in a file, which may be rotated.
async fn client_key(source: &SecretSource) -> Result<ClientKey, StartError> {
    let key = ClientKey::new(source.read().await.map_err(StartError::ClientKey)?);
    if let SecretSource::File(_) = source {
        tokio::spawn(follow(source.clone(), key.clone()));
    }
    Ok(key)
}

async fn follow(source: SecretSource, key: ClientKey) {
    let mut ticks = tokio::time::interval(REREAD);
    loop {
        ticks.tick().await;
        match source.read().await {
            Ok(secret) => key.replace(secret),
            // Half-way through a rotation; the old key stays.
            Err(error) => tracing::warn!(%error, "listen.client_key can't be read again"),
        }
    }
}

/// The token cache of a configuration. Its fetches run on the current runtime, with a connection pool of their own.
///
/// # Panics
/// Outside a tokio runtime.
#[must_use]
pub fn tokens(config: &Config, transport: &Transport) -> Tokens {
    let entra = Entra::new(config.cloud.login().clone(), transport.client());
    Tokens::new(
        Source::new(entra, Platform::detect(), SignIns::default()),
        Handle::current(),
    )
}

/// How soon a rotated client key takes effect.
const REREAD: Duration = Duration::from_secs(10);

/// Why the proxy can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// No trusted roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The listener's certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The client key.
    #[error("listen.client_key can't be read")]
    ClientKey(#[source] SecretError),
}
