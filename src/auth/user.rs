//! Signed-in users: one refresh token for each, which serves all audiences.
//!
//! Nothing of a sign-in stays here between two requests: what the store holds decides, so that another process may sign in, sign out
//! or renew at any time. Refresh tokens are read, used and replaced under the store's lock.

pub mod id_token;
pub mod kept;
mod member;
mod prompter;
mod refusals;
mod sign_in;
pub mod store;

use std::{collections::HashMap, sync::Arc};

use self::{
    kept::Kept,
    member::Member,
    store::{Store, StoreError},
};
use super::{
    AccessToken, TokenKey,
    entra::{Ask, Entra, unavailable},
    error::TokenError,
    identity::{Audience, Identity, Kind},
};
use crate::origin::Origin;

pub use self::{
    id_token::Account,
    sign_in::{Prompt, SignInError, Way},
};

/// The sign-ins of this machine's user. A cheap handle.
#[derive(Clone, Debug, Default)]
pub struct SignIns {
    members: Arc<HashMap<Arc<str>, Arc<Member>>>,
}

/// A user of the configuration.
#[derive(Clone, Debug)]
pub struct Enlisted {
    /// The identity; one that is no user has no sign-in.
    pub identity: Arc<Identity>,
    /// An API of theirs, for the token that comes with a sign-in.
    pub audience: Audience,
    /// The command that signs them in.
    pub command: String,
}

impl SignIns {
    /// The sign-ins of these users at a login host.
    #[must_use]
    pub fn new(login: &Origin, users: impl IntoIterator<Item = Enlisted>) -> Self {
        let members = users.into_iter().filter_map(|enlisted| {
            let Kind::User(user) = &enlisted.identity.kind else {
                return None;
            };
            let name = Arc::clone(&enlisted.identity.name);
            Some((name, Arc::new(Member::new(login, user, &enlisted))))
        });
        Self {
            members: Arc::new(members.collect()),
        }
    }

    /// From now on, users whose sign-in lives in memory are asked to sign in, now and when it has ended.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn prompt(&self, entra: &Entra) {
        for member in self.members.values().filter(|member| member.is_asked()) {
            member.prompter.begin();
            member.ask(entra);
        }
    }

    /// Gets a token with the stored sign-in.
    ///
    /// # Errors
    /// When nobody is signed in, or Entra ID says no.
    pub async fn fetch(
        &self,
        entra: &Entra,
        key: &TokenKey,
        ask: Ask<'_>,
    ) -> Result<AccessToken, TokenError> {
        let unknown = || unavailable(key, "it is no user of this program");
        let member = self.members.get(&key.identity).ok_or_else(unknown)?;
        let opened = member.open().await?;
        match member.kept(&opened).await? {
            Some(kept) => member.refresh(entra, (opened, kept), (key, ask)).await,
            None => member.begin(entra, opened, (key, ask)).await,
        }
    }

    /// Signs a user in and keeps it, in place of what was kept. `prompt` shows what the person has to do.
    ///
    /// # Errors
    /// When the person or Entra ID says no, or the sign-in can't be kept.
    pub async fn sign_in(
        &self,
        entra: &Entra,
        identity: &str,
        (way, prompt): (Way, Prompt<'_>),
    ) -> Result<Account, SignInError> {
        let member = self.members.get(identity).ok_or(SignInError::NoUser)?;
        if member.store.is_memory() {
            return Err(SignInError::Memory);
        }
        // Before anybody is asked for anything: can it be kept? What is sealed with another key may be replaced.
        match member.store.open().await?.read().await {
            Ok(_) | Err(StoreError::WrongKey { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        member.sign_in(entra, (way, prompt)).await
    }

    /// Forgets a sign-in. Tells whether there was one.
    ///
    /// # Errors
    /// When the store can't be written to, or holds another's sign-in, or is the memory of the running proxy.
    pub async fn sign_out(&self, identity: &str) -> Result<bool, StoreError> {
        let Some(member) = self.members.get(identity) else {
            return Ok(false);
        };
        if member.store.is_memory() {
            return Err(StoreError::Memory);
        }
        let mut opened = member.store.open().await?;
        // Signing out needs no key; but what can be read must not be another's.
        match member.read(&opened).await {
            Err(error @ StoreError::Another { .. }) => Err(error),
            Ok(_) | Err(_) => opened.remove().await,
        }
    }

    /// What is kept of a user.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn kept(&self, identity: &str) -> Result<Option<Kept>, StoreError> {
        match self.members.get(identity) {
            Some(member) if member.is_asked() => Err(StoreError::Memory),
            Some(member) => member.read(&member.store.open().await?).await,
            None => Ok(None),
        }
    }

    /// Where a user's sign-in is kept.
    #[must_use]
    pub fn store(&self, identity: &str) -> Option<&Store> {
        let member = self.members.get(identity)?;
        Some(&member.store)
    }
}
