//! Scripted faults: what one entry of `POST /_sandbox/faults` asks for.

use serde_json::{Map, Value};

use super::effects::{ApiFault, Effect};
use super::modifiers::Modifiers;
use super::path::ApiPath;
use super::script::{KINDS, ScriptError, number, text};
use super::state::Listener;

/// One scripted fault and the requests it is for.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) effect: Effect,
    pub(crate) times: Times,
    /// Matching requests that pass unharmed first.
    pub(crate) after: u64,
    /// Lower-case start of the paths it is for; all when absent.
    path: Option<String>,
}

impl Action {
    pub(crate) fn parse(mut map: Map<String, Value>, queue: Queue) -> Result<Self, ScriptError> {
        let times = map
            .remove("times")
            .map(|value| Times::parse(&value))
            .transpose()?;
        let after = map
            .remove("after")
            .map_or(Ok(0), |value| number("after", &value))?;
        let path = map
            .remove("path")
            .map(|value| text("path", &value))
            .transpose()?;
        let mut modifiers = Modifiers::take(&mut map)?;
        let (kind, value) = only_kind(map)?;
        let (effect, usual) = Effect::parse(&kind, &value, &mut modifiers)?;
        modifiers.refuse_left(&kind)?;
        match (&effect, queue) {
            (Effect::Entra(_), Queue::Api | Queue::Managed)
            | (Effect::Api(_) | Effect::Partial, Queue::Token | Queue::Managed) => {
                return Err(ScriptError::Queue {
                    kind,
                    queue: queue.name(),
                });
            }
            (
                Effect::Entra(_) | Effect::Wait(_) | Effect::Damage(_) | Effect::Plain(_),
                Queue::Token,
            )
            | (
                Effect::Api(_)
                | Effect::Partial
                | Effect::Wait(_)
                | Effect::Damage(_)
                | Effect::Plain(_),
                Queue::Api,
            )
            | (Effect::Wait(_) | Effect::Damage(_) | Effect::Plain(_), Queue::Managed) => {}
        }
        if path.is_some() && queue == Queue::Token {
            return Err(ScriptError::Queue {
                kind: "path".into(),
                queue: queue.name(),
            });
        }
        Ok(Self {
            effect,
            times: times.unwrap_or(usual),
            after,
            path: path.map(|path| path.to_ascii_lowercase()),
        })
    }

    /// Whether a request is one this action is for; `path` in lower case.
    pub(crate) fn matches(&self, listener: Listener, path: &str) -> bool {
        let by_kind = match &self.effect {
            Effect::Partial | Effect::Api(ApiFault::ClaimsChallenge) => listener == Listener::Graph,
            Effect::Api(ApiFault::Hunting(_)) => ApiPath::of(path).is_hunting(),
            Effect::Api(ApiFault::Unauthorized | ApiFault::Licence)
            | Effect::Wait(_)
            | Effect::Damage(_)
            | Effect::Plain(_)
            | Effect::Entra(_) => true,
        };
        by_kind
            && self
                .path
                .as_ref()
                .is_none_or(|start| path.starts_with(start))
    }
}

/// Which stand-in a list of actions is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Token,
    Api,
    /// Of managed identities.
    Managed,
}

impl Queue {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Api => "api",
            Self::Managed => "managed",
        }
    }
}

/// How many requests an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Count(u64),
    /// Until the next reset.
    Always,
}

impl Times {
    fn parse(value: &Value) -> Result<Self, ScriptError> {
        match (value.as_str(), value.as_u64()) {
            (Some("always"), _) => Ok(Self::Always),
            (None, Some(count)) if count > 0 => Ok(Self::Count(count)),
            (Some(_) | None, _) => Err(ScriptError::value(
                "times",
                value,
                "a number from 1, or \"always\"",
            )),
        }
    }
}

fn only_kind(map: Map<String, Value>) -> Result<(String, Value), ScriptError> {
    if let Some(unknown) = map
        .keys()
        .find(|key| !KINDS.split(", ").any(|kind| kind == *key))
    {
        return Err(ScriptError::UnknownKey(unknown.clone()));
    }
    let names = map.keys().cloned().collect::<Vec<_>>().join(" and ");
    let mut entries = map.into_iter();
    match (entries.next(), entries.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(ScriptError::Kinds("none".into())),
        (Some(_), Some(_)) => Err(ScriptError::Kinds(names)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, queue: Queue) -> Result<Action, ScriptError> {
        let Value::Object(map) = serde_json::from_str(text).unwrap() else {
            panic!("not an object")
        };
        Action::parse(map, queue)
    }

    #[test]
    fn every_kind_is_read() {
        for text in [
            r#"{"status": 429, "retry_after": 7, "times": 3}"#,
            r#"{"status": 429, "retry_after": "date", "body": "slow down"}"#,
            r#"{"code": "429", "retry_after": "date+5"}"#,
            r#"{"html": 502}"#,
            r#"{"empty": 404, "after": 2}"#,
            r#"{"empty_200": true}"#,
            r#"{"reset": "before-headers"}"#,
            r#"{"reset": "mid-body", "path": "/api/Incidents"}"#,
            r#"{"delay_ms": 200000}"#,
            r#"{"slow_body_ms": 5}"#,
            r#"{"truncate": 10}"#,
            r#"{"hold": "a"}"#,
            r#"{"unauthorized": "once"}"#,
            r#"{"claims_challenge": true}"#,
            r#"{"licence_401": true}"#,
            r#"{"hunting": "oversize"}"#,
            r#"{"partial": true}"#,
        ] {
            assert!(parse(text, Queue::Api).is_ok(), "{text}");
        }
        assert!(parse(r#"{"aadsts": 7000215}"#, Queue::Token).is_ok());
        assert!(parse(r#"{"truncated_json": true}"#, Queue::Token).is_ok());
        let changed = r#"{"aadsts": 50076, "error": "interaction_required", "suberror": "additional_action"}"#;
        assert!(parse(changed, Queue::Token).is_ok());
    }

    #[test]
    fn faults_of_a_script_are_named() {
        for (text, queue, part) in [
            (r#"{"statsu": 429}"#, Queue::Api, "unknown key `statsu`"),
            (r#"{"status": 42}"#, Queue::Api, "`status` cannot be 42"),
            (r#"{"times": 2}"#, Queue::Api, "this one has none"),
            (
                r#"{"html": 500, "empty": 404}"#,
                Queue::Api,
                "html and empty",
            ),
            (
                r#"{"delay_ms": 5, "retry_after": 1}"#,
                Queue::Api,
                "`retry_after` has no meaning with `delay_ms`",
            ),
            (r#"{"aadsts": 1}"#, Queue::Token, "`aadsts` cannot be 1"),
            (
                r#"{"aadsts": 65001}"#,
                Queue::Api,
                "`aadsts` cannot be used in `api`",
            ),
            (
                r#"{"aadsts": 50076, "suberror": "basic"}"#,
                Queue::Token,
                "`suberror` cannot be \"basic\"",
            ),
            (
                r#"{"status": 400, "error": "invalid_grant"}"#,
                Queue::Token,
                "`error` has no meaning with `status`",
            ),
            (
                r#"{"partial": true}"#,
                Queue::Token,
                "`partial` cannot be used in `token`",
            ),
            (
                r#"{"licence_401": true}"#,
                Queue::Token,
                "`licence_401` cannot be used in `token`",
            ),
            (
                r#"{"status": 503, "path": "/x"}"#,
                Queue::Token,
                "`path` cannot be used in `token`",
            ),
            (
                r#"{"hold": "a", "times": 0}"#,
                Queue::Api,
                "`times` cannot be 0",
            ),
            (
                r#"{"reset": "later"}"#,
                Queue::Api,
                "before-headers or mid-body",
            ),
        ] {
            let error = parse(text, queue).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn some_kinds_are_for_some_requests() {
        let hunting = parse(r#"{"hunting": "cpu_quota"}"#, Queue::Api).unwrap();
        assert!(hunting.matches(Listener::Graph, "/v1.0/security/runhuntingquery"));
        assert!(hunting.matches(
            Listener::Graph,
            "/v1.0/security/microsoft.graph.security.runhuntingquery"
        ));
        assert!(!hunting.matches(Listener::Defender, "/api/incidents"));
        let challenge = parse(r#"{"claims_challenge": true}"#, Queue::Api).unwrap();
        assert!(!challenge.matches(Listener::Defender, "/api/incidents"));
        let partial = parse(r#"{"partial": true}"#, Queue::Api).unwrap();
        assert!(partial.matches(Listener::Graph, "/v1.0/security/alerts_v2"));
        assert!(!partial.matches(Listener::Defender, "/api/alerts"));
        let prefixed = parse(r#"{"empty": 404, "path": "/API/In"}"#, Queue::Api).unwrap();
        assert!(prefixed.matches(Listener::Defender, "/api/incidents"));
        assert!(!prefixed.matches(Listener::Defender, "/api/alerts"));
    }
}
