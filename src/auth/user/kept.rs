//! What is kept of a sign-in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::id_token::Account;
use crate::auth::secret::Secret;

/// The form in which a sign-in is kept. Wiped when dropped.
pub type Bytes = Zeroizing<Vec<u8>>;

/// A sign-in: who, since when, and the refresh token.
#[derive(Debug)]
pub struct Kept {
    /// Who is signed in.
    pub account: Account,
    /// What gets new tokens (RFC 6749 §1.5).
    pub refresh_token: Secret,
    /// When they signed in.
    pub since: SystemTime,
    /// When the refresh token was last used.
    pub used: SystemTime,
}

impl Kept {
    /// A sign-in that happens now.
    #[must_use]
    pub fn now(account: Account, refresh_token: Secret) -> Self {
        let now = SystemTime::now();
        Self {
            account,
            refresh_token,
            since: now,
            used: now,
        }
    }

    /// Until when it lasts if it isn't used any more (Entra ID, "Refresh tokens in the Microsoft identity platform": 90 days).
    #[must_use]
    pub fn until(&self) -> SystemTime {
        self.used.checked_add(INACTIVITY).unwrap_or(self.used)
    }

    /// The refresh token was used. The answer's new one, if there is one, takes its place.
    pub fn renew(&mut self, refresh_token: Option<Secret>) {
        self.used = SystemTime::now();
        if let Some(new) = refresh_token {
            self.refresh_token = new;
        }
    }

    /// Writes it down for `owner`, the only one it is good for; `None` if that can't be done.
    #[must_use]
    pub fn to_bytes(&self, owner: &str) -> Option<Bytes> {
        // All the room at once: a vector that grows leaves copies behind that nobody wipes.
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
        let form = Form {
            version: VERSION,
            owner: owner.into(),
            account: self.account.clone(),
            refresh_token: self.refresh_token.expose().into(),
            since: seconds(self.since),
            used: seconds(self.used),
        };
        serde_json::to_writer(&mut *bytes, &form).ok()?;
        Some(bytes)
    }

    /// Reads what [`Kept::to_bytes`] wrote for the same owner.
    ///
    /// # Errors
    /// When it is anything else.
    pub fn from_bytes(bytes: &[u8], owner: &str) -> Result<Self, Unread> {
        let Version { version } = serde_json::from_slice(bytes).map_err(|_| Unread::Unknown)?;
        if version > VERSION {
            return Err(Unread::Newer);
        }
        let form: Form<'_> = serde_json::from_slice(bytes).map_err(|_| Unread::Unknown)?;
        if form.owner != owner {
            return Err(Unread::Another);
        }
        Ok(Self {
            account: form.account,
            refresh_token: form.refresh_token.into_owned().into(),
            since: time(form.since).ok_or(Unread::Unknown)?,
            used: time(form.used).ok_or(Unread::Unknown)?,
        })
    }
}

/// Why what is kept is no sign-in to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// A newer version of the program has written it.
    Newer,
    /// It was kept for another owner.
    Another,
    /// It is none of this program's.
    Unknown,
}

/// What every version's form begins with.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Form<'a> {
    version: u32,
    /// Login host, tenant, client and identity, as the store names them.
    owner: std::borrow::Cow<'a, str>,
    account: Account,
    refresh_token: std::borrow::Cow<'a, str>,
    /// Seconds since 1970.
    since: u64,
    used: u64,
}

fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

const VERSION: u32 = 1;
const INACTIVITY: Duration = Duration::from_hours(90 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_being_written_down() {
        let mut kept = Kept::now(Account::default(), "first".to_owned().into());
        kept.renew(Some("second".to_owned().into()));
        kept.renew(None);
        let read = Kept::from_bytes(&kept.to_bytes("alice").unwrap(), "alice").unwrap();
        assert_eq!(read.refresh_token.expose(), "second");
        assert_eq!(seconds(read.since), seconds(kept.since));
        assert!(read.until() > SystemTime::now() + Duration::from_hours(89 * 24));
    }

    #[test]
    fn is_of_no_use_to_another() {
        let kept = Kept::now(Account::default(), "one".to_owned().into());
        let read = Kept::from_bytes(&kept.to_bytes("alice").unwrap(), "bob");
        assert_eq!(read.unwrap_err(), Unread::Another);
    }

    #[test]
    fn anything_else_is_no_sign_in() {
        let endless = r#"{"version":1,"owner":"a","account":{"name":"","tenant":""},"refresh_token":"","since":18446744073709551615,"used":1}"#;
        for text in ["", "{}", "null", r#"{"version":1}"#, endless] {
            let read = Kept::from_bytes(text.as_bytes(), "a");
            assert_eq!(read.unwrap_err(), Unread::Unknown, "{text}");
        }
    }

    #[test]
    fn a_newer_form_is_told_from_none() {
        let read = Kept::from_bytes(br#"{"version":2,"all":"different"}"#, "a");
        assert_eq!(read.unwrap_err(), Unread::Newer);
    }
}
