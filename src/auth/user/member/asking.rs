//! The person who signs in, and whether it is for the running proxy to ask them.

use std::sync::Arc;

use super::Member;
use crate::{
    auth::{
        aadsts::Class,
        entra::{Ask, Entra},
        identity::SignIn,
        user::{
            Account, Prompt, SignInError, StoreError, Way, prompter::Asked, sign_in::SigningIn,
        },
    },
    error::Chain,
};

impl Member {
    pub(in crate::auth::user) async fn sign_in(
        &self,
        entra: &Entra,
        (way, prompt): (Way, Prompt<'_>),
    ) -> Result<Account, SignInError> {
        let signing = SigningIn {
            entra,
            user: &self.user,
            key: &self.key,
            ask: Ask::default(),
            prompt,
        };
        // Not under the lock: a person takes their time, and the old sign-in serves meanwhile.
        let (kept, _) = signing.by(way).await?;
        let bytes = kept
            .to_bytes(self.store.owner())
            .ok_or(StoreError::Sealing)?;
        self.store.open().await?.write(bytes).await?;
        *self.ended() = None;
        Ok(kept.account)
    }

    /// Is it for the running proxy to ask the person?
    pub(in crate::auth::user) fn is_asked(&self) -> bool {
        self.store.is_memory() && !matches!(self.user.sign_in, SignIn::Password { .. })
    }

    /// Asks the person in the log, in the background, unless they have just been asked.
    pub(in crate::auth::user) fn ask(self: &Arc<Self>, entra: &Entra) {
        if !self.prompter.may_ask() {
            return;
        }
        let (member, entra) = (Arc::clone(self), entra.clone());
        tokio::spawn(async move {
            let identity = Arc::clone(&member.key.identity);
            let prompt = |text: &str| tracing::warn!(identity = %identity, "{text}");
            let outcome = match member.sign_in(&entra, (Way::Configured, &prompt)).await {
                Ok(account) => {
                    tracing::info!(identity = %identity, account = account.name, "signed in");
                    Asked::SignedIn
                }
                Err(error) => {
                    tracing::warn!(identity = %identity, error = %Chain(&error), "nobody has signed in");
                    asked_in_vain(&error)
                }
            };
            member.prompter.asked(outcome);
        });
    }
}

fn asked_in_vain(error: &SignInError) -> Asked {
    if matches!(error, SignInError::Token(error) if error.class() == Class::Transient) {
        Asked::Unreached
    } else {
        Asked::Refused
    }
}
