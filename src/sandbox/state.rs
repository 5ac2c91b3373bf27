//! What the three stand-ins share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use uuid::Uuid;

use super::Options;
use super::api::{self, Answer, Api, RequestIds};
use super::assertion::SeenAssertions;
use super::certificate::Certificate;
use super::changes::Changes;
use super::codes::Codes;
use super::consent::Consent;
use super::counters::Counters;
use super::device::{Decision, Devices};
use super::faults::Faults;
use super::holds::Holds;
use super::managed::Platform;
use super::rates::RateLimiter;
use super::requests::RequestLog;
use super::script::{Script, ScriptError};
use super::sessions::Sessions;
use super::settings::Settings;
use super::signing::{KeyError, Keys};
use super::tokens::Tokens;

/// Everything behind the listeners. Locks are held for a few statements, never across an await.
pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) origins: Origins,
    pub(crate) keys: Keys,
    pub(crate) registered: Vec<Certificate>,
    pub(crate) assertions: SeenAssertions,
    pub(crate) tokens: Tokens,
    pub(crate) sessions: Sessions,
    pub(crate) codes: Codes,
    pub(crate) devices: Devices,
    pub(crate) counters: Arc<Counters>,
    pub(crate) requests: RequestLog,
    pub(crate) faults: Faults,
    pub(crate) rates: RateLimiter,
    pub(crate) holds: Holds,
    pub(crate) api: Api,
    pub(crate) managed: Platform,
    pub(crate) changes: Changes,
    settings: Mutex<Arc<Settings>>,
}

impl State {
    /// # Errors
    /// When a certificate of the options can't be read.
    pub(crate) fn new(options: Options, origins: Origins) -> Result<Self, KeyError> {
        let changes = Changes::new();
        let keys = Keys::read()?;
        let registered = options.certificates.iter();
        let registered = registered.map(|pem| Certificate::read(pem));
        Ok(Self {
            registered: registered.collect::<Result<_, _>>()?,
            assertions: SeenAssertions::new(),
            tokens: Tokens::new(keys.tokens.clone()),
            sessions: Sessions::new(),
            codes: Codes::new(),
            devices: Devices::new(),
            keys,
            settings: Mutex::new(Arc::new(Settings::initial(&options))),
            counters: Arc::new(Counters::new(changes.clone())),
            requests: RequestLog::new(),
            faults: Faults::new(),
            rates: RateLimiter::new(),
            holds: Holds::new(changes.clone()),
            api: Api::new(&options.tenant, options.now),
            managed: Platform::new(changes.clone()),
            changes,
            options,
            origins,
        })
    }

    /// The settings as they are now; a request keeps those it began with.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    /// Applies a script that is made from the settings as they are: all of it or nothing, and one script at a time, so that
    /// none undoes another's change.
    ///
    /// # Errors
    /// As `make` fails, or when too many actions would wait.
    pub(crate) fn apply(
        &self,
        make: impl FnOnce(&Settings) -> Result<Script, ScriptError>,
    ) -> Result<(), ScriptError> {
        let mut settings = lock(&self.settings);
        let script = make(&settings)?;
        self.faults.append(script.actions)?;
        self.api.page_size(script.settings.page_size);
        *settings = Arc::new(script.settings);
        if script.revoke_tokens {
            self.tokens.revoke_all();
        }
        Ok(())
    }

    /// An administrator of `tenant` lets the application in.
    pub(crate) fn consent(&self, tenant: &str) {
        let mut settings = lock(&self.settings);
        let granted = Consent::of(&settings, tenant).granted();
        let tenants = &mut Arc::make_mut(&mut settings).entra.tenants;
        tenants.insert(tenant.to_ascii_lowercase(), granted);
    }

    /// A person decides about the code that a device shows; false when there is no such code.
    pub(crate) fn decide(&self, user_code: &str, decision: Decision) -> bool {
        let known = self.devices.decide(user_code, decision);
        self.changes.notify();
        known
    }

    /// Back to the state of the start. Tokens stay valid and open connections stay open, so a
    /// client under test needs no restart; held requests go on.
    pub(crate) fn reset(&self) {
        // Held throughout, so that a script comes wholly before or wholly after.
        let mut settings = lock(&self.settings);
        self.faults.clear();
        self.holds.release_all();
        self.rates.clear();
        self.requests.clear();
        self.counters.clear();
        self.api.reset();
        self.managed.clear();
        *settings = Arc::new(Settings::initial(&self.options));
    }
}

/// Origins of the stand-ins, `https://localhost:PORT`, and of the endpoints of managed identities, `http://127.0.0.1:PORT`.
#[derive(Debug)]
pub(crate) struct Origins {
    pub(crate) entra: String,
    pub(crate) defender: String,
    pub(crate) graph: String,
    pub(crate) managed: String,
}

/// One of the four servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listener {
    Entra,
    Defender,
    Graph,
    Managed,
}

impl Listener {
    /// Name in the control answers.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Entra => "entra",
            Self::Defender => "defender",
            Self::Graph => "graph",
            Self::Managed => "managed_identity",
        }
    }

    /// An error in the shape of this server's API.
    pub(crate) fn error(
        self,
        status: StatusCode,
        code: &str,
        message: &str,
        ids: RequestIds<'_>,
    ) -> Answer {
        match self {
            Self::Graph => api::graph_error(status, code, message, ids),
            Self::Entra | Self::Defender | Self::Managed => {
                api::error(status, code, message, ids.own.to_owned())
            }
        }
    }
}

/// Locks whatever a panicked test left behind: every critical section here leaves its data whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn guid() -> String {
    Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_made_one_at_a_time() {
        let origins = Origins {
            entra: String::new(),
            defender: String::new(),
            graph: String::new(),
            managed: String::new(),
        };
        let state = State::new(Options::default(), origins).unwrap();
        let applied = state.apply(|settings| {
            assert!(
                state.settings.try_lock().is_err(),
                "another could be made meanwhile"
            );
            Script::parse(br#"{"settings": {"page_size": 7}}"#, settings)
        });
        assert_eq!(applied, Ok(()));
        assert_eq!(state.settings().page_size, Some(7));
        let refused =
            state.apply(|settings| Script::parse(br#"{"settings": {"page_size": 0}}"#, settings));
        assert!(refused.is_err());
        assert_eq!(state.settings().page_size, Some(7));
    }
}
