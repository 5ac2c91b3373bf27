//! Answers of the three endpoints, each with the traps of its own.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::identity::Identity;
use super::platform::Held;
use super::source::{Refusal, Source};
use crate::sandbox::answers::{html, json as json_answer, plain_text};
use crate::sandbox::api::Answer;
use crate::sandbox::effects::{Plain, StatusFault};

impl Source {
    /// A token. All numbers are strings; App Service says when the token ends, not how long it lives.
    pub(super) fn token(self, held: &Held, identity: Identity<'_>, resource: &str) -> Answer {
        let mut body = json!({
            "access_token": held.token,
            "client_id": identity.client_id,
            "expires_on": held.end().to_string(),
            "resource": resource,
            "token_type": "Bearer",
        });
        if self != Self::AppService {
            let left = held.left().as_secs().to_string();
            body["expires_in"] = left.as_str().into();
            body["ext_expires_in"] = left.into();
            body["not_before"] = held.start().to_string().into();
            body["refresh_token"] = "".into();
        }
        json_answer(StatusCode::OK, &body)
    }

    pub(super) fn refusal(self, refusal: &Refusal) -> Answer {
        match (self, refusal) {
            // App Service doesn't say what is wrong with a resource.
            (Self::AppService, Refusal::UnknownResource(_)) => self.error(
                StatusCode::INTERNAL_SERVER_ERROR,
                (
                    "",
                    "An unexpected error occured while fetching the AAD Token.",
                ),
            ),
            _ => self.error(refusal.status(), (refusal.code(), &refusal.to_string())),
        }
    }

    /// The first answer of Arc: it names the file whose content has to be sent.
    pub(super) fn challenge(self, file: &str) -> Answer {
        let mut answer = self.refusal(&Refusal::WrongKey);
        if let Ok(realm) = HeaderValue::try_from(format!("Basic realm={file}")) {
            answer.headers.push((WWW_AUTHENTICATE, realm));
        }
        answer
    }

    /// What a script says.
    pub(super) fn scripted(self, plain: Plain) -> Answer {
        let fault = match plain {
            Plain::Html(status) => return html(status),
            Plain::Empty(status) => return Answer::without_body(status),
            Plain::Status(fault) => fault,
        };
        let StatusFault {
            status,
            retry_after,
            code,
            body,
        } = fault;
        let reason = status.canonical_reason().unwrap_or("Error");
        let mut answer = match body {
            Some(body) => plain_text(status, body),
            None => self.error(status, (code.as_deref().unwrap_or("unknown"), reason)),
        };
        if let Some(retry_after) = retry_after {
            answer.headers.push((RETRY_AFTER, retry_after.header()));
        }
        answer
    }

    fn error(self, status: StatusCode, (code, text): (&str, &str)) -> Answer {
        let body: Value = match self {
            Self::Imds | Self::Arc => json!({"error": code, "error_description": text}),
            Self::AppService => json!({"statusCode": status.as_u16(), "message": text}),
        };
        json_answer(status, &body)
    }
}
