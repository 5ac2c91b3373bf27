//! The faults, and how they are injected.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    process::StandIns,
    relay::{Mode, Relay},
};

/// How long after its end the first right answer came; `None` if none did.
pub(crate) type Recovery = Option<Duration>;

pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) lasts: Duration,
    cause: Cause,
}

enum Cause {
    /// What the API stand-in does to each request.
    Api(&'static str),
    /// What the token endpoint does; all tokens are revoked, too, so that new ones are needed at once.
    Token(&'static str),
    /// The API host's connections.
    ApiHost(Mode),
    /// The login host's, and all tokens are revoked.
    LoginHost(Mode),
    /// Both hosts' at once: a machine without a network.
    Network(Mode),
    /// All tokens are revoked.
    Revoked,
}

impl Fault {
    /// Each in turn.
    pub(crate) fn next(before: usize) -> &'static Self {
        &FAULTS[before % FAULTS.len()]
    }

    pub(crate) async fn inject(&self, stand_ins: &StandIns) {
        match self.cause {
            Cause::Api(effect) => stand_ins.control("faults", always("api", effect)).await,
            Cause::Token(effect) => {
                stand_ins.control("faults", always("token", effect)).await;
                revoke(stand_ins).await;
            }
            Cause::LoginHost(_) | Cause::Revoked => revoke(stand_ins).await,
            Cause::ApiHost(_) | Cause::Network(_) => {}
        }
        for (relay, mode) in self.relays(stand_ins) {
            relay.set(mode);
        }
    }

    pub(crate) async fn end(&self, stand_ins: &StandIns) {
        for (relay, _) in self.relays(stand_ins) {
            relay.set(Mode::Open);
        }
        stand_ins.calm().await;
    }

    /// May an answer that has begun end with its connection?
    pub(crate) fn breaks_answers(&self) -> bool {
        match self.cause {
            Cause::Api(effect) => effect.contains("mid-body") || effect.contains("truncate"),
            Cause::ApiHost(_) | Cause::Network(_) => true,
            Cause::Token(_) | Cause::LoginHost(_) | Cause::Revoked => false,
        }
    }

    fn relays<'s>(&self, stand_ins: &'s StandIns) -> Vec<(&'s Relay, Mode)> {
        match self.cause {
            Cause::Api(_) | Cause::Token(_) | Cause::Revoked => Vec::new(),
            Cause::ApiHost(mode) => vec![(&stand_ins.api, mode)],
            Cause::LoginHost(mode) => vec![(&stand_ins.login, mode)],
            Cause::Network(mode) => vec![(&stand_ins.api, mode), (&stand_ins.login, mode)],
        }
    }
}

async fn revoke(stand_ins: &StandIns) {
    stand_ins.control("revoke", json!({"app": true})).await;
}

fn always(queue: &str, effect: &str) -> Value {
    let mut action: Value = serde_json::from_str(effect).expect("JSON");
    action["times"] = json!("always");
    json!({ queue: [action] })
}

const fn fault(name: &'static str, milliseconds: u64, cause: Cause) -> Fault {
    let lasts = Duration::from_millis(milliseconds);
    Fault { name, lasts, cause }
}

const FAULTS: &[Fault] = &[
    fault("API: 500", 700, Cause::Api(r#"{"status": 500}"#)),
    fault(
        "API: reset before headers",
        700,
        Cause::Api(r#"{"reset": "before-headers"}"#),
    ),
    fault("API: tokens revoked", 700, Cause::Revoked),
    fault(
        "API: reset in the body",
        700,
        Cause::Api(r#"{"reset": "mid-body"}"#),
    ),
    fault("API host down", 1_000, Cause::ApiHost(Mode::Down)),
    fault(
        "API: 429, one second",
        700,
        Cause::Api(r#"{"status": 429, "retry_after": 1}"#),
    ),
    fault("login host down", 1_000, Cause::LoginHost(Mode::Down)),
    fault(
        "API: bodies cut after 10 bytes",
        700,
        Cause::Api(r#"{"truncate": 10}"#),
    ),
    fault(
        "API: slow bodies",
        1_500,
        Cause::Api(r#"{"slow_body_ms": 100}"#),
    ),
    fault(
        "token endpoint: 500",
        1_000,
        Cause::Token(r#"{"status": 500}"#),
    ),
    fault(
        "API: 401 for every token",
        700,
        Cause::Api(r#"{"unauthorized": "always"}"#),
    ),
    fault("API: HTML, 502", 700, Cause::Api(r#"{"html": 502}"#)),
    fault(
        "token endpoint: 429",
        1_000,
        Cause::Token(r#"{"status": 429, "retry_after": 1}"#),
    ),
    fault(
        "API: answers late",
        1_500,
        Cause::Api(r#"{"delay_ms": 600}"#),
    ),
    fault("API host silent", 2_000, Cause::ApiHost(Mode::Silent)),
    fault(
        "token endpoint: reset",
        1_000,
        Cause::Token(r#"{"reset": "before-headers"}"#),
    ),
    fault("API: 503, empty", 700, Cause::Api(r#"{"empty": 503}"#)),
    fault(
        "token endpoint: HTML",
        1_000,
        Cause::Token(r#"{"html": 200}"#),
    ),
    fault("network down", 1_500, Cause::Network(Mode::Down)),
    fault(
        "token endpoint: late",
        2_000,
        Cause::Token(r#"{"delay_ms": 1500}"#),
    ),
    fault(
        "token endpoint: empty",
        1_000,
        Cause::Token(r#"{"empty_200": true}"#),
    ),
    fault("login host silent", 2_000, Cause::LoginHost(Mode::Silent)),
    fault(
        "token endpoint: JSON cut short",
        1_000,
        Cause::Token(r#"{"truncated_json": true}"#),
    ),
    fault("network silent", 2_000, Cause::Network(Mode::Silent)),
];

/// Longer than any hold-off that one fault leads to.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);
