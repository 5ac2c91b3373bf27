//! Stand-ins for Entra ID, the Defender APIs and Microsoft Graph, on loopback and over TLS.
//!
//! They need no tenant and no licence: they serve people who develop against the Defender APIs, and
//! the tests of this crate. What they answer can be steered at `/_sandbox/` on each of them.

mod aadsts;
mod actions;
mod admin_consent;
mod answers;
mod api;
mod assertion;
mod authorize;
mod blobs;
mod calls;
mod certificate;
mod changes;
mod claims;
mod client_auth;
mod codes;
mod consent;
mod control;
mod control_sign_in;
mod counters;
mod delegated;
mod device;
mod device_form;
mod device_page;
mod effects;
mod entra;
mod entra_errors;
mod entra_settings;
mod family;
mod faults;
mod federation;
mod gate;
mod gzip;
mod holds;
mod issue;
mod managed;
mod metadata;
mod modifiers;
mod outgoing;
mod pages;
mod path;
#[cfg(test)]
pub(crate) use rates::reference::{Bookkeeper, documented_limit};
mod rates;
mod redirect;
mod requests;
mod roles;
mod scopes;
mod script;
mod serve;
mod sessions;
mod settings;
mod signing;
mod state;
#[cfg(test)]
mod test;
mod tls;
mod token_form;
mod tokens;
mod user_errors;
mod users;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use settings::Links;
pub use users::SandboxUser;

use entra_errors::EntraError;
use serve::Door;
use state::{Listener, Origins, State};
use tls::Identity;

/// The running stand-ins; dropping it stops them and closes their connections.
pub struct Sandbox {
    state: Arc<State>,
    ca_pem: String,
    /// Accept loops; each owns the connections it accepted.
    _doors: JoinSet<()>,
}

impl Sandbox {
    /// Binds four loopback ports, makes a certificate authority for this start alone, and serves on the current tokio
    /// runtime.
    ///
    /// # Errors
    /// When a port cannot be bound, the certificates cannot be made, or one of the options is no certificate.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled, as everything that spawns.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Identity { ca_pem, server } =
            Identity::generate(options.http2).map_err(io::Error::other)?;
        let entra = bind(options.entra_port).await?;
        let defender = bind(options.defender_port).await?;
        let graph = bind(options.graph_port).await?;
        let managed = bind(options.managed_identity_port).await?;
        let origins = Origins {
            entra: origin(&entra)?,
            defender: origin(&defender)?,
            graph: origin(&graph)?,
            managed: format!("http://{}", managed.local_addr()?),
        };
        let state = Arc::new(State::new(options, origins).map_err(io::Error::other)?);
        let acceptor = TlsAcceptor::from(server);
        let mut doors = JoinSet::new();
        for (listener, socket) in [
            (Listener::Entra, entra),
            (Listener::Defender, defender),
            (Listener::Graph, graph),
            (Listener::Managed, managed),
        ] {
            // The endpoint of managed identities is local to a machine: it has no TLS.
            let tls = listener != Listener::Managed;
            let door = Door {
                listener,
                acceptor: tls.then(|| acceptor.clone()),
                state: Arc::clone(&state),
            };
            doors.spawn(door.serve(socket));
        }
        Ok(Self {
            state,
            ca_pem,
            _doors: doors,
        })
    }

    /// Origin of the Entra stand-in, `https://localhost:PORT`.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.state.origins.entra
    }

    /// Origin of the Defender stand-in (both API families), `https://localhost:PORT`.
    #[must_use]
    pub fn defender(&self) -> &str {
        &self.state.origins.defender
    }

    /// Origin of the Graph stand-in, `https://localhost:PORT`.
    #[must_use]
    pub fn graph(&self) -> &str {
        &self.state.origins.graph
    }

    /// Origin of the endpoints of managed identities, `http://127.0.0.1:PORT`; they have the paths of
    /// `sandbox --upstreams-only`.
    #[must_use]
    pub fn managed_identity(&self) -> &str {
        &self.state.origins.managed
    }

    /// Certificate of the authority a client must trust, in PEM. Its key is forgotten at once, so
    /// nothing else can be signed with it.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// An assertion of the issuer that the application trusts, as a Kubernetes cluster writes it to
    /// `AZURE_FEDERATED_TOKEN_FILE`; it is valid for ten minutes.
    #[must_use]
    pub fn federated_token(&self) -> String {
        federation::token(&self.state, &self.options().federated_subject)
    }

    /// The options it was started with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.state.options
    }

    /// A complete `proxy.toml` for a proxy in front of these stand-ins, where `ca` is the file
    /// [`Self::ca_pem`] was written to.
    #[must_use]
    pub fn proxy_toml(&self, ca: &Path, secret: SecretSource<'_>) -> String {
        let secret = match secret {
            SecretSource::Env(name) => format!("env = {}", quoted(name)),
            SecretSource::File(path) => format!("file = {}", quoted(&path.to_string_lossy())),
        };
        let (login, defender, graph) = (
            quoted(self.login()),
            quoted(self.defender()),
            quoted(self.graph()),
        );
        let (tenant, client_id) = (
            quoted(&self.options().tenant),
            quoted(&self.options().client_id),
        );
        let ca = quoted(&ca.to_string_lossy());
        format!(
            "[cloud]\nname = \"custom\"\nlogin = {login}\ndefender_xdr = {defender}\ndefender_endpoint = {defender}\n\
             graph = {graph}\n\n[identity.sandbox]\nkind = \"application\"\ntenant = {tenant}\nclient_id = {client_id}\n\
             credential = {{ secret = {{ {secret} }} }}\n\n[upstream]\nca = {ca}\n"
        )
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox")
            .field("login", &self.login())
            .field("defender", &self.defender())
            .field("graph", &self.graph())
            .finish_non_exhaustive()
    }
}

/// What the stand-ins know and where they listen.
#[derive(Debug, Clone)]
pub struct Options {
    /// Tenant of the registered application.
    pub tenant: String,
    /// A domain of that tenant, by which token requests may name it too.
    pub domain: String,
    /// Other tenants that consented to the application, as customers of a partner do.
    pub customers: Vec<String>,
    /// Client id of the registered confidential application, which has a credential.
    pub client_id: String,
    /// Its secret. The default is published, so it protects nothing.
    pub client_secret: String,
    /// Its certificates, in PEM; the first certificate of each text counts.
    pub certificates: Vec<String>,
    /// Whom the other issuer's assertions must be about ([`Sandbox::federated_token`]).
    pub federated_subject: String,
    /// Client id of the registered public application, with which users sign in.
    pub public_client_id: String,
    /// Where both applications may have browsers sent back to. Of loopback addresses the port doesn't matter.
    pub redirect_uris: Vec<String>,
    /// Who can sign in, in `tenant`.
    pub users: Vec<SandboxUser>,
    /// Lifetime of a token; whole seconds count.
    pub token_lifetime: Duration,
    /// Which host the links in API answers name at first.
    pub links: Links,
    /// The present that the records of the APIs are dated from. Tokens, limits and faults use the real clock always.
    pub now: Now,
    /// Whether HTTP/2 is offered beside HTTP/1.1; clients choose by ALPN.
    pub http2: bool,
    /// Pause that devices must make between two polls; whole seconds count.
    pub device_interval: Duration,
    /// Loopback port of the Entra stand-in; 0 lets the system choose.
    pub entra_port: u16,
    /// Loopback port of the Defender stand-in; 0 lets the system choose.
    pub defender_port: u16,
    /// Loopback port of the Graph stand-in; 0 lets the system choose.
    pub graph_port: u16,
    /// Loopback port of the endpoints of managed identities; 0 lets the system choose.
    pub managed_identity_port: u16,
    /// Client id of the user-assigned managed identity; the machine has one of its own besides.
    pub managed_client_id: String,
    /// Object id of the same.
    pub managed_object_id: String,
    /// Azure resource id of the same.
    pub managed_resource_id: String,
    /// Where the agent of Azure Arc leaves the key that each request has to be repeated with. Without it, the machine is
    /// none that Arc knows.
    pub arc_key_folder: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tenant: "5a9db0c5-0000-4000-8000-000000000001".into(),
            domain: "contoso.example".into(),
            customers: vec![
                "5a9db0c5-0000-4000-8000-000000000002".into(),
                "5a9db0c5-0000-4000-8000-000000000003".into(),
            ],
            client_id: "5a9db0c5-0000-4000-8000-0000000000aa".into(),
            client_secret: "sandbox-secret-do-not-use".into(),
            certificates: vec![include_str!("../../certs/sandbox/app.pem").into()],
            federated_subject: "system:serviceaccount:soc:defender-proxy".into(),
            public_client_id: "5a9db0c5-0000-4000-8000-0000000000cc".into(),
            redirect_uris: vec!["http://localhost".into()],
            users: vec![
                SandboxUser::new(
                    "alice@contoso.example",
                    "5a9db0c5-0000-4000-8000-0000000000a1",
                ),
                SandboxUser::new(
                    "bob@contoso.example",
                    "5a9db0c5-0000-4000-8000-0000000000a2",
                ),
            ],
            token_lifetime: Duration::from_secs(3599),
            links: Links::Global,
            // 2026-11-01T00:00:00Z.
            now: Now::Fixed(UNIX_EPOCH + Duration::from_hours(498_192)),
            http2: true,
            device_interval: Duration::from_secs(5),
            entra_port: 0,
            defender_port: 0,
            graph_port: 0,
            managed_identity_port: 0,
            managed_client_id: "5a9db0c5-0000-4000-8000-0000000000dd".into(),
            managed_object_id: "5a9db0c5-0000-4000-8000-0000000000de".into(),
            managed_resource_id: "/subscriptions/5a9db0c5-0000-4000-8000-0000000000df/resourcegroups/sandbox/providers/\
                                  Microsoft.ManagedIdentity/userAssignedIdentities/defender-proxy"
                .into(),
            arc_key_folder: None,
        }
    }
}

impl Options {
    /// With so many more customers, of made-up ids.
    #[must_use]
    pub fn more_customers(mut self, count: u32) -> Self {
        let ids = (1..=count).map(|number| format!("5a9db0c5-0000-4000-8001-{number:012x}"));
        self.customers.extend(ids);
        self
    }

    /// The id of the tenant that `name` is the id or a domain of, in any case; `None` for a tenant that did not consent to the
    /// application.
    pub(crate) fn tenant_named(&self, name: &str) -> Option<&str> {
        if name.eq_ignore_ascii_case(&self.domain) {
            return Some(&self.tenant);
        }
        std::iter::once(&self.tenant)
            .chain(&self.customers)
            .find(|tenant| tenant.eq_ignore_ascii_case(name))
            .map(String::as_str)
    }

    /// The tenant whose users sign in under `name`, which may be one of the aliases of the user's own.
    pub(crate) fn tenant_of_user(&self, name: &str) -> Result<&str, EntraError> {
        match name {
            "organizations" | "common" | "consumers" => Ok(&self.tenant),
            name => self
                .tenant_named(name)
                .ok_or_else(|| EntraError::unknown_tenant(name)),
        }
    }
}

/// The present of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Now {
    /// This time for ever: equal records with equal dates at every start. A change is a second later than the one before.
    Fixed(SystemTime),
    /// The clock runs: records are dated from the start of the UTC hour, changes with the time at which they are made.
    Running,
}

/// Where the `proxy.toml` of [`Sandbox::proxy_toml`] finds the client secret.
#[derive(Debug, Clone, Copy)]
pub enum SecretSource<'a> {
    /// In the environment variable of this name.
    Env(&'a str),
    /// In this file.
    File(&'a Path),
}

async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn origin(listener: &TcpListener) -> io::Result<String> {
    Ok(format!(
        "https://localhost:{}",
        listener.local_addr()?.port()
    ))
}

/// A TOML basic string: JSON escapes the same characters the same way.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
