//! The credential that the environment names, in the order of azure-identity's environment and workload identity credentials.

use std::path::PathBuf;

use crate::auth::identity::{AssertionAlgorithm, Certificate, Credential};
use crate::auth::secret::SecretSource;
use crate::config::Env;

/// The credential that was found.
#[derive(Debug)]
pub(in crate::config) struct Taken {
    pub(in crate::config) credential: Credential,
    /// Which one, and why that.
    pub(in crate::config) why: String,
}

/// Takes the first credential that is there. An empty variable counts as not set, as in the Azure SDKs.
pub(in crate::config) fn choose(env: Env<'_>) -> Option<Taken> {
    let get = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = |name: &str| get(name).map(PathBuf::from);
    let variable = |name: &str| SecretSource::Env(name.to_owned());
    let [secret, certificate, token] = VARIABLES;
    if get(secret).is_some() {
        return Some(taken(secret, Credential::Secret(variable(secret))));
    }
    if let Some(file) = named(certificate) {
        let found = Certificate {
            file,
            password: get(PASSWORD).map(|_| variable(PASSWORD)),
            algorithm: AssertionAlgorithm::default(),
        };
        return Some(taken(certificate, Credential::Certificate(found)));
    }
    named(token).map(|file| taken(token, Credential::FederatedTokenFile(file)))
}

fn taken(variable: &str, credential: Credential) -> Taken {
    let place = VARIABLES.iter().position(|name| *name == variable);
    let before = VARIABLES[..place.unwrap_or(0)].join(" and no ");
    let kind = match credential {
        Credential::Secret(_) => "the client secret",
        Credential::Certificate(_) => "the certificate",
        Credential::FederatedTokenFile(_) | Credential::ManagedIdentity(_) => {
            "the federated token file"
        }
    };
    let why = match before.as_str() {
        "" => format!("took {kind} of {variable}, which is looked for first"),
        before => format!("took {kind} of {variable}, as there is no {before}"),
    };
    Taken { credential, why }
}

/// What is looked for, in this order.
pub(in crate::config) const VARIABLES: [&str; 3] = [
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
];
const PASSWORD: &str = "AZURE_CLIENT_CERTIFICATE_PASSWORD";
