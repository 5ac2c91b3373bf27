//! The last page that a person sees in the browser.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY},
};
use http_body_util::Full;

/// A page with a heading and one sentence.
#[derive(Debug)]
pub struct Page {
    status: StatusCode,
    heading: &'static str,
    text: String,
}

impl Page {
    /// It worked; `text` says what did.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            heading: "Done",
            text: text.into(),
        }
    }

    /// It didn't; `text` says why, and what to do.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self {
            status: StatusCode::OK,
            heading: "That didn't work",
            text: text.into(),
        }
    }

    /// For a request that nobody waits for.
    pub(super) fn stray() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            heading: "Nothing here",
            text: "This is not the answer that defender-proxy waits for.".to_owned(),
        }
    }

    pub(super) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.html()));
        *response.status_mut() = self.status;
        response.headers_mut().extend([
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            // The address holds the code; it shall stay in no cache and reach no other site.
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (
                CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(
                    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
                ),
            ),
        ]);
        response
    }

    fn html(&self) -> String {
        let (heading, text) = (escaped(self.heading), escaped(&self.text));
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>defender-proxy</title>\n\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em}}</style></head>\n\
             <body><h1>{heading}</h1><p>{text}</p><p>You can close this window.</p></body></html>\n"
        )
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}
