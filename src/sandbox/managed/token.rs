//! Which token a request gets.

use std::time::{Duration, SystemTime};

use http::Method;
use http::header::AUTHORIZATION;

use super::Call;
use super::identity::Identity;
use super::platform::Held;
use super::source::{Refusal, Source};
use crate::sandbox::api::Answer;
use crate::sandbox::claims::Claims;
use crate::sandbox::state::State;
use crate::sandbox::tokens::{Order, Proof};
use crate::sandbox::{family, federation, roles};

pub(super) fn answer(state: &State, source: Source, call: &Call<'_>) -> Answer {
    let resource = match resource(source, call) {
        Ok(resource) => resource,
        Err(refusal) => return source.refusal(&refusal),
    };
    if source == Source::Arc
        && let Some(answer) = challenge(state, call)
    {
        return answer;
    }
    let token = Identity::selected(&state.options, source, call)
        .and_then(|identity| Ok((identity, token(state, identity, resource)?)));
    match token {
        Ok((identity, held)) => source.token(&held, identity, resource),
        Err(refusal) => source.refusal(&refusal),
    }
}

/// The resource that `call` rightly asks for, known or not.
fn resource<'a>(source: Source, call: &'a Call<'_>) -> Result<&'a str, Refusal> {
    if call.method != Method::GET {
        return Err(Refusal::Method);
    }
    source.check(call)?;
    call.query("api-version")
        .ok_or(Refusal::Missing("api-version"))?;
    call.query("resource").ok_or(Refusal::Missing("resource"))
}

/// Asks for the content of a key file, unless it is there.
fn challenge(state: &State, call: &Call<'_>) -> Option<Answer> {
    let source = Source::Arc;
    let keys = &state.managed.keys;
    let Some(folder) = &state.options.arc_key_folder else {
        return Some(source.refusal(&Refusal::NoArc));
    };
    match call.header(AUTHORIZATION.as_str()) {
        Some(key)
            if key
                .strip_prefix("Basic ")
                .is_some_and(|key| keys.redeem(key)) =>
        {
            None
        }
        Some(_) => Some(source.refusal(&Refusal::WrongKey)),
        None => Some(match keys.issue(folder) {
            Ok(file) => source.challenge(&file.to_string_lossy()),
            Err(error) => {
                tracing::warn!(%error, "no key for Azure Arc could be written");
                source.refusal(&Refusal::NoArc)
            }
        }),
    }
}

/// The token that the platform has, or a new one.
fn token(state: &State, identity: Identity<'_>, resource: &str) -> Result<Held, Refusal> {
    let settings = state.settings();
    let wanted = (identity.client_id.to_owned(), resource.to_owned());
    if settings.managed_identity_cache
        && let Some(held) = state.managed.held(&wanted)
    {
        return Ok(held);
    }
    let life = settings.token_lifetime.pick();
    let token = if resource == federation::AUDIENCE {
        federation::managed_identity_token(state, identity.object_id, life)
    } else {
        new_token(state, (identity, resource), life)?
    };
    let issued = SystemTime::now();
    let held = Held {
        token,
        issued,
        life,
    };
    state.managed.hold(wanted, held.clone());
    Ok(held)
}

/// A token for one of the APIs. Who asks here can't say that it understands claims challenges.
fn new_token(
    state: &State,
    (identity, resource): (Identity<'_>, &str),
    lifetime: Duration,
) -> Result<String, Refusal> {
    let settings = state.settings();
    let unknown = || Refusal::UnknownResource(resource.to_owned());
    let family = family::of_resource(resource).ok_or_else(unknown)?;
    Ok(state.tokens.issue(Order {
        family,
        audience: resource.to_owned(),
        tenant: state.options.tenant.clone(),
        client_id: identity.client_id.to_owned(),
        roles: settings.roles.clone().unwrap_or_else(|| roles::all(family)),
        user: None,
        proof: Proof::Assertion,
        claims: Claims::default(),
        lifetime,
        opaque: settings.opaque_tokens,
    }))
}
