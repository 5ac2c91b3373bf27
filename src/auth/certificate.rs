//! Certificate credentials: a file with certificate and private key, which signs an assertion for each token request.
//!
//! The file is read at each token request, so a rotated one works at once. While it can't be used (half written, perhaps) the
//! last good one goes on signing.

mod error;
mod file;
mod pem;
mod pkcs12;
mod signer;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use ring::digest;

pub use self::{
    error::CertificateError,
    signer::{Signer, day},
};
use super::{
    credential::Asking,
    identity::Certificate,
    secret::{self, Secret},
};
use crate::error::Chain;

impl Certificate {
    /// Reads the file as it is now.
    ///
    /// # Errors
    /// When it is of no use; an expired certificate is read without complaint.
    pub async fn load(&self) -> Result<Signer, CertificateError> {
        let bytes = secret::read_file(&self.file).await?;
        self.decode(bytes).await
    }

    /// Decrypting may take a second, so it's done on a thread of its own.
    async fn decode(&self, bytes: secret::Bytes) -> Result<Signer, CertificateError> {
        let password = match &self.password {
            Some(source) => Some(source.read().await?),
            None => None,
        };
        tokio::task::spawn_blocking(move || file::read(&bytes, password.as_ref()))
            .await
            .map_err(std::io::Error::from)?
    }
}

/// The certificates in use, each with the last good state of its file. A cheap handle; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    held: Arc<Mutex<HashMap<PathBuf, Held>>>,
    /// Decrypting takes long; who waits for it finds it done.
    decrypting: Arc<tokio::sync::Mutex<()>>,
}

/// A file when it was last of use.
#[derive(Clone, Debug)]
struct Held {
    digest: [u8; 32],
    signer: Arc<Signer>,
    warned: Option<Instant>,
    /// What the file held, and when, if that was of no use.
    doubted: Option<([u8; 32], Instant)>,
}

impl Held {
    /// Was this found to be of no use a moment ago? A password may come later than its file, so not for ever.
    fn doubts(&self, digest: [u8; 32]) -> bool {
        self.doubted
            .is_some_and(|(bytes, at)| bytes == digest && at.elapsed() < DOUBT)
    }
}

impl Certificates {
    /// Signs an assertion with the certificate as it is now.
    ///
    /// # Errors
    /// When the file has never been of use, or its certificate is outside its time.
    pub async fn sign(
        &self,
        certificate: &Certificate,
        asking: Asking<'_>,
    ) -> Result<Secret, CertificateError> {
        let signer = self.current(certificate).await?;
        signer.check_time(SystemTime::now())?;
        self.warn_of_end(certificate, &signer);
        signer.sign(certificate.algorithm, asking)
    }

    async fn current(&self, certificate: &Certificate) -> Result<Arc<Signer>, CertificateError> {
        let signer = self.read_anew(certificate).await;
        match (signer, self.get(certificate)) {
            (Ok(signer), _) => Ok(signer),
            (Err(error), Some(held)) => {
                tracing::warn!(file = %certificate.file.display(), error = %Chain(&error),
                    "the certificate can't be read again; the last one goes on signing");
                Ok(held.signer)
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What hasn't changed is not decrypted again: with many customers there are many token requests.
    async fn read_anew(&self, certificate: &Certificate) -> Result<Arc<Signer>, CertificateError> {
        let bytes = secret::read_file(&certificate.file).await?;
        let digest = sha256(&bytes);
        let doubt = |_: &CertificateError| {
            if let Some(held) = self.lock().get_mut(&certificate.file) {
                held.doubted = Some((digest, Instant::now()));
            }
        };
        let known = |held: &Held| held.digest == digest || held.doubts(digest);
        if let Some(held) = self.get(certificate).filter(known) {
            return Ok(held.signer);
        }
        let _turn = self.decrypting.lock().await;
        let held = self.get(certificate);
        if let Some(held) = held.clone().filter(known) {
            return Ok(held.signer);
        }
        let signer = Arc::new(certificate.decode(bytes).await.inspect_err(doubt)?);
        if held.is_some() {
            // One for next week, put there early, is of no use yet.
            signer.check_time(SystemTime::now()).inspect_err(doubt)?;
            tracing::info!(file = %certificate.file.display(), ends = day(signer.ends()), "the certificate was rotated");
        }
        let new = Held {
            digest,
            signer: Arc::clone(&signer),
            warned: None,
            doubted: None,
        };
        self.lock().insert(certificate.file.clone(), new);
        Ok(signer)
    }

    fn get(&self, certificate: &Certificate) -> Option<Held> {
        self.lock().get(&certificate.file).cloned()
    }

    /// Warns once a day while the end is near.
    fn warn_of_end(&self, certificate: &Certificate, signer: &Signer) {
        let left = signer.ends().duration_since(SystemTime::now());
        let left = left.unwrap_or_default();
        let mut held = self.lock();
        let Some(held) = held.get_mut(&certificate.file) else {
            return;
        };
        let silent = held.warned.is_some_and(|at| at.elapsed() < WARN_EVERY);
        if left < WARN_BEFORE && !silent {
            held.warned = Some(Instant::now());
            tracing::warn!(file = %certificate.file.display(), ends = day(signer.ends()), days_left = days(left),
                "the certificate ends soon: make a new one, upload it to the app in the Entra portal and replace the file");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole days.
#[must_use]
pub fn days(time: Duration) -> u64 {
    time.as_secs() / (24 * 60 * 60)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut sum = [0; 32];
    sum.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    sum
}

/// How long before the end of a certificate its owner is told.
pub const WARN_BEFORE: Duration = Duration::from_hours(30 * 24);
/// How long a file that was of no use isn't tried again, unless it changes.
const DOUBT: Duration = Duration::from_secs(30);
const WARN_EVERY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests;
