//! What can be told of credentials without the network.

use std::time::SystemTime;

use crate::{
    auth::{
        assertion_file,
        certificate::{WARN_BEFORE, day, days},
        identity::{Certificate, Credential, Kind, Partner},
        managed::Endpoint,
    },
    error::Chain,
};

/// What is there, or what is wrong with it.
type Finding = Result<String, String>;

/// Looks at the credential of an identity that has one; tells its label and what was found.
pub(super) async fn look(kind: &Kind) -> Option<(String, Finding)> {
    let credential = match kind {
        Kind::Application { credential, .. } | Kind::Partner(Partner { credential, .. }) => {
            credential
        }
        Kind::Managed { .. } => return Some(("managed identity".to_owned(), platform())),
        Kind::User(_) => return None,
    };
    Some(match credential {
        Credential::Secret(source) => {
            let read = source.read().await;
            ("secret".to_owned(), readable(read))
        }
        Credential::Certificate(certificate) => {
            let label = format!("certificate {}", certificate.file.display());
            (label, signs(certificate).await)
        }
        Credential::FederatedTokenFile(file) => {
            let label = format!("federated token file {}", file.display());
            (label, readable(assertion_file::read(file).await))
        }
        Credential::ManagedIdentity(_) => ("managed identity".to_owned(), platform()),
    })
}

fn readable<T>(read: Result<T, impl std::error::Error + 'static>) -> Finding {
    match read {
        Ok(_) => Ok("can be read".to_owned()),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

/// Whose the certificate is and when it ends.
async fn signs(certificate: &Certificate) -> Finding {
    let told = |error| Chain(&error).to_string();
    let signer = certificate.load().await.map_err(told)?;
    let now = SystemTime::now();
    signer.check_time(now).map_err(told)?;
    let found = format!(
        "{}, expires {}, can sign",
        signer.subject(),
        day(signer.ends())
    );
    let left = signer.ends().duration_since(now).unwrap_or_default();
    if left >= WARN_BEFORE {
        return Ok(found);
    }
    Ok(format!(
        "{found}\n  WARNING: {} days left: make a new one, upload it to the app in the Entra portal and replace the file",
        days(left)
    ))
}

fn platform() -> Finding {
    let endpoint = Endpoint::detect(|name| std::env::var(name).ok());
    if let Endpoint::Unusable(error) = &endpoint {
        return Err(format!("{error}\n  to do: {}", error.next_step()));
    }
    Ok(format!("by {}", endpoint.platform()))
}
