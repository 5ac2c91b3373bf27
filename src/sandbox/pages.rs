//! The pages that people see in a browser.

use http::{Method, StatusCode, Uri};

use super::answers::page;
use super::api::Answer;
use super::entra::Caller;
use super::entra_errors::EntraError;
use super::state::State;
use super::token_form::{Form, Version};
use super::{admin_consent, authorize, device_page};

/// What a page is shown for.
pub(crate) struct Visit<'a> {
    pub(crate) state: &'a State,
    pub(crate) caller: &'a Caller,
    pub(crate) uri: &'a Uri,
    /// The parameters in the query.
    pub(crate) query: Form,
}

impl Visit<'_> {
    /// Where Entra can't send the browser back, it says itself what is wrong.
    pub(crate) fn refused(&self, error: &EntraError) -> Answer {
        let text = self.caller.describe(error, &self.state.settings());
        let body = format!(
            "<p>Sorry, but we’re having trouble signing you in.</p><p>{}</p>",
            escaped(&text)
        );
        page(StatusCode::BAD_REQUEST, "Sign in", &body)
    }

    /// This page again, with these parameters more.
    pub(crate) fn link(&self, text: &str, more: &[(&str, &str)]) -> String {
        let query = self.uri.query().unwrap_or_default().to_owned();
        let mut query = url::form_urlencoded::Serializer::new(query);
        let query = query.extend_pairs(more).finish();
        let target = format!("{}?{query}", self.uri.path());
        format!(
            "<p><a href=\"{}\">{}</a></p>",
            escaped(&target),
            escaped(text)
        )
    }
}

/// The page of that address, if it is one.
pub(crate) fn answer(state: &State, caller: &Caller, method: &Method, uri: &Uri) -> Option<Answer> {
    if method != Method::GET && method != Method::HEAD {
        return None;
    }
    let visit = Visit {
        state,
        caller,
        uri,
        query: Form::of_query(uri.query().unwrap_or_default()),
    };
    let segments: Vec<&str> = uri.path().split('/').skip(1).collect();
    match segments.as_slice() {
        [tenant, "oauth2", "v2.0", "authorize"] => {
            Some(authorize::answer(&visit, tenant, Version::V2))
        }
        [tenant, "oauth2", "authorize"] => Some(authorize::answer(&visit, tenant, Version::V1)),
        [tenant, "v2.0", "adminconsent"] => {
            Some(admin_consent::answer(&visit, tenant, Version::V2))
        }
        [tenant, "adminconsent"] => Some(admin_consent::answer(&visit, tenant, Version::V1)),
        ["devicelogin"] => Some(device_page::answer(&visit)),
        _ => None,
    }
}

/// Text as it stands in HTML, between tags or between double quotes.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
