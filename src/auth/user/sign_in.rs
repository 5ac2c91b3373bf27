//! Signing in: the three ways from a person to a refresh token.

mod browser;
mod device;
mod password;

use std::{fmt, io};

use thiserror::Error;

use super::{
    id_token::{self, Account},
    kept::Kept,
};
use crate::auth::{
    AccessToken, TokenKey,
    entra::{Ask, Entra, Granted},
    error::{Refusal, TokenError},
    identity::{SignIn, User},
};

/// A way to sign in, this once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As configured; a browser is opened.
    Configured,
    /// As configured; no browser is opened, the link is for a person to open.
    ByHand,
    /// By device code, on any machine.
    Device,
}

/// Who signs in, for which token, and how the person is told what to do.
pub(super) struct SigningIn<'a> {
    pub(super) entra: &'a Entra,
    pub(super) user: &'a User,
    pub(super) key: &'a TokenKey,
    /// What a password is to bring; a person is asked for no more than the sign-in.
    pub(super) ask: Ask<'a>,
    pub(super) prompt: Prompt<'a>,
}

/// Shows a text to the person who signs in.
pub type Prompt<'a> = &'a (dyn Fn(&str) + Send + Sync);

impl fmt::Debug for SigningIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningIn").finish_non_exhaustive()
    }
}

impl SigningIn<'_> {
    /// Signs in. What is to be kept, and the token that came with it.
    pub(super) async fn by(&self, way: Way) -> Result<(Kept, AccessToken), SignInError> {
        match (&self.user.sign_in, way) {
            (SignIn::Password { username, password }, Way::Configured | Way::ByHand) => {
                password::sign_in(self, username, password).await
            }
            (SignIn::Device, _) | (_, Way::Device) => device::sign_in(self).await,
            (SignIn::Browser, _) => browser::sign_in(self, way).await,
        }
    }

    /// Checks what the grant brought. With a `nonce`, there must be an ID token that repeats it.
    fn finish(
        &self,
        granted: Granted,
        nonce: Option<&str>,
    ) -> Result<(Kept, AccessToken), SignInError> {
        let account = match (&granted.id_token, nonce) {
            (Some(token), _) => {
                id_token::check(token.expose(), self.user, nonce).map_err(SignInError::IdToken)?
            }
            (None, Some(_)) => return Err(SignInError::IdToken("is missing")),
            (None, None) => Account::default(),
        };
        let refresh_token = granted.refresh_token.ok_or(SignInError::NoRefreshToken)?;
        Ok((Kept::now(account, refresh_token), granted.token))
    }
}

/// Why nobody was signed in.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SignInError {
    /// Entra ID could not be reached or said no.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The browser came back with a refusal.
    #[error("Entra ID refused the sign-in: {0}")]
    Refused(Refusal),
    /// No port of this machine is free.
    #[error("no port of localhost is free for the browser to come back to: use `login --device`")]
    Loopback(#[source] io::Error),
    /// The person took too long.
    #[error("nobody signed in within {} minutes: run the command again", browser::PATIENCE.as_secs() / 60)]
    TimedOut,
    /// The ID token is not of this sign-in.
    #[error(
        "the ID token {0}: nobody was signed in; compare `tenant` and `client_id`, and try again"
    )]
    IdToken(&'static str),
    /// There is nothing to keep.
    #[error(
        "Entra ID gave no refresh token: allow the app the delegated permission offline_access"
    )]
    NoRefreshToken,
    /// Done, but it can't be kept.
    #[error("the sign-in can't be kept")]
    Store(#[from] super::StoreError),
    /// It can't be kept beyond this command.
    #[error(
        "store = \"memory\" keeps a sign-in in the running proxy only: `serve` asks for it when it starts; for `login`, set store = \"keyring\" or \"file\""
    )]
    Memory,
    /// There is no such user.
    #[error("the identity is no user")]
    NoUser,
}

impl SignInError {
    /// What to do about it, if the message doesn't say so.
    #[must_use]
    pub fn next_step(&self) -> Option<&str> {
        match self {
            Self::Token(TokenError::Refused { refusal, .. }) | Self::Refused(refusal) => {
                Some(again(refusal))
            }
            Self::Token(error) => Some(error.next_step()),
            Self::Loopback(_)
            | Self::TimedOut
            | Self::IdToken(_)
            | Self::NoRefreshToken
            | Self::Store(_)
            | Self::Memory
            | Self::NoUser => None,
        }
    }
}

/// Signing in again is what was just tried; the rest of the advice holds.
fn again(refusal: &Refusal) -> &str {
    match refusal.error.as_str() {
        "access_denied" | "authorization_declined" => {
            "run the command again, and accept what the browser asks"
        }
        "expired_token" | "bad_verification_code" => "run the command again, and be quicker",
        _ => refusal.users_step(),
    }
}
