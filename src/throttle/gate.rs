//! What upstream counts together: destination, tenant and application.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use tokio::sync::watch;

use super::{
    Terms, Throttled,
    budget::{CLASSES, Class},
    queue::Client,
    quota::{Admission, Quota, Visitor},
};
use crate::auth::identity::{Audience, TenantId};

/// What upstream counts by. Two identities of the same application share what it allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// The directory whose data is read.
    pub tenant: TenantId,
    /// The application's id, or a name for it where the platform alone knows the id.
    pub application: Box<str>,
    /// The API.
    pub audience: Audience,
}

/// All calls of one [`Account`]. Takes next to no memory until there is one.
#[derive(Debug)]
pub struct Gate {
    quotas: OnceLock<Box<[OnceLock<Box<Quota>>; CLASSES]>>,
    stopping: watch::Receiver<bool>,
}

impl Gate {
    /// Lets a request go, now or when it may.
    ///
    /// # Errors
    /// When `terms` don't wait, or not as long as it would take.
    pub async fn admit(
        &self,
        class: Class,
        terms: Terms,
        client: Client,
    ) -> Result<Admission<'_>, Throttled> {
        let visitor = Visitor {
            terms,
            client,
            stopping: &self.stopping,
        };
        self.quota(class).admit(visitor).await
    }

    fn quota(&self, class: Class) -> &Quota {
        let quotas = self
            .quotas
            .get_or_init(|| Box::new([const { OnceLock::new() }; CLASSES]));
        quotas[class.index()].get_or_init(|| Box::new(Quota::new(class.limit())))
    }
}

/// The gates of a configuration: a number that no client can change.
#[derive(Debug)]
pub struct Gates {
    known: HashMap<Account, Arc<Gate>>,
    stopping: watch::Sender<bool>,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            stopping: watch::Sender::new(false),
        }
    }
}

impl Gates {
    /// The gate of an account; always the same one.
    pub fn of(&mut self, account: Account) -> Arc<Gate> {
        let new = || {
            Arc::new(Gate {
                quotas: OnceLock::new(),
                stopping: self.stopping.subscribe(),
            })
        };
        Arc::clone(self.known.entry(account).or_insert_with(new))
    }

    /// From now on nobody waits: who does is answered.
    pub fn stop_waiting(&self) {
        self.stopping.send_replace(true);
    }
}
