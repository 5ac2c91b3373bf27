//! The configuration: what `proxy.toml`, or the environment, says, checked and typed.
//!
//! [`Config`] can't be had with a fault in it; all faults are reported at once. Secrets are not
//! here, only where they are kept.

mod application;
mod cloud;
mod credential;
mod environment;
mod error;
mod files;
mod identities;
mod limits;
mod listen;
mod partner;
mod reader;
mod route;
mod search;
mod secret;
mod upstream;
mod user;
mod value;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use crate::auth::identity::{Audience, Identity, Kind, Partner};
use crate::cloud::{Cloud, Family};

pub use error::{ConfigError, Fault};
pub use files::Guarded;
pub use limits::Limits;
pub use listen::{ExposedError, Listen, ListenAddress, ListenAddressError, TlsFiles};
pub use route::{Methods, RouteConfig, RouteTarget};
pub use upstream::UpstreamConfig;

/// Everything that is configured.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect, and which of them are let in.
    pub listen: Listen,
    /// The hosts of the APIs.
    pub cloud: Cloud,
    /// Who the proxy can sign in as; at least one.
    pub identities: Vec<Arc<Identity>>,
    /// Where requests go, in the order of the file; no two have the same prefix.
    pub routes: Vec<RouteConfig>,
    /// How connections to the APIs are made.
    pub upstream: UpstreamConfig,
    /// How much clients may ask for, and how long things may take.
    pub limits: Limits,
    /// Where all this came from.
    pub source: Source,
    /// What was left open, how it was decided, and why: for a person to read.
    pub notes: Vec<String>,
}

impl Config {
    /// Finds and reads the configuration: `file` if given, else the file `DEFENDER_PROXY_CONFIG`
    /// names, else `proxy.toml` in the working directory, else
    /// `defender-proxy/proxy.toml` in the user's configuration directory, else the variables
    /// `AZURE_TENANT_ID`, `AZURE_CLIENT_ID`, those of the credential (`AZURE_CLIENT_SECRET`,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`, `AZURE_FEDERATED_TOKEN_FILE`) and `AZURE_AUTHORITY_HOST`.
    ///
    /// # Errors
    ///
    /// With every fault of what was found, or what is missing if nothing was.
    pub fn load(file: Option<&Path>, env: Env<'_>) -> Result<Self, ConfigError> {
        Self::load_in(Path::new(""), file, env)
    }

    /// Reads the text of a file. Paths in it are relative to the folder of `origin`.
    ///
    /// `env` serves `credential = "default"`, and to warn of variables that are named and not set.
    ///
    /// # Errors
    ///
    /// With every fault of the text; if it is no TOML, with every syntax error.
    pub fn parse(text: &str, origin: Source, env: Env<'_>) -> Result<Self, ConfigError> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let document = reader::Document::new(text, origin.folder(), env);
        if !errors.is_empty() {
            for error in errors {
                // Never its Display, which shows the line, and with it perhaps a secret.
                let at = error.span().map(|span| span.start);
                document.fault("", at, format!("is no TOML: {}", error.message()));
            }
            let mut faults = document.into_faults();
            // What follows an error in its line is mostly its consequence.
            faults.dedup_by_key(|fault| fault.line);
            return Err(ConfigError::new(origin, faults));
        }

        let mut root = reader::Table::new(&document, "", None, tree.get_ref());
        let listen = Listen::read(root.take("listen").as_ref());
        root.later("admin");
        let cloud = cloud::read(root.take("cloud").as_ref());
        let identity = root.take("identity");
        let identities = identities::Identities::read(&document, identity.as_ref());
        let routes = route::read_all(&document, root.take("route").as_ref(), &identities);
        let upstream = UpstreamConfig::read(root.take("upstream").as_ref());
        let limits = Limits::read(root.take("limits").as_ref());
        root.finish();
        let identities = identities.list();

        let notes = document.take_notes();
        let faults = document.into_faults();
        if !faults.is_empty() {
            return Err(ConfigError::new(origin, faults));
        }
        Ok(Self {
            listen,
            cloud,
            identities,
            routes,
            upstream,
            limits,
            source: origin,
            notes,
        })
    }

    /// The APIs that the routes of an identity lead to, each with a name for a person to read.
    #[must_use]
    pub fn audiences(&self, identity: &Identity) -> BTreeSet<(String, Audience)> {
        let own = self
            .routes
            .iter()
            .filter(|route| route.identity.name == identity.name);
        own.flat_map(|route| match &route.target {
            RouteTarget::Defender => [
                ("Defender XDR", Family::Xdr),
                ("Defender for Endpoint", Family::Endpoint),
                ("Graph security", Family::Graph),
            ]
            .map(|(label, family)| (label.to_owned(), self.cloud.api(family).audience.clone()))
            .to_vec(),
            RouteTarget::Api(api) => {
                vec![(format!("route {}", route.prefix), api.audience.clone())]
            }
        })
        .collect()
    }

    /// The identities that act for customers.
    pub fn partners(&self) -> impl Iterator<Item = &Partner> {
        self.identities
            .iter()
            .filter_map(|identity| match &identity.kind {
                Kind::Partner(partner) => Some(partner),
                Kind::Application { .. } | Kind::Managed { .. } | Kind::User(_) => None,
            })
    }

    fn load_in(folder: &Path, file: Option<&Path>, env: Env<'_>) -> Result<Self, ConfigError> {
        match search::find(folder, file, env)? {
            search::Found::File(path, text) => Self::parse(&text, Source::File(path), env),
            search::Found::Nothing(looked_for) => environment::read(env, &looked_for),
        }
    }
}

/// Where a configuration came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// The `AZURE_…` environment variables.
    Environment,
}

impl Source {
    fn folder(&self) -> &Path {
        match self {
            Self::File(path) => path.parent().unwrap_or_else(|| Path::new("")),
            Self::Environment => Path::new(""),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// Looks up an environment variable. Passed in, so that a test has an environment of its own.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

#[cfg(test)]
mod tests;
