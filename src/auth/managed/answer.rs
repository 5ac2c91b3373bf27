//! What a platform's token endpoint answers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{Response, StatusCode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::PlatformError;
use crate::{auth::AccessToken, throttle};

/// A token, or why there is none.
pub(super) fn read(
    platform: &'static str,
    response: Response<Vec<u8>>,
    asked: Instant,
) -> Result<AccessToken, PlatformError> {
    match response.status() {
        StatusCode::OK => token(&Zeroizing::new(response.into_body()), asked)
            .ok_or(PlatformError::NoToken(platform)),
        StatusCode::BAD_REQUEST if names_resource(response.body()) => Err(PlatformError::Resource),
        status @ StatusCode::BAD_REQUEST => Err(PlatformError::NoIdentity(status)),
        status if passes(status) => Err(PlatformError::Busy {
            platform,
            status,
            retry_after: throttle::retry_after(response.headers()),
        }),
        status => Err(PlatformError::Refused(status)),
    }
}

/// May the same request succeed soon? (Entra ID, "Use managed identities on a virtual machine to acquire an access token": Retry
/// guidance.)
fn passes(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error()
}

#[derive(Deserialize)]
struct Answer<'a> {
    access_token: &'a str,
    expires_in: Option<Number>,
    expires_on: Option<Number>,
}

/// IMDS and App Service write numbers as texts, others don't.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn seconds(&self) -> Option<Duration> {
        let seconds = match self {
            Self::Number(seconds) => *seconds,
            Self::Text(text) => text.parse().ok()?,
        };
        Some(Duration::from_secs(seconds))
    }
}

fn token(body: &[u8], asked: Instant) -> Option<AccessToken> {
    let answer: Answer<'_> = serde_json::from_slice(body).ok()?;
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    // App Service says no more than when it ends.
    let until = |end: Duration| end.checked_sub(since_1970);
    let life = answer.expires_in.as_ref().and_then(Number::seconds);
    let end = answer.expires_on.as_ref().and_then(Number::seconds);
    let life = life.or_else(|| end.and_then(until))?;
    // The platform keeps tokens for itself, and gives no hint when it has a new one.
    let renew_in = (life >= LONG).then_some(life / 2);
    AccessToken::new(answer.access_token, life, renew_in, 0)
        .map(|token| token.asked_at(asked))
        .filter(AccessToken::is_live)
}

fn names_resource(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    serde_json::from_slice(body).is_ok_and(|refusal: Refusal| refusal.error == "invalid_resource")
}

/// From this life on a token is renewed at half of it, as Microsoft's own libraries do.
const LONG: Duration = Duration::from_hours(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn life(body: &str) -> Option<u64> {
        token(body.as_bytes(), Instant::now()).map(|token| token.life().as_secs())
    }

    #[test]
    fn lives_are_read_as_numbers_texts_and_ends() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let end = now.as_secs() + 3600;
        for (body, at_least) in [
            (r#"{"access_token":"t","expires_in":3599}"#.to_owned(), 3599),
            (
                r#"{"access_token":"t","refresh_token":"","expires_in":"3599","expires_on":"1"}"#
                    .to_owned(),
                3599,
            ),
            (
                format!(r#"{{"access_token":"t","expires_on":"{end}"}}"#),
                3590,
            ),
            (
                format!(r#"{{"access_token":"t","expires_in":"","expires_on":{end}}}"#),
                3590,
            ),
        ] {
            let life = life(&body).unwrap_or_else(|| panic!("{body}"));
            assert!((at_least..=3600).contains(&life), "{body}: {life}");
        }
        for body in [
            "",
            "<html>",
            r#"{"access_token":"t"}"#,
            r#"{"access_token":"t","expires_in":"0"}"#,
            r#"{"access_token":"t","expires_on":"1"}"#,
            r#"{"expires_in":"3599"}"#,
            r#"{"access_token":"two\nlines","expires_in":"3599"}"#,
        ] {
            assert_eq!(life(body), None, "{body}");
        }
    }

    #[test]
    fn long_lives_are_renewed_at_half() {
        for (life, earliest, latest) in [(7200, 3200, 3600), (7199, 6500, 6900)] {
            let body = format!(r#"{{"access_token":"t","expires_in":"{life}"}}"#);
            let token = token(body.as_bytes(), Instant::now()).unwrap();
            let renewal = token.until_renewal().as_secs();
            assert!((earliest..=latest).contains(&renewal), "{life}: {renewal}");
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let refused = |status: u16, body: &str| {
            let response = Response::builder().status(status);
            let response = response.body(body.as_bytes().to_vec()).unwrap();
            read("x", response, Instant::now()).unwrap_err()
        };
        let resource = r#"{"error":"invalid_resource","error_description":"S3cret"}"#;
        assert!(matches!(refused(400, resource), PlatformError::Resource));
        assert!(matches!(refused(400, "{}"), PlatformError::NoIdentity(_)));
        for status in [404, 410, 429, 500, 503] {
            assert!(matches!(refused(status, ""), PlatformError::Busy { .. }));
        }
        for status in [302, 401, 403] {
            assert!(matches!(refused(status, ""), PlatformError::Refused(_)));
        }
    }
}
