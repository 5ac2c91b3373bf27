//! Where browsers are sent back to, and with what.

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};
use url::{Url, form_urlencoded};

use super::Options;
use super::aadsts::MALFORMED;
use super::answers::page;
use super::api::Answer;
use super::entra_errors::EntraError;
use super::pages::escaped;
use super::token_form::Form;
use super::user_errors::UNKNOWN_REPLY;

/// A registered address, and how the client wants its parameters.
pub(crate) struct Redirect {
    /// As the client wrote it.
    pub(crate) text: String,
    uri: Url,
    mode: Mode,
    state: Option<String>,
}

enum Mode {
    Query,
    Fragment,
    FormPost,
}

impl Redirect {
    /// Reads `redirect_uri`, `response_mode` and `state`.
    ///
    /// # Errors
    /// When the address is not registered: then nobody may be sent there.
    pub(crate) fn of(options: &Options, form: &Form) -> Result<Self, EntraError> {
        let text = form.require("redirect_uri")?;
        let uri = Url::parse(text)
            .ok()
            .filter(|uri| is_registered(options, uri))
            .ok_or_else(|| EntraError::usual(&UNKNOWN_REPLY))?;
        let mode = match form.get("response_mode") {
            None | Some("query") => Mode::Query,
            Some("fragment") => Mode::Fragment,
            Some("form_post") => Mode::FormPost,
            Some(_) => return Err(EntraError::usual(&MALFORMED)),
        };
        Ok(Self {
            text: text.to_owned(),
            uri,
            mode,
            state: form.get("state").map(str::to_owned),
        })
    }

    /// Sends the browser there. An address without a path gets its slash from being parsed.
    pub(crate) fn with(&self, parameters: &[(&str, &str)]) -> Answer {
        let state = self.state.as_deref().map(|state| ("state", state));
        let parameters: Vec<(&str, &str)> = parameters.iter().copied().chain(state).collect();
        let mut uri = self.uri.clone();
        match self.mode {
            Mode::FormPost => return form_post(&uri, &parameters),
            Mode::Query => {
                uri.query_pairs_mut().extend_pairs(&parameters);
            }
            Mode::Fragment => {
                let mut fragment = form_urlencoded::Serializer::new(String::new());
                uri.set_fragment(Some(&fragment.extend_pairs(&parameters).finish()));
            }
        }
        let mut answer = Answer::without_body(StatusCode::FOUND);
        if let Ok(location) = HeaderValue::try_from(uri.as_str()) {
            answer.headers.push((LOCATION, location));
        }
        answer
    }
}

/// A page that posts itself.
fn form_post(uri: &Url, parameters: &[(&str, &str)]) -> Answer {
    let field = |(name, value): &(&str, &str)| {
        let (name, value) = (escaped(name), escaped(value));
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")
    };
    let fields = parameters.iter().map(field).collect::<Vec<_>>().concat();
    let body = format!(
        "<form method=\"post\" action=\"{}\">{fields}<button>Continue</button></form>\
         <script>document.forms[0].submit()</script>",
        escaped(uri.as_str())
    );
    page(StatusCode::OK, "Working…", &body)
}

/// Of loopback the port is ignored, the path is not (Entra ID, "Redirect URI (reply URL) outline and restrictions").
fn is_registered(options: &Options, uri: &Url) -> bool {
    options.redirect_uris.iter().any(|registered| {
        Url::parse(registered).is_ok_and(|registered| {
            let loopback = registered.scheme() == "http"
                && matches!(registered.host_str(), Some("localhost" | "127.0.0.1"));
            let same_port = loopback || registered.port() == uri.port();
            same_port
                && registered.scheme() == uri.scheme()
                && registered.host_str() == uri.host_str()
                && registered.path() == uri.path()
                && registered.query() == uri.query()
                && uri.fragment().is_none()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_loopback_are_ignored_and_paths_are_not() {
        let options = Options {
            redirect_uris: vec!["http://localhost".into(), "https://app.example/Back".into()],
            ..Options::default()
        };
        for (uri, registered) in [
            ("http://localhost", true),
            ("http://localhost:51789/", true),
            ("http://localhost:51789/callback", false),
            ("https://localhost:51789/", false),
            ("http://127.0.0.1:51789/", false),
            ("http://localhost:51789/?x=1", false),
            ("http://localhost.evil.example/", false),
            ("https://app.example/Back", true),
            ("https://app.example/back", false),
            ("https://app.example:8443/Back", false),
        ] {
            let form = Form::of_query(&format!("redirect_uri={uri}"));
            assert_eq!(Redirect::of(&options, &form).is_ok(), registered, "{uri}");
        }
    }
}
