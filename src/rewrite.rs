//! Keeps paging inside the proxy: absolute upstream links in an answer become links to the origin the client called.
//!
//! Three things are rewritten and nothing else: `Location`, `Content-Location` and `Link` headers, and, in streamed JSON,
//! the values of the `OData` control fields `@odata.nextLink`, `@odata.deltaLink` and `@odata.context`. Upstream is asked for
//! gzip, because a body can only be searched decoded; so this module also decodes, and takes back every header that was
//! true of the old bytes only. It parses no JSON, keeps no body and knows nothing of routes: what counts as "ours" comes in as [`Links`].

mod body;
mod encodings;
mod fields;
mod gunzip;
mod headers;
mod links;
mod rows;

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
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

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
    /// With [`Scope::Off`] the answer comes back as it is: the client's own `Accept-Encoding` went upstream, so even its
    /// coding is upstream's reply to the client. The body fails with a [`GunzipError`] where gzip that must be decoded is
    /// cut short or corrupt, and otherwise as the body inside does.
    pub fn response<B>(&self, method: &Method, response: Response<B>) -> Response<Rewritten<B>>
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
            self.body(change, body)
        };
        Response::from_parts(head, body)
    }

    fn body<B>(&self, change: Change, body: B) -> Rewritten<B> {
        let fields = || Fields::new(Arc::clone(self.links), self.local, self.scope);
        match (change.decode, change.rewrite) {
            (false, false) => Rewritten::plain(body),
            (true, false) => Rewritten::gunzip(Gunzip::new(body)),
            (false, true) => Rewritten::linked(Linked::new(body, fields())),
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
    /// In headers, and in control fields up to the first key `Results` or `results`: what follows are hunting rows, which are data.
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
        // Part of a representation can be neither decoded nor searched: its links may be cut anywhere.
        if head.status == StatusCode::PARTIAL_CONTENT || coding == Coding::Other {
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
