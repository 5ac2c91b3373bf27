//! Refresh tokens: what each stands for, and whether it still works.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::entra_errors::EntraError;
use super::entra_settings::Rotation;
use super::state::lock;
use super::tokens::random_text;
use super::user_errors::{BAD_GRANT, REFRESH_EXPIRED, REVOKED, SPENT, WRONG_CLIENT};
use super::users::SandboxUser;

/// A user who signed in to an application.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) user: Arc<SandboxUser>,
    pub(crate) client_id: String,
    /// What was asked for at last; a redemption that names no scope gets the same.
    pub(crate) scope: String,
}

/// The newest 20,000 refresh tokens.
pub(crate) struct Sessions(Mutex<Registry>);

impl Sessions {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Registry::default()))
    }

    /// A new refresh token.
    pub(crate) fn begin(&self, session: Session, lifetime: Option<Duration>) -> String {
        let token = format!("1.{}", random_text::<640>());
        let kept = Kept {
            session: Arc::new(session),
            ends: lifetime.map(|lifetime| Instant::now() + lifetime),
            is: Condition::Good,
        };
        let mut registry = lock(&self.0);
        if registry.order.len() == CAPACITY
            && let Some(oldest) = registry.order.pop_front()
        {
            registry.kept.remove(&oldest);
        }
        registry.order.push_back(token.clone());
        registry.kept.insert(token.clone(), kept);
        token
    }

    /// What `token` stands for. With strict rotation that was its last use.
    pub(crate) fn redeem(
        &self,
        token: &str,
        client_id: &str,
        rotation: Rotation,
    ) -> Result<Arc<Session>, EntraError> {
        let mut registry = lock(&self.0);
        let refuse = |row| Err(EntraError::usual(row));
        let Some(kept) = registry.kept.get_mut(token) else {
            return refuse(&BAD_GRANT);
        };
        if kept.session.client_id != client_id {
            return refuse(&WRONG_CLIENT);
        }
        if kept.ends.is_some_and(|ends| Instant::now() >= ends) {
            return refuse(&REFRESH_EXPIRED);
        }
        match kept.is {
            Condition::Revoked => return refuse(&REVOKED),
            Condition::Spent => return refuse(&SPENT),
            Condition::Good => {}
        }
        if rotation == Rotation::Strict {
            kept.is = Condition::Spent;
        }
        Ok(Arc::clone(&kept.session))
    }

    /// Revokes all of a user's; returns how many.
    pub(crate) fn revoke(&self, user: &SandboxUser) -> usize {
        let mut registry = lock(&self.0);
        let theirs = registry
            .kept
            .values_mut()
            .filter(|kept| *kept.session.user == *user);
        theirs.map(|kept| kept.is = Condition::Revoked).count()
    }
}

#[derive(Default)]
struct Registry {
    kept: HashMap<String, Kept>,
    order: VecDeque<String>,
}

struct Kept {
    session: Arc<Session>,
    ends: Option<Instant>,
    is: Condition,
}

enum Condition {
    Good,
    /// Used while rotation was strict.
    Spent,
    Revoked,
}

const CAPACITY: usize = 20_000;
