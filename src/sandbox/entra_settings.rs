//! The settings of the Entra stand-in that are about users, refresh tokens and consent.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::Options;
use super::consent::Consent;
use super::script::{ScriptError, as_object, choice, flag, number, text};

/// How users sign in and stay signed in, and which tenants let them.
#[derive(Debug, Clone)]
pub(crate) struct EntraSettings {
    /// `refresh_tokens`: what becomes of one that is used.
    pub(crate) rotation: Rotation,
    /// `refresh_token_lifetime`: seconds; `null` for as long as the sandbox runs.
    pub(crate) refresh_token_lifetime: Option<Duration>,
    /// `id_token`: whether answers have one where it is asked for.
    pub(crate) id_token: bool,
    /// `scopes`: the delegated permissions that users have; `null` for all.
    pub(crate) scopes: Option<Vec<String>>,
    /// `device_interval`: seconds between two polls.
    pub(crate) device_interval: Duration,
    /// `device_lifetime`: seconds in which the code must be entered.
    pub(crate) device_lifetime: Duration,
    /// `device_slow_down`: answer one poll of each code with `slow_down`.
    pub(crate) device_slow_down: bool,
    /// `tenants`: those that differ from a tenant that consented.
    pub(crate) tenants: BTreeMap<String, Consent>,
}

impl EntraSettings {
    pub(crate) fn initial(options: &Options) -> Self {
        Self {
            rotation: Rotation::Rotate,
            refresh_token_lifetime: None,
            id_token: true,
            scopes: None,
            device_interval: options.device_interval,
            device_lifetime: Duration::from_mins(15),
            device_slow_down: false,
            tenants: BTreeMap::new(),
        }
    }

    /// Changes one setting.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), ScriptError> {
        match key {
            "refresh_tokens" => self.rotation = Rotation::parse(key, value)?,
            "refresh_token_lifetime" => {
                let limit = (!value.is_null()).then(|| seconds(key, value));
                self.refresh_token_lifetime = limit.transpose()?;
            }
            "id_token" => self.id_token = flag(key, value)?,
            "scopes" => self.scopes = texts(key, value)?,
            "device_interval" => self.device_interval = seconds(key, value)?,
            "device_lifetime" => self.device_lifetime = seconds(key, value)?,
            "device_slow_down" => self.device_slow_down = flag(key, value)?,
            "tenants" => {
                for (tenant, value) in as_object(key, value.clone())? {
                    let consent = choice(&tenant, &value, CONSENT, CONSENTS)?;
                    self.tenants.insert(tenant.to_ascii_lowercase(), consent);
                }
            }
            _ => return Err(ScriptError::UnknownKey(format!("settings.{key}"))),
        }
        Ok(())
    }
}

/// What becomes of a refresh token that is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// The answer has a new one; the old one works on, as with Entra.
    Rotate,
    /// The answer has none.
    None,
    /// The answer has a new one, and the old one is dead: that shows whether a client loses one.
    Strict,
}

impl Rotation {
    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        let choices = [
            ("rotate", Self::Rotate),
            ("none", Self::None),
            ("strict", Self::Strict),
        ];
        choice(key, value, "rotate, none or strict", &choices)
    }
}

fn seconds(key: &str, value: &Value) -> Result<Duration, ScriptError> {
    number(key, value).map(Duration::from_secs)
}

fn texts(key: &str, value: &Value) -> Result<Option<Vec<String>>, ScriptError> {
    if value.is_null() {
        return Ok(None);
    }
    let items = value
        .as_array()
        .ok_or_else(|| ScriptError::value(key, value, "a list of permissions, or null for all"))?;
    let items = items.iter().map(|item| text(key, item));
    items.collect::<Result<_, _>>().map(Some)
}

const CONSENT: &str = "consented, no_consent, blocked or app_missing";

const CONSENTS: &[(&str, Consent)] = &[
    ("consented", Consent::Given),
    ("no_consent", Consent::Missing),
    ("blocked", Consent::Blocked),
    ("app_missing", Consent::AppMissing),
];
