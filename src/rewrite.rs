//! Keeps paging inside the proxy: absolute upstream links in an answer become links to the origin the client called.
//!
//! Three things are rewritten and nothing else: `Location`, `Content-Location` and `Link` headers, and, in streamed
//! JSON, the values of the `OData` control fields `@odata.nextLink`, `@odata.deltaLink` and `@odata.context`.
//! Upstream is asked for gzip, because a body can only be searched decoded; so this module also decodes, and takes
//! back every header that was true of the old bytes only. It parses no JSON, keeps no body and knows nothing of
//! routes: what counts as "ours" comes in as [`Links`].

mod ahead;
mod body;
mod encodings;
mod fields;
mod gunzip;
mod headers;
mod links;
mod rows;
#[cfg(test)]
mod script;

use std::sync::Arc;

use bytes::Bytes;
use http::response::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;

use self::headers::Coding;

pub use self::body::{Linked, Rewritten};
pub use self::encodings::{Encodings, negotiate};
pub use self::fields::Fields;
pub use self::gunzip::{Gunzip, GunzipError};
pub use self::links::{Links, Origin};

/// Whatever a body can fail with: the error of the body inside, or a [`GunzipError`].
pub use crate::body::BoxError;

/// How to rewrite the answer to one request.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// The origins that are led back to the proxy.
    pub links: &'a Arc<Links>,
    /// What takes their place: the client's own origin, perhaps with a path prefix, without a slash at the end
    /// (`http://localhost:8080/t/contoso`).
    pub local: &'a str,
    /// Where links are looked for.
    pub scope: Scope,
    /// What the client can decode, as [`negotiate`] found it in the request.
    pub client: Encodings,
}

impl Rewrite<'_> {
    /// Rewrites the answer to a `method` request, its headers at once and its body as it streams.
    ///
    /// With [`Scope::Off`] the answer comes back as it is: the client's own `Accept-Encoding` went upstream, so even
    /// its coding is upstream's reply to the client. The body fails with a [`GunzipError`] where gzip that must be
    /// decoded is cut short or corrupt, and otherwise as the body inside does.
    ///
    /// A short body is waited for, so that its length can be told.
    pub async fn response<B>(
        &self,
        method: &Method,
        response: Response<B>,
    ) -> Response<Rewritten<B>>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        if self.scope == Scope::Off {
            return response.map(Rewritten::plain);
        }
        let (mut head, body) = response.into_parts();
        let change = Change::of(self, &head);
        headers::relink(&mut head.headers, self.links, self.local);
        headers::vary_on_encoding(&mut head.headers);
        if change.decode || change.rewrite {
            headers::redeclare(&mut head.headers, change.decode);
        }
        let body = if has_no_content(method, head.status) {
            Rewritten::plain(body)
        } else {
            self.body(change, body).await
        };
        Response::from_parts(head, body)
    }

    async fn body<B>(&self, change: Change, body: B) -> Rewritten<B>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Into<BoxError>,
    {
        let fields = || Fields::new(Arc::clone(self.links), self.local, self.scope);
        let length = body.size_hint().exact();
        let is_short = length.is_some_and(|length| length <= ahead::SHORT as u64);
        match (change.decode, change.rewrite) {
            (false, false) => Rewritten::plain(body),
            (true, false) if is_short => {
                Rewritten::begun(ahead::read(Gunzip::new(body)).await, Rewritten::gunzip)
            }
            (true, false) => Rewritten::gunzip(Gunzip::new(body)),
            (false, true) if is_short => {
                let body = Linked::new(body, fields());
                Rewritten::begun(ahead::read(body).await, Rewritten::linked)
            }
            (false, true) => Rewritten::linked(Linked::new(body, fields())),
            (true, true) if is_short => {
                let body = Linked::new(Gunzip::new(body), fields());
                Rewritten::begun(ahead::read(body).await, Rewritten::both)
            }
            (true, true) => Rewritten::both(Linked::new(Gunzip::new(body), fields())),
        }
    }
}

/// Where links are rewritten.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// Nowhere (`rewrite_links = false`).
    Off,
    /// In headers, and in the control fields of the whole body.
    Fields,
    /// In headers, and in control fields up to the first key `Results` or `results`: what follows are hunting rows,
    /// which are data.
    FieldsUntilRows,
}

/// What happens to the bytes of one body.
#[derive(Clone, Copy, Debug)]
struct Change {
    decode: bool,
    rewrite: bool,
}

impl Change {
    fn of(rewrite: &Rewrite<'_>, head: &Parts) -> Self {
        let coding = headers::coding(&head.headers);
        // A range of a representation can be neither decoded nor searched: its links may be cut anywhere.
        if headers::is_range(head) || coding == Coding::Other {
            return Self {
                decode: false,
                rewrite: false,
            };
        }
        let rewritable = match head.status {
            // It stands for a 200 and must name the same validator, and it often leaves out the type: assume what
            // would be rewritten, as a weak validator is true of either.
            StatusCode::NOT_MODIFIED => headers::is_json(&head.headers).unwrap_or(true),
            status => status.is_success() && headers::is_json(&head.headers) == Some(true),
        };
        let decode = coding == Coding::Gzip && (rewritable || !rewrite.client.gzip());
        Self {
            decode,
            rewrite: rewritable,
        }
    }
}

/// Whether the answer ends with its headers (RFC 9110 sections 6.4.1 and 9.3.2), which then speak of a body not sent.
fn has_no_content(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};
    use http_body::Frame;

    use super::script::{Script, drain, gzip, now};
    use super::*;

    const LOCAL: &str = "http://localhost:8080";
    const PAGE: &str = r#"{"@odata.nextLink":"https://api.contoso.example/p?2","u":"https://api.contoso.example/"}"#;
    const PAGE_HERE: &str =
        r#"{"@odata.nextLink":"http://localhost:8080/p?2","u":"https://api.contoso.example/"}"#;

    struct Answer {
        method: Method,
        status: u16,
        headers: &'static [(&'static str, &'static str)],
        body: Vec<u8>,
        accept: &'static str,
        scope: Scope,
    }

    impl Default for Answer {
        fn default() -> Self {
            let headers = &[
                ("content-type", "application/json"),
                ("content-length", "77"),
                ("etag", "\"a\""),
            ];
            Self {
                method: Method::GET,
                status: 200,
                headers,
                body: PAGE.into(),
                accept: "",
                scope: Scope::Fields,
            }
        }
    }

    impl Answer {
        fn rewritten(&self) -> Response<Rewritten<Script>> {
            let mut request = map(&[("accept-encoding", self.accept)]);
            let client = negotiate(&mut request, self.scope);
            let links = Arc::new(Links::new(["api.contoso.example".to_owned()]));
            let rewrite = Rewrite {
                links: &links,
                local: LOCAL,
                scope: self.scope,
                client,
            };
            let mut response = Response::new(Script::chunks([self.body.clone()]));
            *response.status_mut() = StatusCode::from_u16(self.status).unwrap();
            *response.headers_mut() = map(self.headers);
            now(rewrite.response(&self.method, response))
        }

        /// Checks the answer's headers, apart from `Vary`, and its body.
        fn becomes(&self, headers: &[(&'static str, &'static str)], body: &[u8]) {
            let mut response = self.rewritten();
            let vary = response.headers_mut().remove("vary");
            assert_eq!(vary.is_some(), self.scope != Scope::Off);
            assert_eq!(*response.headers(), map(headers));
            assert_eq!(drain(response.into_body()).data().unwrap(), body);
        }

        fn stays(&self) {
            self.becomes(self.headers, &self.body);
        }
    }

    fn map(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn json_is_rewritten() {
        let headers = [("content-type", "application/json"), ("etag", "W/\"a\"")];
        Answer::default().becomes(&headers, PAGE_HERE.as_bytes());
        Answer {
            status: 201,
            accept: "gzip",
            ..Answer::default()
        }
        .becomes(&headers, PAGE_HERE.as_bytes());
        Answer {
            scope: Scope::FieldsUntilRows,
            ..Answer::default()
        }
        .becomes(&headers, PAGE_HERE.as_bytes());
    }

    /// As Graph sends when the provider of some alerts has failed: 206 with `Warning`, and no range.
    #[test]
    fn a_partial_success_is_rewritten() {
        let headers = &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("warning", "199 - x"),
        ];
        let answer = Answer {
            status: 206,
            headers,
            body: gzip(PAGE.as_bytes()),
            ..Answer::default()
        };
        answer.becomes(
            &[("content-type", "application/json"), ("warning", "199 - x")],
            PAGE_HERE.as_bytes(),
        );
    }

    #[test]
    fn gzipped_json_is_decoded_and_rewritten_whatever_the_client_accepts() {
        for accept in ["", "gzip", "br"] {
            let headers = &[
                ("content-type", "application/json"),
                ("content-encoding", "x-gzip"),
                ("content-md5", "x"),
            ];
            let answer = Answer {
                headers,
                body: gzip(PAGE.as_bytes()),
                accept,
                ..Answer::default()
            };
            answer.becomes(
                &[("content-type", "application/json")],
                PAGE_HERE.as_bytes(),
            );
        }
    }

    #[test]
    fn other_gzip_is_decoded_only_for_who_cannot() {
        let cases: [(u16, &[_], &[_]); 2] = [
            (
                200,
                &[
                    ("content-type", "text/csv"),
                    ("content-encoding", "gzip"),
                    ("content-length", "9"),
                ],
                &[("content-type", "text/csv")],
            ),
            (
                404,
                &[
                    ("content-type", "application/json"),
                    ("content-encoding", "gzip"),
                ],
                &[("content-type", "application/json")],
            ),
        ];
        for (status, headers, decoded) in cases {
            let answer = |accept| Answer {
                status,
                headers,
                body: gzip(PAGE.as_bytes()),
                accept,
                ..Answer::default()
            };
            answer("gzip").stays();
            answer("gzip;q=0").becomes(decoded, PAGE.as_bytes());
        }
    }

    #[test]
    fn everything_else_stays_to_the_byte() {
        for status in [301, 400, 404, 500] {
            Answer {
                status,
                ..Answer::default()
            }
            .stays();
        }
        let gzipped_part = &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("content-range", "bytes 0-9/99"),
        ];
        Answer {
            status: 206,
            headers: gzipped_part,
            ..Answer::default()
        }
        .stays();
        let parts = &[
            ("content-type", "multipart/byteranges; boundary=x"),
            ("content-encoding", "gzip"),
        ];
        Answer {
            status: 206,
            headers: parts,
            ..Answer::default()
        }
        .stays();
        for content_type in [
            "application/x-ndjson",
            "text/csv",
            "application/octet-stream",
        ] {
            let headers = Box::leak(Box::new([
                ("content-type", content_type),
                ("content-length", "77"),
                ("accept-ranges", "bytes"),
            ]));
            Answer {
                headers,
                ..Answer::default()
            }
            .stays();
        }
        Answer {
            headers: &[],
            ..Answer::default()
        }
        .stays();
        Answer {
            headers: &[
                ("content-type", "application/json"),
                ("content-encoding", "br"),
            ],
            ..Answer::default()
        }
        .stays();
    }

    #[test]
    fn nothing_changes_when_off() {
        Answer {
            scope: Scope::Off,
            ..Answer::default()
        }
        .stays();
        let headers = &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("location", "https://api.contoso.example/"),
        ];
        Answer {
            scope: Scope::Off,
            headers,
            body: gzip(b"{}"),
            ..Answer::default()
        }
        .stays();
    }

    #[test]
    fn headers_are_rewritten_with_any_status() {
        for status in [201, 204, 302, 404] {
            let headers = &[("location", "https://api.contoso.example/x")];
            Answer {
                status,
                headers,
                body: Vec::new(),
                ..Answer::default()
            }
            .becomes(&[("location", "http://localhost:8080/x")], b"");
        }
    }

    #[test]
    fn answers_without_content_speak_of_the_one_they_stand_for() {
        let headers = &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
            ("content-length", "77"),
            ("etag", "\"a\""),
        ];
        let told = [("content-type", "application/json"), ("etag", "W/\"a\"")];
        Answer {
            method: Method::HEAD,
            headers,
            body: Vec::new(),
            ..Answer::default()
        }
        .becomes(&told, b"");
        for status in [204, 304] {
            Answer {
                status,
                headers,
                body: Vec::new(),
                ..Answer::default()
            }
            .becomes(&told, b"");
        }
        let headers = &[("etag", "\"a\"")];
        Answer {
            status: 304,
            headers,
            body: Vec::new(),
            ..Answer::default()
        }
        .becomes(&[("etag", "W/\"a\"")], b"");
        let headers = &[("etag", "\"a\""), ("content-type", "text/csv")];
        Answer {
            status: 304,
            headers,
            body: Vec::new(),
            ..Answer::default()
        }
        .stays();
        // A body that is not to be there is not decoded either.
        let headers = &[
            ("content-type", "application/json"),
            ("content-encoding", "gzip"),
        ];
        let response = Answer {
            method: Method::HEAD,
            headers,
            body: b"x".to_vec(),
            ..Answer::default()
        }
        .rewritten();
        assert_eq!(drain(response.into_body()).data().unwrap(), b"x");
    }

    #[test]
    fn the_answer_varies_with_what_the_client_accepts() {
        let vary = |scope| {
            Answer {
                scope,
                headers: &[],
                ..Answer::default()
            }
            .rewritten()
            .headers()
            .get("vary")
            .cloned()
        };
        assert_eq!(vary(Scope::Fields).unwrap(), "accept-encoding");
        assert_eq!(vary(Scope::Off), None);
    }

    #[test]
    fn an_unchanged_body_is_the_body_inside() {
        let response = Answer {
            headers: &[("content-type", "text/csv")],
            ..Answer::default()
        }
        .rewritten();
        assert_eq!(response.body().size_hint().exact(), Some(PAGE.len() as u64));
        assert!(!response.body().is_end_stream());
        let changed = Answer::default().rewritten();
        assert_eq!(
            changed.body().size_hint().exact(),
            Some(PAGE_HERE.len() as u64)
        );
        let long = Answer {
            body: PAGE.repeat(1000).into(),
            ..Answer::default()
        };
        assert_eq!(long.rewritten().body().size_hint().exact(), None);
        let empty = Answer {
            body: Vec::new(),
            ..Answer::default()
        }
        .rewritten();
        assert!(empty.body().is_end_stream());
        assert_eq!(empty.body().size_hint().exact(), Some(0));
    }

    #[test]
    fn trailers_lose_what_no_longer_holds() {
        let links = Arc::new(Links::default());
        for (content_type, kept) in [("application/json", 1), ("text/csv", 2)] {
            let rewrite = Rewrite {
                links: &links,
                local: LOCAL,
                scope: Scope::Fields,
                client: Encodings::default(),
            };
            let trailers = Frame::trailers(map(&[("content-digest", "x"), ("server-timing", "y")]));
            let mut response =
                Response::new(Script::new([Ok(Frame::data("{}".into())), Ok(trailers)]));
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static(content_type));
            let drained = drain(now(rewrite.response(&Method::GET, response)).into_body());
            assert_eq!(
                drained.trailers.as_ref().map(HeaderMap::len),
                Some(kept),
                "{content_type}"
            );
            assert_eq!(drained.data().unwrap(), b"{}");
        }
    }
}
