//! The device authorization grant (RFC 8628): codes, and polling for what becomes of them.
//!
//! Entra ID, "Microsoft identity platform and the OAuth 2.0 device authorization grant flow".

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::aadsts::Row;
use super::entra_errors::EntraError;
use super::entra_settings::EntraSettings;
use super::state::lock;
use super::tokens::random_text;
use super::user_errors::{
    BAD_DEVICE_CODE, CODE_USED, DEVICE_DECLINED, DEVICE_EXPIRED, LOOP, PENDING, SLOW_DOWN,
};
use super::users::SandboxUser;

/// What a device asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) client_id: String,
    pub(crate) scope: String,
}

/// What a person does about a code.
#[derive(Debug, Clone)]
pub(crate) enum Decision {
    SignIn(Arc<SandboxUser>),
    Decline,
    /// Too late.
    Expire,
}

/// The two codes of a request.
pub(crate) struct Pair {
    pub(crate) device_code: String,
    pub(crate) user_code: String,
}

/// The requests of this run that are not forgotten.
pub(crate) struct Devices(Mutex<HashMap<String, Device>>);

impl Devices {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(crate) fn begin(&self, asked: Asked, settings: &EntraSettings) -> Pair {
        let device_code = random_text::<120>();
        let user_code: String = (0..9)
            .map(|_| ALPHABET[fastrand::usize(..ALPHABET.len())])
            .map(char::from)
            .collect();
        let now = Instant::now();
        let device = Device {
            asked,
            user_code: user_code.clone(),
            ends: now + settings.device_lifetime,
            decision: None,
            used: false,
            polled: None,
            hasty: 0,
            slowed: false,
        };
        let mut devices = lock(&self.0);
        if devices.len() >= CAPACITY {
            devices.retain(|_, device| device.ends > now);
        }
        devices.insert(device_code.clone(), device);
        Pair {
            device_code,
            user_code,
        }
    }

    /// Decides about the code that a person reads; false when there is no such code.
    pub(crate) fn decide(&self, user_code: &str, decision: Decision) -> bool {
        let mut devices = lock(&self.0);
        let device = devices
            .values_mut()
            .find(|device| device.user_code.eq_ignore_ascii_case(user_code));
        device.is_some_and(|device| {
            device.decision = Some(decision);
            true
        })
    }

    /// Whether a poll would only be told to wait.
    pub(crate) fn is_pending(&self, device_code: &str) -> bool {
        let devices = lock(&self.0);
        let device = devices.get(device_code);
        device.is_some_and(|device| device.decision.is_none() && Instant::now() < device.ends)
    }

    /// Who signed in for which request, once.
    pub(crate) fn poll(
        &self,
        device_code: &str,
        client_id: &str,
        settings: &EntraSettings,
    ) -> Result<(Arc<SandboxUser>, Asked), EntraError> {
        let mut devices = lock(&self.0);
        let polled = match devices.get_mut(device_code) {
            Some(device) if device.asked.client_id == client_id => device.poll(settings),
            Some(_) | None => Err(&BAD_DEVICE_CODE),
        };
        polled.map_err(EntraError::usual)
    }
}

struct Device {
    asked: Asked,
    user_code: String,
    ends: Instant,
    decision: Option<Decision>,
    used: bool,
    polled: Option<Instant>,
    /// How many polls came too early.
    hasty: u32,
    /// Whether it was told to slow down.
    slowed: bool,
}

impl Device {
    fn poll(
        &mut self,
        settings: &EntraSettings,
    ) -> Result<(Arc<SandboxUser>, Asked), &'static Row> {
        let now = Instant::now();
        let since = self.polled.replace(now).map(|last| now - last);
        if since.is_some_and(|since| since + TOLERANCE < settings.device_interval) {
            self.hasty += 1;
        }
        if self.hasty > MAX_HASTY {
            return Err(&LOOP);
        }
        if settings.device_slow_down && !self.slowed {
            self.slowed = true;
            return Err(&SLOW_DOWN);
        }
        match &self.decision {
            Some(Decision::Decline) => Err(&DEVICE_DECLINED),
            Some(Decision::SignIn(_)) if self.used => Err(&CODE_USED),
            Some(Decision::SignIn(user)) => {
                self.used = true;
                Ok((Arc::clone(user), self.asked.clone()))
            }
            Some(Decision::Expire) => Err(&DEVICE_EXPIRED),
            None if now >= self.ends => Err(&DEVICE_EXPIRED),
            None => Err(&PENDING),
        }
    }
}

/// No vowels, so no words; nothing that looks like another.
const ALPHABET: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ23456789";
const CAPACITY: usize = 1_000;
/// Timers and networks are not exact.
const TOLERANCE: Duration = Duration::from_millis(250);
/// Entra was seen to bear hasty polling for some while before it took it for a loop.
const MAX_HASTY: u32 = 5;
