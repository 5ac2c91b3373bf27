//! The grant of a user who types a code into a browser anywhere (RFC 8628).

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use oauth2::{
    AsyncHttpClient, DeviceAuthorizationResponse, DeviceAuthorizationUrl, RequestTokenError,
};
use serde::{Deserialize, Serialize};

use super::{
    ANSWER_LIMIT, CallError, Entra, Granted, refusal, token_error, told_apart, unavailable,
    user_grants::{granted, scopes},
};
use crate::{
    auth::{
        TokenKey,
        aadsts::Class,
        error::{Refusal, TokenError},
        identity::User,
    },
    throttle,
};

/// A sign-in by device code that has begun.
#[derive(Debug)]
pub struct DeviceCode(DeviceAuthorizationResponse<Message>);

impl DeviceCode {
    /// What the person has to do, in Entra ID's words.
    #[must_use]
    pub fn message(&self) -> String {
        let told = &self.0.extra_fields().message;
        match told {
            Some(message) => message.chars().filter(|c| !c.is_control()).collect(),
            None => format!(
                "To sign in, open {} in a browser and enter the code {}",
                self.0.verification_uri().as_str(),
                self.0.user_code().secret()
            ),
        }
    }
}

impl Entra {
    /// Begins a sign-in by device code.
    ///
    /// # Errors
    /// When Entra ID can't be reached or says no.
    pub async fn device_code(&self, user: &User, key: &TokenKey) -> Result<DeviceCode, TokenError> {
        let url = DeviceAuthorizationUrl::new(self.endpoint(key, "devicecode"))
            .map_err(|_| unavailable(key, "its device code URL can't be formed"))?;
        self.oauth(user, key)?
            .set_device_authorization_url(url)
            .exchange_device_code()
            .add_scopes(scopes(key))
            .request_async(self)
            .await
            .map(DeviceCode)
            .map_err(|error| token_error(key, error))
    }

    /// Asks, as often as Entra ID allows, until the person has signed in, has declined, or the code has ended.
    ///
    /// # Errors
    /// When Entra ID says no. What fails on the way is asked again, more slowly.
    pub async fn poll(
        &self,
        user: &User,
        key: &TokenKey,
        code: &DeviceCode,
    ) -> Result<Granted, TokenError> {
        let polling = Polling {
            entra: self,
            last: Last::default(),
        };
        // Nobody can have signed in yet.
        tokio::time::sleep(code.0.interval()).await;
        let answer = self
            .oauth(user, key)?
            .exchange_device_access_token(&code.0)
            .set_max_backoff_interval(Duration::from_mins(1))
            .request_async(&polling, pause, None)
            .await;
        // The answer to the last question: the token's life begins no later than that.
        let asked = Instant::now();
        match answer {
            Ok(answer) => granted(&answer, key, (asked, 0)),
            Err(RequestTokenError::ServerResponse(_)) => Err(TokenError::Refused {
                identity: key.identity.to_string(),
                refusal: polling.last.take().unwrap_or_else(expired),
            }),
            Err(_) => Err(unavailable(key, "its answer is not a token response")),
        }
    }
}

/// A sandbox may have no interval at all; a server must not be asked without a pause.
async fn pause(interval: Duration) {
    tokio::time::sleep(interval.max(SHORTEST_INTERVAL)).await;
}

/// What a busy server asks for comes before the next question; `oauth2` adds its own pause.
async fn wait(retry_after: Option<Duration>) {
    tokio::time::sleep(bounded(retry_after)).await;
}

fn bounded(retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or_default().min(LONGEST_WAIT)
}

/// While a device code is polled, `oauth2` has to see what is no failure yet, and takes any error for a passing one.
struct Polling<'e> {
    entra: &'e Entra,
    last: Last,
}

/// Why Entra ID said no at last: `oauth2` forgets the number.
#[derive(Default)]
struct Last(Mutex<Option<Refusal>>);

impl Last {
    fn take(&self) -> Option<Refusal> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What only asks for patience is no reason: when the code has ended, it has ended.
    fn remember(&self, refusal: Refusal) {
        if !PATIENT.contains(&refusal.error.as_str()) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        }
    }
}

impl<'c> AsyncHttpClient<'c> for Polling<'_> {
    type Error = CallError;
    type Future =
        Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, CallError>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async {
            let response = self.entra.http.fetch(request, ANSWER_LIMIT).await?;
            match refusal(&response) {
                _ if response.status() == StatusCode::OK => Ok(response),
                Some(CallError::Refused(refusal)) if refusal.class() != Class::Transient => {
                    self.last.remember(refusal);
                    Ok(response)
                }
                Some(CallError::Refused(refusal)) => {
                    wait(refusal.retry_after).await;
                    Err(CallError::Refused(refusal))
                }
                Some(error) => Err(error),
                None => {
                    wait(throttle::retry_after(response.headers())).await;
                    told_apart(response)
                }
            }
        })
    }
}

/// `oauth2` saw the end of the code's life before Entra ID said so.
fn expired() -> Refusal {
    Refusal {
        error: "expired_token".to_owned(),
        suberror: None,
        code: None,
        trace_id: None,
        retry_after: None,
    }
}

/// What Entra ID tells the person beside RFC 8628's fields.
#[derive(Debug, Deserialize, Serialize)]
struct Message {
    message: Option<String>,
}

impl oauth2::ExtraDeviceAuthorizationFields for Message {}

/// Between two questions, whatever the server allows.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(200);
/// Beyond the life of most codes, and of a person's patience.
const LONGEST_WAIT: Duration = Duration::from_mins(5);
/// While nobody has signed in yet (RFC 8628 §3.5).
const PATIENT: [&str; 2] = ["authorization_pending", "slow_down"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_no_reason_for_the_end() {
        let refusal = |error: &str| Refusal {
            error: error.to_owned(),
            ..expired()
        };
        let last = Last::default();
        for error in PATIENT {
            last.remember(refusal(error));
        }
        assert!(last.take().is_none());
        last.remember(refusal("authorization_declined"));
        assert_eq!(last.take().unwrap().error, "authorization_declined");
    }

    #[test]
    fn a_busy_server_is_obeyed_within_reason() {
        for (asked, waited) in [(None, 0), (Some(30), 30), (Some(999_999), 300)] {
            let wait = bounded(asked.map(Duration::from_secs));
            assert_eq!(wait, Duration::from_secs(waited));
        }
    }
}
