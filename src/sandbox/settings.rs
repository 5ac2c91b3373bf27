//! Settings of the stand-ins that hold until changed, under `settings` of `POST /_sandbox/faults`.

use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use super::Options;
use super::entra_settings::EntraSettings;
use super::rates::{Limit, MAX_CALLS};
use super::script::{ScriptError, as_object, choice, flag, number, text};

/// How both stand-ins behave.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(crate) struct Settings {
    /// `token_lifetime`: seconds, or `random` for 60 to 90 minutes.
    pub(crate) token_lifetime: Lifetime,
    /// `refresh_in`: when token answers carry that hint.
    pub(crate) refresh_in: RefreshIn,
    /// `opaque_tokens`: tokens that are no JWTs.
    pub(crate) opaque_tokens: bool,
    /// `roles`: what new tokens grant; `null` grants all roles of the audience.
    pub(crate) roles: Option<Vec<String>>,
    /// `error_uri`: Entra errors link to their explanation.
    pub(crate) error_uri: bool,
    /// `error_lines`: the trailer of Entra error texts is separated by `spaces` or by `crlf`.
    pub(crate) crlf_errors: bool,
    /// `links`: the host that links in API answers name.
    pub(crate) links: Links,
    /// `gzip`: compress for clients that accept it.
    pub(crate) gzip: bool,
    /// `page_size`: items per page of API lists; `null` for the documented sizes.
    pub(crate) page_size: Option<usize>,
    /// `www_authenticate`: send that header with every 401.
    pub(crate) www_authenticate: bool,
    /// `cae_status`: 401 or 403, the status of claims challenges.
    pub(crate) cae_status: StatusCode,
    /// `managed_identity_cache`: whether a managed identity gets the same token again while much of its life is left.
    pub(crate) managed_identity_cache: bool,
    /// `rate_limit`: `null`, `documented`, or the limit itself.
    pub(crate) rate_limit: RateLimit,
    /// What is about users, refresh tokens and consent.
    pub(crate) entra: EntraSettings,
}

impl Settings {
    pub(crate) fn initial(options: &Options) -> Self {
        Self {
            token_lifetime: Lifetime::Fixed(options.token_lifetime),
            refresh_in: RefreshIn::KnownSku,
            opaque_tokens: false,
            roles: None,
            error_uri: true,
            crlf_errors: false,
            links: options.links,
            gzip: true,
            page_size: None,
            www_authenticate: false,
            cae_status: StatusCode::UNAUTHORIZED,
            managed_identity_cache: true,
            rate_limit: RateLimit::Off,
            entra: EntraSettings::initial(options),
        }
    }

    /// Changes one setting.
    pub(crate) fn set(&mut self, key: &str, value: &Value) -> Result<(), ScriptError> {
        match key {
            "token_lifetime" => self.token_lifetime = Lifetime::parse(key, value)?,
            "refresh_in" => self.refresh_in = RefreshIn::parse(key, value)?,
            "opaque_tokens" => self.opaque_tokens = flag(key, value)?,
            "roles" => self.roles = roles(key, value)?,
            "error_uri" => self.error_uri = flag(key, value)?,
            "error_lines" => {
                self.crlf_errors = choice(
                    key,
                    value,
                    "spaces or crlf",
                    &[("spaces", false), ("crlf", true)],
                )?;
            }
            "links" => self.links = Links::parse(key, value)?,
            "gzip" => self.gzip = flag(key, value)?,
            "page_size" => self.page_size = page_size(key, value)?,
            "www_authenticate" => self.www_authenticate = flag(key, value)?,
            "cae_status" => self.cae_status = cae_status(key, value)?,
            "managed_identity_cache" => self.managed_identity_cache = flag(key, value)?,
            "rate_limit" => self.rate_limit = RateLimit::parse(key, value)?,
            _ => self.entra.set(key, value)?,
        }
        Ok(())
    }
}

/// How long new tokens live.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lifetime {
    Fixed(Duration),
    /// 60 to 90 minutes, each token anew.
    Random,
}

impl Lifetime {
    /// The lifetime of one token, in whole seconds.
    pub(crate) fn pick(self) -> Duration {
        match self {
            Self::Fixed(lifetime) => Duration::from_secs(lifetime.as_secs()),
            Self::Random => Duration::from_secs(fastrand::u64(3600..=5400)),
        }
    }

    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        if value.as_str() == Some("random") {
            return Ok(Self::Random);
        }
        match value.as_u64() {
            Some(seconds) if seconds <= MAX_LIFETIME => {
                Ok(Self::Fixed(Duration::from_secs(seconds)))
            }
            Some(_) | None => Err(ScriptError::value(
                key,
                value,
                "seconds up to a year, or \"random\"",
            )),
        }
    }
}

/// When token answers carry `refresh_in`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefreshIn {
    /// Only for clients Entra recognises by their `x-client-SKU`.
    KnownSku,
    Always,
    Never,
}

impl RefreshIn {
    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        let choices = [
            ("known_sku", Self::KnownSku),
            ("always", Self::Always),
            ("never", Self::Never),
        ];
        choice(key, value, "known_sku, always or never", &choices)
    }
}

/// Which host name links in API answers carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// The global hosts of the public cloud, whichever was called.
    Global,
    /// Hosts of the EU region.
    Regional,
    /// The host of old samples.
    Legacy,
    /// The stand-in's own origin (`self`).
    Own,
}

impl Links {
    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        let choices = [
            ("global", Self::Global),
            ("regional", Self::Regional),
            ("legacy", Self::Legacy),
            ("self", Self::Own),
        ];
        choice(key, value, "global, regional, legacy or self", &choices)
    }
}

/// Whether and how calls are counted.
#[derive(Debug, Clone)]
pub(crate) enum RateLimit {
    Off,
    /// The documented limits, each by its path.
    Documented,
    Custom {
        limit: Limit,
        /// Whether a refusal carries `Retry-After`.
        retry_after: bool,
        /// `error.code` of a refusal: documented `TooManyRequests`, or `429` as observed.
        code: String,
    },
}

impl RateLimit {
    fn parse(key: &str, value: &Value) -> Result<Self, ScriptError> {
        match value {
            Value::Null => Ok(Self::Off),
            Value::String(word) if word == "documented" => Ok(Self::Documented),
            Value::Object(_) => Self::parse_custom(key, value.clone()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Err(
                ScriptError::value(key, value, "null, \"documented\" or an object"),
            ),
        }
    }

    fn parse_custom(key: &str, value: Value) -> Result<Self, ScriptError> {
        let (mut per_minute, mut per_hour) = (u32::try_from(MAX_CALLS).unwrap_or(u32::MAX), None);
        let (mut retry_after, mut code) = (true, "TooManyRequests".to_owned());
        for (key, value) in as_object(key, value)? {
            match key.as_str() {
                "per_minute" => per_minute = calls(&key, &value)?,
                "per_hour" => per_hour = Some(calls(&key, &value)?),
                "retry_after" => retry_after = flag(&key, &value)?,
                "code" => code = text(&key, &value)?,
                _ => {
                    return Err(ScriptError::UnknownKey(format!(
                        "settings.rate_limit.{key}"
                    )));
                }
            }
        }
        let limit = Limit {
            per_minute,
            per_hour,
        };
        Ok(Self::Custom {
            limit,
            retry_after,
            code,
        })
    }
}

fn roles(key: &str, value: &Value) -> Result<Option<Vec<String>>, ScriptError> {
    match value {
        Value::Null => Ok(None),
        Value::Array(items) => items
            .iter()
            .map(|item| text(key, item))
            .collect::<Result<_, _>>()
            .map(Some),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => Err(
            ScriptError::value(key, value, "a list of roles, or null for all"),
        ),
    }
}

fn cae_status(key: &str, value: &Value) -> Result<StatusCode, ScriptError> {
    match value.as_u64() {
        Some(401) => Ok(StatusCode::UNAUTHORIZED),
        Some(403) => Ok(StatusCode::FORBIDDEN),
        _ => Err(ScriptError::value(key, value, "401 or 403")),
    }
}

fn page_size(key: &str, value: &Value) -> Result<Option<usize>, ScriptError> {
    if value.is_null() {
        return Ok(None);
    }
    match usize::try_from(number(key, value)?) {
        Ok(size) if size > 0 => Ok(Some(size)),
        Ok(_) | Err(_) => Err(ScriptError::value(
            key,
            value,
            "a number from 1, or null for the documented sizes",
        )),
    }
}

fn calls(key: &str, value: &Value) -> Result<u32, ScriptError> {
    u32::try_from(number(key, value)?)
        .ok()
        .filter(|calls| (1..=MAX_CALLS).contains(&usize::try_from(*calls).unwrap_or(usize::MAX)))
        .ok_or_else(|| ScriptError::value(key, value, "1 to 100000 calls"))
}

const MAX_LIFETIME: u64 = 366 * 24 * 3600;
