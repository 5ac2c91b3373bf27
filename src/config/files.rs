//! The files that a configuration is, or names, by what other users of the machine must not do with them.

use std::path::Path;

use crate::auth::identity::{Credential, Kind, SignIn, StoreConfig};
use crate::auth::secret::SecretSource;
use crate::config::{Config, ListenAddress, Source};

/// A file, by what others must not do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guarded<'a> {
    /// It holds a secret: neither read nor change it.
    Secret(&'a Path),
    /// It decides where secrets go, or what is trusted: not change it.
    Rule(&'a Path),
    /// Clients look for the proxy there: not put anything else there.
    Socket(&'a Path),
}

impl Config {
    /// All of them, also those that don't exist.
    #[must_use]
    pub fn files(&self) -> Vec<Guarded<'_>> {
        let mut files = Vec::new();
        if let Source::File(path) = &self.source {
            files.push(Guarded::Rule(path));
        }
        files.extend(self.upstream.ca.as_deref().map(Guarded::Rule));
        if let ListenAddress::Unix(path) = &self.listen.address {
            files.push(Guarded::Socket(path));
        }
        files.extend(self.listen.tls.iter().map(|tls| Guarded::Secret(&tls.key)));
        files.extend(self.listen.client_key.iter().filter_map(of_source));
        for identity in &self.identities {
            files.extend(of_identity(&identity.kind).into_iter().flatten());
        }
        files
    }
}

fn of_identity(kind: &Kind) -> [Option<Guarded<'_>>; 2] {
    match kind {
        Kind::Application { credential, .. } => of_credential(credential),
        Kind::Partner(partner) => of_credential(&partner.credential),
        Kind::User(user) => {
            let password = match &user.sign_in {
                SignIn::Password { password, .. } => of_source(password),
                SignIn::Browser | SignIn::Device => None,
            };
            let key = match &user.store {
                StoreConfig::File { key, .. } => of_source(key),
                StoreConfig::Keyring | StoreConfig::Memory => None,
            };
            [password, key]
        }
        Kind::Managed { .. } => [None, None],
    }
}

fn of_credential(credential: &Credential) -> [Option<Guarded<'_>>; 2] {
    match credential {
        Credential::Secret(source) => [of_source(source), None],
        Credential::Certificate(certificate) => [
            Some(Guarded::Secret(&certificate.file)),
            certificate.password.as_ref().and_then(of_source),
        ],
        Credential::FederatedTokenFile(file) => [Some(Guarded::Secret(file)), None],
        Credential::ManagedIdentity(_) => [None, None],
    }
}

/// Of a program its own file, if the configuration says where it is; one from `PATH` is as safe as the system.
fn of_source(source: &SecretSource) -> Option<Guarded<'_>> {
    match source {
        SecretSource::File(path) => Some(Guarded::Secret(path)),
        SecretSource::Command(argv) => argv
            .first()
            .map(Path::new)
            .filter(|program| program.components().count() > 1)
            .map(Guarded::Rule),
        SecretSource::Env(_) | SecretSource::Keyring(_) => None,
    }
}
