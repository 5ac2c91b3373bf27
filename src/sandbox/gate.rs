//! Who may call: bearer, audience, roles, rate.

use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;

use crate::cloud::Family;

use super::api::Answer;
use super::calls::Exchange;
use super::path::ApiPath;
use super::rates::{Exceeded, Key, Limit};
use super::roles;
use super::settings::RateLimit;
use super::state::Listener;
use super::tokens::{Grant, Tokens};

/// Lets a call of `family` through by what its token grants, or says why not.
pub(crate) fn admit(exchange: &Exchange<'_>, family: Family) -> Result<Arc<Grant>, Answer> {
    let grant = bearer(&exchange.parts.headers, &exchange.state.tokens)
        .map_err(|fault| turned_away(exchange, &fault))?;
    if grant.family != family {
        let message = format!(
            "The token is for the audience {}, which this API does not accept.",
            grant.audience
        );
        return Err(exchange.error(StatusCode::FORBIDDEN, "Forbidden", &message));
    }
    check_roles(exchange, family, &grant)?;
    count(exchange, family, &grant)?;
    Ok(grant)
}

/// 401, or what continuous access evaluation says instead. That is a matter of Graph's, and of clients that take it.
fn turned_away(exchange: &Exchange<'_>, fault: &BearerFault) -> Answer {
    if exchange.listener == Listener::Graph
        && let BearerFault::Revoked {
            at,
            takes_challenges: true,
        } = fault
    {
        claims_challenge(exchange, *at)
    } else {
        unauthorized(exchange, fault)
    }
}

/// 401 in the words of the server, for a reason the caller gives.
pub(crate) fn unauthorized(exchange: &Exchange<'_>, fault: &BearerFault) -> Answer {
    let code = match exchange.listener {
        Listener::Graph => "InvalidAuthenticationToken",
        Listener::Defender | Listener::Entra | Listener::Managed => "Unauthorized",
    };
    let mut answer = exchange.error(StatusCode::UNAUTHORIZED, code, &fault.to_string());
    if exchange.settings.www_authenticate {
        let challenge = format!("{}, error=\"invalid_token\"", challenge(exchange));
        push_challenge(&mut answer, challenge);
    }
    answer
}

/// 401 (or 403, as the setting `cae_status` says) that asks for a token that is good from the Unix time `from` at the earliest.
pub(crate) fn claims_challenge(exchange: &Exchange<'_>, from: u64) -> Answer {
    let claims = json!({"access_token": {"nbf": {"essential": true, "value": from.to_string()}}});
    let message = "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: \
                   TokenIssuedBeforeRevocationTimestamp";
    let status = exchange.settings.cae_status;
    let code = match status {
        StatusCode::FORBIDDEN => "Forbidden",
        _ => "InvalidAuthenticationToken",
    };
    let mut answer = exchange.error(status, code, message);
    let claims = BASE64.encode(claims.to_string());
    let challenge = format!(
        "{}, error=\"insufficient_claims\", claims=\"{claims}\"",
        challenge(exchange)
    );
    push_challenge(&mut answer, challenge);
    answer
}

/// What is wrong with the credentials of a call.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BearerFault {
    #[error("Missing authorization header.")]
    Missing,
    #[error("Invalid authorization header: one 'Bearer <token>' is expected.")]
    Malformed,
    #[error(
        "Invalid authorization payload: the token was not issued by this tenant's authority or has been revoked."
    )]
    Unknown,
    #[error("Invalid authorization payload: the token has been revoked.")]
    Revoked {
        /// Unix time in seconds.
        at: u64,
        takes_challenges: bool,
    },
    #[error(
        "Invalid authorization payload: the token has expired. AppId: {client_id}, Audience: {audience}, Issuer: \
         https://sts.windows.net/{tenant}/"
    )]
    Expired {
        client_id: String,
        audience: String,
        tenant: String,
    },
    #[error("Invalid authorization payload.")]
    Scripted,
    #[error("Tenant account mode is inactive: a licence for this API is missing.")]
    Licence,
}

fn bearer(headers: &HeaderMap, tokens: &Tokens) -> Result<Arc<Grant>, BearerFault> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or(BearerFault::Missing)?;
    if values.next().is_some() {
        return Err(BearerFault::Malformed);
    }
    let (scheme, token) = value
        .to_str()
        .ok()
        .and_then(|value| value.split_once(' '))
        .ok_or(BearerFault::Malformed)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(BearerFault::Malformed);
    }
    let grant = tokens.find(token).ok_or(BearerFault::Unknown)?;
    if let Some(at) = grant.revoked_at() {
        return Err(BearerFault::Revoked {
            at,
            takes_challenges: grant.takes_challenges,
        });
    }
    if grant.expired() {
        return Err(BearerFault::Expired {
            client_id: grant.client_id.clone(),
            audience: grant.audience.clone(),
            tenant: grant.tenant.clone(),
        });
    }
    Ok(grant)
}

fn check_roles(exchange: &Exchange<'_>, family: Family, grant: &Grant) -> Result<(), Answer> {
    let path = ApiPath::of(exchange.parts.uri.path());
    let roles = roles::needed(family, &exchange.parts.method, &path);
    let (what, needed): (_, Vec<&str>) = if grant.user.is_some() {
        let name = |role: &&'static str| roles::permission(family, role);
        ("scopes", roles.iter().map(name).collect())
    } else {
        ("roles", roles.to_vec())
    };
    let has = |needed: &&str| grant.roles.iter().any(|held| held == needed);
    if needed.is_empty() || needed.iter().any(has) {
        return Ok(());
    }
    let message = format!(
        "Missing application {what}. API required {what}: {}, application {what}: {}.",
        needed.join(","),
        grant.roles.join(",")
    );
    Err(exchange.error(StatusCode::FORBIDDEN, "Forbidden", &message))
}

fn count(exchange: &Exchange<'_>, family: Family, grant: &Grant) -> Result<(), Answer> {
    let (rule, limit, with_header, code) = match &exchange.settings.rate_limit {
        RateLimit::Off => return Ok(()),
        RateLimit::Documented => {
            let path = ApiPath::of(exchange.parts.uri.path());
            match Limit::documented(family, &exchange.parts.method, &path) {
                Some((rule, limit)) => (rule, limit, true, "TooManyRequests"),
                None => return Ok(()),
            }
        }
        RateLimit::Custom {
            limit,
            retry_after,
            code,
        } => (String::new(), *limit, *retry_after, code.as_str()),
    };
    let key = Key {
        family,
        tenant: grant.tenant.clone(),
        client_id: grant.client_id.clone(),
        rule,
    };
    let admitted = exchange.state.rates.admit(key, limit, Instant::now());
    admitted.map_err(|exceeded: Exceeded| {
        let mut answer = exchange.error(StatusCode::TOO_MANY_REQUESTS, code, &exceeded.to_string());
        if with_header {
            answer
                .headers
                .push((RETRY_AFTER, HeaderValue::from(exceeded.wait_seconds)));
        }
        answer
    })
}

fn challenge(exchange: &Exchange<'_>) -> String {
    format!(
        "Bearer realm=\"\", authorization_uri=\"{}/common/oauth2/authorize\"",
        exchange.state.origins.entra
    )
}

fn push_challenge(answer: &mut Answer, challenge: String) {
    // Text of ours and base64 only, so it always fits a header.
    if let Ok(value) = HeaderValue::try_from(challenge) {
        answer.headers.push((WWW_AUTHENTICATE, value));
    }
}

#[cfg(test)]
mod tests {
    use super::super::signing::Keys;
    use super::*;

    #[test]
    fn malformed_bearers_are_told_from_unknown_ones() {
        let tokens = Tokens::new(Keys::read().unwrap().tokens);
        for (value, fault) in [
            ("Bearer", BearerFault::Malformed),
            ("Bearer ", BearerFault::Malformed),
            ("Bearer a b", BearerFault::Malformed),
            ("Basic abc", BearerFault::Malformed),
            ("bearer abc", BearerFault::Unknown),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(bearer(&headers, &tokens).err(), Some(fault), "{value}");
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            assert_eq!(
                bearer(&headers, &tokens).err(),
                Some(BearerFault::Malformed),
                "{value} twice"
            );
        }
        assert_eq!(
            bearer(&HeaderMap::new(), &tokens).err(),
            Some(BearerFault::Missing)
        );
    }
}
