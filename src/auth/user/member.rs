//! One user: what is kept of their sign-in, used and replaced.

mod asking;
mod failing;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::{
    Enlisted, SignInError, Way,
    kept::{Kept, Unread},
    prompter::Prompter,
    refusals::Refusals,
    sign_in::SigningIn,
    store::{Opened, Store, StoreError},
};
use crate::{
    auth::{
        AccessToken, TokenKey,
        entra::{Ask, Entra},
        error::{Refusal, TokenError},
        identity::{SignIn, User},
        secret::Secret,
    },
    error::Chain,
    origin::Origin,
};

/// One user, and what this process knows of their sign-in.
#[derive(Debug)]
pub(super) struct Member {
    user: User,
    /// Of the token that comes with a sign-in.
    key: TokenKey,
    pub(super) store: Store,
    command: String,
    refusals: Refusals,
    /// Why Entra ID ended the last sign-in.
    ended: Mutex<Option<Refusal>>,
    pub(super) prompter: Prompter,
}

impl Member {
    pub(super) fn new(login: &Origin, user: &User, enlisted: &Enlisted) -> Self {
        let identity = &enlisted.identity;
        Self {
            user: user.clone(),
            key: TokenKey {
                identity: Arc::clone(&identity.name),
                tenant: user.tenant.clone(),
                audience: enlisted.audience.clone(),
            },
            store: Store::new(login, identity, user),
            command: enlisted.command.clone(),
            refusals: Refusals::default(),
            ended: Mutex::default(),
            prompter: Prompter::default(),
        }
    }

    pub(super) async fn open(&self) -> Result<Opened, TokenError> {
        let opened = self.store.open().await;
        opened.map_err(|source| self.store_error(source))
    }

    pub(super) async fn kept(&self, opened: &Opened) -> Result<Option<Kept>, TokenError> {
        let kept = self.read(opened).await;
        kept.map_err(|source| self.store_error(source))
    }

    pub(super) async fn read(&self, opened: &Opened) -> Result<Option<Kept>, StoreError> {
        let Some(bytes) = opened.read().await? else {
            return Ok(None);
        };
        let place = self.store.to_string();
        match Kept::from_bytes(&bytes, self.store.owner()) {
            Ok(kept) => Ok(Some(kept)),
            Err(Unread::Another) => Err(StoreError::Another { place }),
            Err(Unread::Newer) => Err(StoreError::Newer { place }),
            Err(Unread::Unknown) => {
                tracing::warn!(identity = %self.key.identity, store = %self.store,
                    "what is kept there is no sign-in of this program: sign in again");
                Ok(None)
            }
        }
    }

    /// One refresh, and the new refresh token stored in place of the old.
    pub(super) async fn refresh(
        self: &Arc<Self>,
        entra: &Entra,
        (mut opened, mut kept): (Opened, Kept),
        (key, ask): (&TokenKey, Ask<'_>),
    ) -> Result<AccessToken, TokenError> {
        let question = question(key, ask);
        if let Some(refusal) = self.refusals.known(&kept.refresh_token, &question) {
            return Err(self.refused(refusal));
        }
        let answer = entra
            .refresh(&self.user, key, (&kept.refresh_token, ask))
            .await;
        match answer {
            Ok(granted) => {
                self.keep(&mut opened, &mut kept, granted.refresh_token)
                    .await;
                *self.ended() = None;
                Ok(granted.token)
            }
            Err(TokenError::Refused { refusal, .. }) => {
                let asked = (&kept.refresh_token, question.as_str());
                self.refusals.remember(asked, &refusal, HOLD_OFF);
                if refusal.ends_sign_in() {
                    return self.end(entra, (opened, refusal), (key, ask)).await;
                }
                Err(self.refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// Entra ID leaves the old refresh token valid, so a failure to store the new one loses nothing yet.
    async fn keep(&self, opened: &mut Opened, kept: &mut Kept, new: Option<Secret>) {
        kept.renew(new);
        let stored = match kept.to_bytes(self.store.owner()) {
            Some(bytes) => opened.write(bytes).await,
            None => return,
        };
        if let Err(error) = stored {
            tracing::error!(identity = %self.key.identity, store = %self.store, error = %Chain(&error),
                "the renewed sign-in can't be stored; the old one stays");
        }
    }

    /// Forgets the sign-in that Entra ID has ended.
    async fn end(
        self: &Arc<Self>,
        entra: &Entra,
        (mut opened, refusal): (Opened, Refusal),
        asked: (&TokenKey, Ask<'_>),
    ) -> Result<AccessToken, TokenError> {
        tracing::warn!(identity = %self.key.identity, %refusal, "the sign-in has ended");
        if let Err(error) = opened.remove().await {
            tracing::warn!(identity = %self.key.identity, error = %Chain(&error), "it can't be removed from its store");
        }
        *self.ended() = Some(refusal);
        self.begin(entra, opened, asked).await
    }

    /// Nobody is signed in. With a password nobody needs to be asked.
    pub(super) async fn begin(
        self: &Arc<Self>,
        entra: &Entra,
        opened: Opened,
        asked: (&TokenKey, Ask<'_>),
    ) -> Result<AccessToken, TokenError> {
        if let SignIn::Password { password, .. } = &self.user.sign_in {
            let password = password.read().await;
            let password = password.map_err(|source| self.unreadable(source))?;
            let question = question(asked.0, asked.1);
            let mut known = ["", &question].into_iter();
            if let Some(refusal) = known.find_map(|known| self.refusals.known(&password, known)) {
                return Err(self.refused(refusal));
            }
            return self.with_password(entra, (opened, &password), asked).await;
        }
        drop(opened);
        if self.is_asked() {
            self.ask(entra);
        }
        Err(TokenError::NotSignedIn {
            identity: self.key.identity.to_string(),
            next: self.next(),
            ended: self.ended().clone().map(Into::into),
        })
    }

    /// A wrong password that is sent again and again locks the account; any other refusal may be of this API alone.
    fn remember(&self, password: &Secret, question: &str, refusal: &Refusal) {
        let (question, time) = if refusal.is_of_account() {
            ("", PASSWORD_HOLD_OFF)
        } else {
            (question, HOLD_OFF)
        };
        self.refusals.remember((password, question), refusal, time);
    }

    async fn with_password(
        self: &Arc<Self>,
        entra: &Entra,
        (mut opened, password): (Opened, &Secret),
        (key, ask): (&TokenKey, Ask<'_>),
    ) -> Result<AccessToken, TokenError> {
        let signing = SigningIn {
            entra,
            user: &self.user,
            key,
            ask,
            prompt: &|_| {},
        };
        match signing.by(Way::Configured).await {
            Ok((mut kept, token)) => {
                self.keep(&mut opened, &mut kept, None).await;
                *self.ended() = None;
                Ok(token)
            }
            Err(SignInError::Token(TokenError::Refused { refusal, .. })) => {
                self.remember(password, &question(key, ask), &refusal);
                Err(self.refused(refusal))
            }
            Err(SignInError::Token(error)) => Err(error),
            Err(error) => Err(TokenError::Unkept {
                identity: self.key.identity.to_string(),
                reason: error.to_string(),
            }),
        }
    }
}

/// What is asked of Entra ID, beside by whom.
fn question(key: &TokenKey, ask: Ask<'_>) -> String {
    format!("{} {}", key.audience, ask.claims.unwrap_or_default())
}

/// How long a refusal of a refresh token stands.
const HOLD_OFF: Duration = Duration::from_mins(1);
/// How long a refusal of a password stands. Some ten wrong ones in a row lock the account for a time (Entra ID, "Smart lockout").
const PASSWORD_HOLD_OFF: Duration = Duration::from_mins(15);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::identity::{Identity, Kind, StoreConfig};

    fn member() -> Member {
        let user = User {
            tenant: "contoso.example".parse().unwrap(),
            client_id: "5a9db0c5-0000-4000-8000-0000000000cc".parse().unwrap(),
            sign_in: SignIn::Browser,
            store: StoreConfig::Memory,
        };
        let enlisted = Enlisted {
            identity: Arc::new(Identity {
                name: "alice".into(),
                kind: Kind::User(user.clone()),
            }),
            audience: "https://api.example".parse().unwrap(),
            command: String::new(),
        };
        let login = "https://login.example".parse().unwrap();
        Member::new(&login, &user, &enlisted)
    }

    #[test]
    fn only_a_refusal_of_the_account_stands_for_every_api() {
        let password = Secret::from("p".to_owned());
        for (code, everywhere) in [(50_126, true), (50_053, true), (65_001, false)] {
            let refusal = Refusal {
                error: "invalid_grant".to_owned(),
                suberror: None,
                code: Some(code),
                trace_id: None,
                retry_after: None,
            };
            let member = member();
            member.remember(&password, "graph", &refusal);
            let known = member.refusals.known(&password, "");
            assert_eq!(known.is_some(), everywhere, "{code}");
            let known = member.refusals.known(&password, "graph");
            assert_eq!(known.is_some(), !everywhere, "{code}");
        }
    }
}
