//! From a configuration to a running proxy: the place where the parts are put together.

use std::{
    collections::HashSet,
    io,
    path::{self, Path},
    sync::Arc,
    time::Duration,
};

use tokio::runtime::Handle;

use crate::{
    auth::{
        Tokens,
        claims::Capability,
        entra::Entra,
        identity::{Audience, Identity, Kind},
        managed::{Endpoint, Platform},
        secret::{SecretError, SecretSource},
        source::Source,
        user::{Enlisted, SignIns},
    },
    cloud::{self, Family},
    config::{self, Config},
    guard::{ClientKey, Guard},
    places::Places,
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
        let source = source(config, &transport);
        let shared = Arc::new(shared(config, source.clone(), &limits).await?);
        let listener = Listener::bind(&config.listen.address).await?;
        source.prompt();
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
        // Who waits for a rate limit is answered at once then; the grace time is for what upstream is working on.
        let shutdown = async {
            shutdown.await;
            self.shared.routes.stop_waiting();
        };
        server::run(self.listener, self.acceptor, proxies, shutdown).await
    }
}

async fn shared(config: &Config, source: Source, limits: &Limits) -> Result<Shared, StartError> {
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
        tokens: Tokens::new(source, Handle::current()),
        places: Places::new(limits.requests, LONGEST_WAIT),
        stall: limits.stall,
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
    let key = ClientKey::new(&source.read().await.map_err(StartError::ClientKey)?);
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
            Ok(secret) => key.replace(&secret),
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
    Tokens::new(source(config, transport), Handle::current())
}

fn source(config: &Config, transport: &Transport) -> Source {
    let endpoint = Endpoint::detect(|name| std::env::var(name).ok());
    Source::new(
        entra(config, transport),
        Platform::new(endpoint, transport.direct_client()),
        sign_ins(config),
        Capability::of(&config.cloud),
    )
}

/// The login host of a configuration, with a connection pool of its own.
#[must_use]
pub fn entra(config: &Config, transport: &Transport) -> Entra {
    Entra::new(config.cloud.login().clone(), transport.client())
}

/// The sign-ins of a configuration's users.
#[must_use]
pub fn sign_ins(config: &Config) -> SignIns {
    let identities = config.identities.iter();
    let users: Vec<_> = identities
        .filter(|identity| matches!(identity.kind, Kind::User(_)))
        .collect();
    let enlisted = users.iter().map(|identity| Enlisted {
        identity: Arc::clone(identity),
        audience: audience(config, identity),
        command: login_command(config, (users.len() > 1).then_some(&*identity.name)),
    });
    SignIns::new(config.cloud.login(), enlisted)
}

/// An API that the identity has a route to.
fn audience(config: &Config, identity: &Identity) -> Audience {
    let first = config.audiences(identity).pop_first();
    first.map_or_else(
        || config.cloud.api(Family::Xdr).audience.clone(),
        |(_, audience)| audience,
    )
}

/// The command that signs a user in, as it can be run from anywhere.
fn login_command(config: &Config, identity: Option<&str>) -> String {
    let mut words = vec!["defender-proxy login".to_owned()];
    words.extend(identity.map(|name| format!("--identity {name}")));
    if let config::Source::File(path) = &config.source
        && path != Path::new("proxy.toml")
    {
        let path = path::absolute(path).unwrap_or_else(|_| path.clone());
        let path = path.display().to_string();
        let quote = if path.contains(' ') { "\"" } else { "" };
        words.push(format!("--config {quote}{path}{quote}"));
    }
    words.join(" ")
}

/// For which a request waits until others have ended: as long as many clients wait for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
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
