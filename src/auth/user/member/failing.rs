//! Why there is no token for a user, and what they can do.

use std::sync::{MutexGuard, PoisonError};

use super::Member;
use crate::auth::{
    error::{Refusal, TokenError},
    identity::SignIn,
    secret::SecretError,
    user::StoreError,
};

impl Member {
    pub(super) fn refused(&self, refusal: Refusal) -> TokenError {
        TokenError::SignInRefused {
            identity: self.key.identity.to_string(),
            next: self.next(),
            refusal: refusal.into(),
        }
    }

    pub(super) fn unreadable(&self, source: SecretError) -> TokenError {
        TokenError::Credential {
            identity: self.key.identity.to_string(),
            source,
        }
    }

    pub(super) fn store_error(&self, source: StoreError) -> TokenError {
        TokenError::Store {
            identity: self.key.identity.to_string(),
            source,
        }
    }

    pub(super) fn next(&self) -> String {
        match (&self.user.sign_in, self.is_asked()) {
            (SignIn::Password { .. }, _) => {
                "check `username` and `password`; if the tenant asks for a second factor, set sign_in = \"browser\"".to_owned()
            }
            (_, true) => self.prompter.next(),
            (_, false) => format!("run `{}`", self.command),
        }
    }

    pub(super) fn ended(&self) -> MutexGuard<'_, Option<Refusal>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
