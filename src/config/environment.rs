//! The configuration without a file: the `AZURE_…` variables that the Azure SDKs read.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use crate::auth::identity::{Identity, Kind};
use crate::cloud::{Cloud, CloudHosts, CloudName};
use crate::config::credential::{self, Taken, VARIABLES};
use crate::config::{
    Config, ConfigError, Env, Fault, Limits, Listen, Source, UpstreamConfig, route,
};
use crate::origin::Origin;

/// One application, named `environment`, with the built-in route. `looked_for` are the files that
/// were not there, for the message.
pub(super) fn read(env: Env<'_>, looked_for: &[PathBuf]) -> Result<Config, ConfigError> {
    let mut reader = Reader {
        env,
        faults: Vec::new(),
    };
    let tenant = reader.parse(TENANT);
    let client_id = reader.parse(CLIENT);
    let taken = reader.credential();
    let cloud = reader.cloud();
    if reader.faults.iter().any(|fault| fault.message == UNSET) {
        reader.fault("", no_file(looked_for));
    }
    let (Some(tenant), Some(client_id), Some(taken), []) =
        (tenant, client_id, taken, reader.faults.as_slice())
    else {
        return Err(ConfigError::new(Source::Environment, reader.faults));
    };
    let identity = Arc::new(Identity {
        name: "environment".into(),
        kind: Kind::Application {
            tenant,
            client_id,
            credential: taken.credential,
        },
    });
    Ok(Config {
        listen: Listen::default(),
        cloud,
        identities: vec![Arc::clone(&identity)],
        routes: vec![route::built_in(identity)],
        upstream: UpstreamConfig::default(),
        limits: Limits::default(),
        source: Source::Environment,
        notes: vec![format!("credential: {}", taken.why)],
    })
}

struct Reader<'a> {
    env: Env<'a>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn fault(&mut self, key: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            key: key.to_owned(),
            line: None,
            message: message.into(),
        });
    }

    /// A variable's value; an empty one counts as not set, as in the Azure SDKs.
    fn get(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    fn parse<T: FromStr<Err: std::fmt::Display>>(&mut self, name: &str) -> Option<T> {
        let Some(text) = self.get(name) else {
            self.fault(name, UNSET);
            return None;
        };
        let parsed = text.parse();
        parsed
            .map_err(|error| self.fault(name, format!("{error}")))
            .ok()
    }

    /// What proves who it is; values are left where they stand.
    fn credential(&mut self) -> Option<Taken> {
        let taken = credential::choose(self.env);
        if taken.is_none() {
            let [secret, others @ ..] = VARIABLES;
            self.fault(secret, UNSET);
            self.fault(
                "",
                format!("nor is {}, which would do as well", others.join(" or ")),
            );
        }
        taken
    }

    /// The cloud that the authority signs in to; the authority is written as a URL or as a bare host.
    fn cloud(&mut self) -> Cloud {
        let Some(text) = self.get(AUTHORITY) else {
            return Cloud::default();
        };
        let url = if text.contains("://") {
            text
        } else {
            format!("https://{text}")
        };
        let login = match url.parse::<Origin>() {
            Ok(login) => login,
            Err(error) => {
                self.fault(AUTHORITY, error.to_string());
                return Cloud::default();
            }
        };
        if CHINA.contains(&login.host()) {
            let message = "signs in to a cloud for which no Defender API is documented: write a \
                           configuration file with [cloud] name = \"custom\"";
            self.fault(AUTHORITY, message);
        }
        let cloud = if GOVERNMENT.contains(&login.host()) {
            tracing::warn!(
                "AZURE_AUTHORITY_HOST is a government cloud's: taken for gcc-high; for dod write a configuration file"
            );
            Cloud::new(CloudName::GccHigh, None, CloudHosts::default()).unwrap_or_default()
        } else {
            Cloud::default()
        };
        cloud.with_login(login)
    }
}

fn no_file(looked_for: &[PathBuf]) -> String {
    let files: Vec<_> = looked_for
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    format!(
        "there is no configuration file either (looked for {}): `defender-proxy init` writes one",
        files.join(" and ")
    )
}

const TENANT: &str = "AZURE_TENANT_ID";
const CLIENT: &str = "AZURE_CLIENT_ID";
const AUTHORITY: &str = "AZURE_AUTHORITY_HOST";
const UNSET: &str = "is not set: set it, or write a configuration file";

/// The login hosts of GCC High and `DoD`. Of their APIs only Graph's host differs between the two.
const GOVERNMENT: [&str; 2] = ["login.microsoftonline.us", "login.usgovcloudapi.net"];
const CHINA: [&str; 2] = ["login.partner.microsoftonline.cn", "login.chinacloudapi.cn"];
