//! Client assertions: tokens in place of a secret, signed with the application's certificate or by an issuer it trusts.
//!
//! Entra ID, "Microsoft identity platform application authentication certificate credentials" and "Workload identity federation".

use std::collections::HashMap;
use std::sync::Mutex;

use jsonwebtoken::{Algorithm, Header, Validation, dangerous, decode_header};
use serde_json::Value;

use crate::jwt::PublicKey;

use super::aadsts::{ASSERTION_TIME, BAD_ASSERTION, BAD_JWT, NO_FEDERATION, NOT_AUTHENTICATED};
use super::entra_errors::EntraError;
use super::federation;
use super::state::{State, lock};
use super::token_form::Endpoint;
use super::tokens::unix_now;

/// Checks the assertion of the confidential application.
pub(crate) fn check(
    state: &State,
    endpoint: &Endpoint,
    tenant: &str,
    assertion: &str,
) -> Result<(), EntraError> {
    let assertion = Assertion::parse(assertion)?;
    let issuer = assertion.text("iss").unwrap_or_default();
    if issuer.eq_ignore_ascii_case(&state.options.client_id) {
        return of_certificate(state, endpoint, tenant, &assertion);
    }
    let subject = assertion.text("sub").unwrap_or_default();
    let trusted = federation::trusted(state)
        .into_iter()
        .find(|trusted| trusted.issuer == issuer && trusted.subject == subject)
        .ok_or_else(|| EntraError::usual(&NO_FEDERATION))?;
    if !assertion.is_for(&[federation::AUDIENCE.to_owned()]) {
        return Err(EntraError::usual(&NO_FEDERATION));
    }
    assertion.verify(trusted.key, &[Algorithm::RS256])?;
    assertion.check_times()
}

fn of_certificate(
    state: &State,
    endpoint: &Endpoint,
    tenant: &str,
    assertion: &Assertion<'_>,
) -> Result<(), EntraError> {
    let certificate = state
        .registered
        .iter()
        .find(|certificate| certificate.is_named_by(&assertion.header))
        .ok_or_else(|| EntraError::usual(&BAD_ASSERTION))?;
    assertion.verify(&certificate.key, &[Algorithm::RS256, Algorithm::PS256])?;
    if assertion.text("sub") != assertion.text("iss") {
        return Err(refused("Its issuer and subject differ."));
    }
    if !assertion.is_for(&endpoint.addresses(&state.origins.entra, tenant)) {
        return Err(refused("Its audience is not this token endpoint."));
    }
    assertion.check_times()?;
    let id = assertion
        .text("jti")
        .ok_or_else(|| EntraError::usual(&BAD_JWT))?;
    let ends = assertion.time("exp").unwrap_or_default();
    if state.assertions.first_seen(id, ends) {
        Ok(())
    } else {
        Err(refused("It was used before."))
    }
}

fn refused(why: &str) -> EntraError {
    EntraError::saying(
        &NOT_AUTHENTICATED,
        format!("Authentication failed. The client assertion can't be accepted. {why}"),
    )
}

/// An assertion that can be read; nothing of it is verified yet.
struct Assertion<'a> {
    token: &'a str,
    header: Header,
    claims: Value,
}

impl<'a> Assertion<'a> {
    fn parse(token: &'a str) -> Result<Self, EntraError> {
        let malformed = |_| EntraError::usual(&BAD_JWT);
        Ok(Self {
            token,
            header: decode_header(token).map_err(malformed)?,
            claims: dangerous::insecure_decode::<Value>(token)
                .map_err(malformed)?
                .claims,
        })
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.claims[claim].as_str()
    }

    /// A time in whole seconds. MSAL.NET writes text, MSAL for Python a fraction.
    fn time(&self, claim: &str) -> Option<u64> {
        let time = &self.claims[claim];
        let text = time
            .as_str()
            .map_or_else(|| time.to_string(), str::to_owned);
        text.split('.').next()?.parse().ok()
    }

    /// Whether one of `audiences` is its only audience.
    fn is_for(&self, audiences: &[String]) -> bool {
        let stated = &self.claims["aud"];
        let audience = match stated.as_array().map(Vec::as_slice) {
            Some([only]) => only.as_str(),
            Some(_) => None,
            None => stated.as_str(),
        };
        audience.is_some_and(|audience| audiences.iter().any(|known| known == audience))
    }

    fn verify(&self, key: &PublicKey, algorithms: &[Algorithm]) -> Result<(), EntraError> {
        let algorithm = self.header.alg;
        if !algorithms.contains(&algorithm) {
            return Err(EntraError::usual(&BAD_JWT));
        }
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        key.verify::<Value>(self.token, &validation)
            .map(|_| ())
            .map_err(|_| EntraError::usual(&BAD_ASSERTION))
    }

    fn check_times(&self) -> Result<(), EntraError> {
        let now = unix_now();
        let (begins, ends) = (self.time("nbf"), self.time("exp"));
        let ends = ends.ok_or_else(|| EntraError::usual(&BAD_JWT))?;
        if begins.unwrap_or_default() > now + SKEW || ends + SKEW < now {
            return Err(EntraError::usual(&ASSERTION_TIME));
        }
        Ok(())
    }
}

/// The ids of assertions that were used, until they end.
pub(crate) struct SeenAssertions(Mutex<HashMap<String, u64>>);

impl SeenAssertions {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    fn first_seen(&self, id: &str, ends: u64) -> bool {
        let mut seen = lock(&self.0);
        if seen.len() >= CAPACITY {
            let now = unix_now();
            seen.retain(|_, ends| *ends + SKEW >= now);
        }
        seen.insert(id.to_owned(), ends).is_none()
    }
}

/// Clocks may differ by so many seconds.
const SKEW: u64 = 300;
/// From so many on, those that ended are forgotten.
const CAPACITY: usize = 10_000;
