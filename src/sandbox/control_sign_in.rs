//! Control requests in place of people: those who enter a device code, and those who revoke tokens.

use std::sync::Arc;

use serde_json::{Value, json};

use super::device::Decision;
use super::script::{ScriptError, choice, flag, object, text};
use super::state::State;
use super::users::{self, SandboxUser};

/// `POST /_sandbox/device`: a person enters a code.
pub(crate) fn device(state: &State, body: &[u8]) -> Result<Value, ScriptError> {
    let (mut code, mut decision) = (None, None);
    for (key, value) in object(body)? {
        match key.as_str() {
            "user_code" => code = Some(text(&key, &value)?),
            "user" => decision = Some(Decision::SignIn(user(state, &key, &value)?)),
            "action" => {
                let choices = [("decline", Act::Decline), ("expire", Act::Expire)];
                decision = Some(match choice(&key, &value, "decline or expire", &choices)? {
                    Act::Decline => Decision::Decline,
                    Act::Expire => Decision::Expire,
                });
            }
            _ => return Err(ScriptError::UnknownKey(key)),
        }
    }
    let decision =
        decision.ok_or_else(|| ScriptError::value("user", &Value::Null, "a user's name"))?;
    match code {
        Some(code) if state.decide(&code, decision) => Ok(json!({"user_code": code})),
        code => Err(ScriptError::value(
            "user_code",
            &json!(code),
            "a code that was shown",
        )),
    }
}

/// `POST /_sandbox/revoke`: an administrator revokes what was issued so far.
pub(crate) fn revoke(state: &State, body: &[u8]) -> Result<Value, ScriptError> {
    let (mut access, mut refresh) = (0, 0);
    for (key, value) in object(body)? {
        match key.as_str() {
            "user" => {
                let user = user(state, &key, &value)?;
                access += state.tokens.revoke(Some(&user));
                refresh += state.sessions.revoke(&user);
            }
            "app" => {
                if flag(&key, &value)? {
                    access += state.tokens.revoke(None);
                }
            }
            _ => return Err(ScriptError::UnknownKey(key)),
        }
    }
    Ok(json!({"revoked": {"access_tokens": access, "refresh_tokens": refresh}}))
}

#[derive(Clone, Copy)]
enum Act {
    Decline,
    Expire,
}

fn user(state: &State, key: &str, value: &Value) -> Result<Arc<SandboxUser>, ScriptError> {
    users::named(state, &text(key, value)?)
        .ok_or_else(|| ScriptError::value(key, value, "a user's name"))
}
