//! What a request can have against it, and the notice that tells the service.

use http::{Request, StatusCode, Version};

/// Why a request is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// Not `METHOD target HTTP/1.1`, or more than one empty line before it.
    #[error("the request line is malformed")]
    RequestLine,
    /// A target that is no URI, or one with a fragment.
    #[error("the request's target is malformed")]
    Target,
    /// A target beyond 32 KiB.
    #[error("the request's target is too long")]
    LongTarget,
    /// Another major or minor version than 1.0 and 1.1.
    #[error("the request's HTTP version is not supported")]
    Version,
    /// A name that is no token, a value with a control character, a folded line.
    #[error("a header field of the request is malformed")]
    Field,
    /// A line that ends in anything but CR LF.
    #[error("a line of the request doesn't end in CR LF")]
    LineEnd,
    /// A head beyond 64 KiB.
    #[error("the request's head is too large")]
    LargeHead,
    /// More than 100 fields.
    #[error("the request has too many header fields")]
    ManyFields,
    /// `Content-Length` that is no number, or there is more than one.
    #[error("the request's Content-Length is malformed or repeated")]
    Length,
    /// `Transfer-Encoding` that is not `chunked` alone, is repeated, or stands in HTTP/1.0.
    #[error("the request's Transfer-Encoding is malformed, repeated or in HTTP/1.0")]
    TransferEncoding,
    /// A transfer coding before `chunked`.
    #[error("the request has a transfer coding other than chunked")]
    UnknownCoding,
    /// `Content-Length` beside `Transfer-Encoding`.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoFramings,
    /// A field that frames the body for servers that read an underscore as a dash.
    #[error("a header field of the request looks like one that frames its body")]
    LookAlike,
    /// An expectation other than `100-continue`.
    #[error("the request's Expect asks for something else than 100-continue")]
    Expectation,
    /// A chunk whose size is no number of at most 16 hexadecimal digits.
    #[error("a chunk of the request's body has a malformed size")]
    ChunkSize,
    /// A chunk extension with control characters, or more than 4 KiB of them.
    #[error("the chunk extensions of the request's body are malformed or too long")]
    ChunkExtension,
    /// A chunk longer than it says.
    #[error("a chunk of the request's body doesn't end where it should")]
    ChunkEnd,
    /// Trailers that are no fields, or more than 8 KiB or 64 of them.
    #[error("the trailers of the request are malformed or too large")]
    Trailers,
}

impl Fault {
    /// All that can be found in a head; a [`Fault::notice`] names one by its place.
    const OF_HEADS: [Self; 14] = [
        Self::RequestLine,
        Self::Target,
        Self::LongTarget,
        Self::Version,
        Self::Field,
        Self::LineEnd,
        Self::LargeHead,
        Self::ManyFields,
        Self::Length,
        Self::TransferEncoding,
        Self::UnknownCoding,
        Self::TwoFramings,
        Self::LookAlike,
        Self::Expectation,
    ];

    /// The status of the answer (RFC 9110 §15.5 and §15.6, RFC 9112 §3 and §6, RFC 6585 §5).
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::LongTarget => StatusCode::URI_TOO_LONG,
            Self::LargeHead | Self::ManyFields => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::UnknownCoding => StatusCode::NOT_IMPLEMENTED,
            Self::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::RequestLine
            | Self::Target
            | Self::Field
            | Self::LineEnd
            | Self::Length
            | Self::TransferEncoding
            | Self::TwoFramings
            | Self::LookAlike
            | Self::ChunkSize
            | Self::ChunkExtension
            | Self::ChunkEnd
            | Self::Trailers => StatusCode::BAD_REQUEST,
        }
    }

    /// A request that takes the place of the one with this fault. No client can send it: the screen lets nobody else use its
    /// method. It is what the access log says of a request that wasn't read.
    pub(super) fn notice(self) -> Vec<u8> {
        let place = Self::OF_HEADS.iter().position(|fault| *fault == self);
        let place = place.unwrap_or_default();
        format!("{NOTICE} * HTTP/1.1\r\nConnection: close\r\n{FIELD}: {place}\r\n\r\n").into_bytes()
    }

    /// The fault of the request for which a notice stands, if this is a notice.
    #[must_use]
    pub fn noted<B>(request: &Request<B>) -> Option<Self> {
        // The screen doesn't look into HTTP/2.
        if request.method().as_str() != NOTICE || request.version() == Version::HTTP_2 {
            return None;
        }
        let place = request.headers().get(FIELD)?.to_str().ok()?;
        Self::OF_HEADS.get(place.parse::<usize>().ok()?).copied()
    }
}

/// The method of a notice.
pub(super) const NOTICE: &str = "-";
/// Tells which fault it is.
const FIELD: &str = "fault";
