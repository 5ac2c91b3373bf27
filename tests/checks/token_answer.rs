//! Answers of the token endpoint.

use std::{
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
    time::Duration,
};

use defender_proxy::auth::{TokenKey, entra};
use http::Response;
use serde_json::{Map, Value};

/// No answer panics. A token has the answer's life, of ten days at most, and shows its text nowhere; an error shows no secret of
/// the answer, and makes nobody wait for longer than an hour.
pub(crate) fn token_answer(answer: Response<Vec<u8>>) {
    let said = object(answer.body());
    let secrets = secrets(&said);
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(read) = pin!(entra::read_answer(&KEY, answer)).poll(&mut context) else {
        panic!("it waits");
    };
    match read {
        Ok(token) => {
            // A field that nobody reads may hold what is no text.
            if let Some(text) = said.get("access_token").and_then(Value::as_str) {
                assert_eq!(*token.header(), format!("Bearer {text}"));
                let life = said["expires_in"].as_u64().map(Duration::from_secs);
                let longest = Duration::from_hours(10 * 24);
                assert_eq!(life.map(|life| life.min(longest)), Some(token.life()));
            }
            assert!(token.is_live());
            shows_none(&secrets, &format!("{token:?}{:?}", token.header()));
        }
        Err(error) => {
            let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
            for failures in [1, 2, 40, u32::MAX] {
                assert!(bounds.contains(&error.hold_off(failures)), "{error:?}");
            }
            shows_none(
                &secrets,
                &format!("{error} {error:?} {}", error.next_step()),
            );
        }
    }
}

/// The answer's object; what stands behind it is nobody's concern.
fn object(body: &[u8]) -> Map<String, Value> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter();
    values.next().and_then(Result::ok).unwrap_or_default()
}

/// What of an answer nobody may see. Left out is what the answer also says in a field that is shown, and what is too short to be
/// told from other words.
fn secrets(said: &Map<String, Value>) -> Vec<String> {
    let text = |name: &&str| Some(said.get(*name)?.as_str()?.to_owned());
    let shown: Vec<_> = SHOWN.iter().filter_map(text).collect();
    let mut secrets: Vec<_> = SECRET.iter().filter_map(text).collect();
    secrets.retain(|secret| secret.len() >= 24 && !shown.iter().any(|text| text.contains(secret)));
    secrets
}

fn shows_none(secrets: &[String], shown: &str) {
    assert!(
        !secrets.iter().any(|secret| shown.contains(secret)),
        "{shown}"
    );
}

const SECRET: [&str; 4] = [
    "access_token",
    "refresh_token",
    "id_token",
    "error_description",
];
const SHOWN: [&str; 3] = ["error", "suberror", "trace_id"];

static KEY: LazyLock<TokenKey> = LazyLock::new(|| TokenKey {
    identity: "soc".into(),
    tenant: "contoso.example".parse().expect("a tenant"),
    audience: "https://api.contoso.example".parse().expect("an audience"),
});
