//! Why the proxy could not forward a request, and the response that says so.
//!
//! One table from error to status and to `Proxy-Status` (RFC 9209). A response made here is always `application/problem+json`
//! (RFC 9457) with `Proxy-Status: defender-proxy; error=…`; one from upstream never has that, so nobody wonders whose `403` it is.

use std::{fmt, time::Duration};

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

use crate::{
    auth::{
        aadsts::Class,
        error::{NoToken, TokenError},
    },
    body::BoxError,
    customer::{CustomerError, Listed},
    server::screen::Fault,
    throttle::{Reason, Throttled},
};

/// Why one request was not forwarded, or its response not received.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is malformed or ambiguous.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The request is not HTTP/1 in its strict form.
    #[error(transparent)]
    Malformed(#[from] Fault),
    /// The client's body broke while it was sent on.
    #[error("the request body ended early or is malformed")]
    BrokenBody(#[source] BoxError),
    /// The client left its body unfinished.
    #[error("the request body stopped for longer than limits.stall")]
    BodyTimeout,
    /// A method or an upgrade that no Defender API has.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The client key is missing or wrong.
    #[error("this proxy asks for a client key")]
    KeyRequired,
    /// A web page of a foreign origin asks.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The `Host` is neither a loopback name nor a listed one.
    #[error("this proxy doesn't answer for the host of the request")]
    Misdirected,
    /// It isn't clear, or not possible, for which customer the request is.
    #[error(transparent)]
    Customer(#[from] CustomerError),
    /// No route has a prefix of the path.
    #[error("no route leads to this path")]
    NoRoute,
    /// The route doesn't allow the method.
    #[error("the route '{prefix}' doesn't allow this method")]
    MethodNotAllowed {
        /// The route's prefix.
        prefix: String,
        /// The methods it allows, as the value of `Allow`.
        allow: String,
    },
    /// The request has passed through this very proxy before.
    #[error("the request came back to the proxy that sent it")]
    Loop,
    /// No token could be had.
    #[error(transparent)]
    Token(#[from] NoToken),
    /// Upstream has asked to be left alone, or would be asked too often.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// No connection to upstream.
    #[error("upstream can't be reached")]
    Connect(#[source] BoxError),
    /// The name of upstream has no address.
    #[error("upstream's host name can't be resolved")]
    Dns(#[source] BoxError),
    /// Upstream's certificate or TLS version is not acceptable.
    #[error("the TLS connection to upstream failed")]
    Tls(#[source] BoxError),
    /// The connection broke before the response head.
    #[error("upstream closed the connection without a response")]
    Closed(#[source] BoxError),
    /// Upstream doesn't speak HTTP as it should.
    #[error("upstream's response is not valid HTTP")]
    Protocol(#[source] BoxError),
    /// No connection in time.
    #[error("connecting to upstream took longer than upstream.connect_timeout")]
    ConnectTimeout(#[source] BoxError),
    /// A small exchange with Entra ID took too long.
    #[error("there was no answer within {} s", .0.as_secs())]
    ExchangeTimeout(Duration),
    /// Too many requests are under way.
    #[error("too many requests wait for upstream")]
    Busy,
    /// No file descriptor is left for a connection.
    #[error("the proxy may not open more files, and a connection is one")]
    OutOfFiles,
    /// No response head in time.
    #[error("upstream sent no response within upstream.response_timeout")]
    ResponseTimeout,
}

impl Error {
    /// The status of the response that tells the client.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Customer(CustomerError::Unlisted(_)) | Self::Forbidden(_) => {
                StatusCode::FORBIDDEN
            }
            Self::BadRequest(_) | Self::BrokenBody(_) | Self::Customer(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Malformed(fault) => fault.status(),
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::OutOfFiles => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::KeyRequired => StatusCode::UNAUTHORIZED,
            Self::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token(none) => match none.error.class() {
                Class::Fatal => StatusCode::INTERNAL_SERVER_ERROR,
                Class::Interactive | Class::Transient => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Loop
            | Self::Connect(_)
            | Self::Dns(_)
            | Self::Tls(_)
            | Self::Closed(_)
            | Self::Protocol(_) => StatusCode::BAD_GATEWAY,
            Self::ConnectTimeout(_) | Self::ExchangeTimeout(_) | Self::ResponseTimeout => {
                StatusCode::GATEWAY_TIMEOUT
            }
        }
    }

    /// Is it the fault of upstream, or of the way there?
    #[must_use]
    pub fn is_upstreams(&self) -> bool {
        matches!(
            self.status(),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT
        )
    }

    /// Was there no connection, so that nothing was sent? The proxy itself tries when there is one again.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Connect(_) | Self::Dns(_) | Self::Tls(_) | Self::ConnectTimeout(_)
        )
    }

    /// The error type of the `Proxy-Status` field (RFC 9209 §2.3).
    #[must_use]
    pub fn proxy_status(&self) -> &'static str {
        match self {
            Self::Customer(CustomerError::Unlisted(_))
            | Self::KeyRequired
            | Self::Forbidden(_)
            | Self::Misdirected
            | Self::MethodNotAllowed { .. } => "http_request_denied",
            Self::BadRequest(_)
            | Self::Malformed(_)
            | Self::BrokenBody(_)
            | Self::BodyTimeout
            | Self::Unsupported(_)
            | Self::Customer(_) => "http_request_error",
            Self::NoRoute => "destination_not_found",
            Self::Busy => "connection_limit_reached",
            Self::OutOfFiles => "proxy_internal_error",
            Self::Loop => "proxy_loop_detected",
            Self::Token(none) if matches!(*none.error, TokenError::Broken { .. }) => {
                "proxy_internal_error"
            }
            Self::Token(none) => match none.error.class() {
                Class::Fatal => "proxy_configuration_error",
                Class::Interactive => "proxy_internal_response",
                Class::Transient => "destination_unavailable",
            },
            Self::Throttled(_) => "proxy_internal_response",
            Self::Connect(_) => "connection_refused",
            Self::Dns(_) => "dns_error",
            Self::Tls(_) => "tls_certificate_error",
            Self::Closed(_) => "connection_terminated",
            Self::Protocol(_) => "http_protocol_error",
            Self::ConnectTimeout(_) => "connection_timeout",
            Self::ExchangeTimeout(_) | Self::ResponseTimeout => "http_response_timeout",
        }
    }

    /// What the client's user can do.
    fn next_step(&self) -> &str {
        match self {
            Self::BadRequest(_) | Self::Malformed(_) | Self::BrokenBody(_) => {
                "send a well-formed request"
            }
            Self::BodyTimeout => "send the body without long pauses, or raise limits.stall",
            Self::Busy => "send fewer requests at a time, or raise limits.requests",
            Self::OutOfFiles => {
                "raise the limit of open files (ulimit -n, LimitNOFILE), or close idle connections"
            }
            Self::Unsupported(_) => "use plain HTTP requests to the API paths",
            Self::KeyRequired => {
                "send the key as X-Proxy-Key, or as the password of basic authentication"
            }
            Self::Forbidden(_) => {
                "call the proxy from a program, or list the page's origin in listen.allowed_origins"
            }
            Self::Misdirected => {
                "use http://localhost or http://127.0.0.1, or list the host in listen.allowed_hosts"
            }
            Self::Customer(error) => error.next_step(),
            Self::NoRoute => {
                "call /api/… (Defender), /v1.0/security/… or /beta/security/… (Graph), or add a [[route]]"
            }
            Self::MethodNotAllowed { .. } => {
                "use an allowed method, or change the route's methods or read_only"
            }
            Self::Loop => "point the route's upstream at the API, not at this proxy",
            Self::Token(none) => none.next_step(),
            Self::Throttled(Throttled { reason, .. }) => match reason {
                Reason::Upstream => {
                    "wait as Retry-After says, or let the route wait: on_throttle = { wait = \"30s\" }"
                }
                Reason::Pace => {
                    "wait as Retry-After says; a longer on_throttle.wait lets requests wait here"
                }
                Reason::Crowd => "wait as Retry-After says, and send fewer requests at a time",
            },
            Self::Connect(_)
            | Self::Dns(_)
            | Self::ConnectTimeout(_)
            | Self::ExchangeTimeout(_) => {
                "check the network, the HTTP proxy (upstream.proxy, HTTPS_PROXY) and the upstream's name"
            }
            Self::Tls(_) => {
                "check this machine's clock and upstream's certificate; if a corporate proxy intercepts TLS, name its root certificate in upstream.ca"
            }
            Self::Closed(_) | Self::Protocol(_) => {
                "try again if the request may be repeated safely"
            }
            Self::ResponseTimeout => "ask for less, or raise upstream.response_timeout",
        }
    }

    /// What clients branch on beside the status.
    fn fields(&self) -> Vec<(&'static str, Option<Value>)> {
        if let Self::Token(none) = self {
            let customer = none.customer.as_ref();
            return vec![
                ("aadsts", none.error.code().map(Value::from)),
                ("trace_id", none.error.trace_id().map(Value::from)),
                ("customer", customer.map(|customer| (*customer.name).into())),
                ("consent_url", none.consent_url().map(Value::from)),
            ];
        }
        if let Self::Customer(error) = self
            && let Some(Listed { names, count }) = error.listed()
        {
            let names = names.iter().map(|name| &**name).collect();
            return vec![
                ("customers", Some(names)),
                ("customer_count", Some((*count).into())),
            ];
        }
        Vec::new()
    }

    fn retry_after(&self) -> Option<Duration> {
        if let Self::Busy | Self::OutOfFiles = self {
            return Some(Duration::from_secs(5));
        }
        if self.is_unreachable() {
            return Some(Duration::from_secs(1));
        }
        if let Self::Throttled(throttled) = self {
            let whole = Duration::from_secs(throttled.retry_in.as_secs());
            let begun = u64::from(whole < throttled.retry_in);
            return Some((whole + Duration::from_secs(begun)).max(Duration::from_secs(1)));
        }
        let Self::Token(none) = self else {
            return None;
        };
        // Rounded up, as nobody is answered before.
        (none.error.class() == Class::Transient).then(|| none.retry_in + Duration::from_secs(1))
    }

    /// The response that tells the client; `T` is made of its bytes.
    #[must_use]
    pub fn to_response<T: From<Vec<u8>>>(&self) -> Response<T> {
        let status = self.status();
        let mut problem = json!({
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            // With its causes: they name hosts, variables and files, never a secret.
            "detail": Chain(self).to_string(),
            "next": self.next_step(),
            "source": "defender-proxy",
        });
        for (name, value) in self.fields() {
            if let Some(value) = value {
                problem[name] = value;
            }
        }
        let mut response = Response::new(T::from(format!("{problem:#}\n").into_bytes()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Ok(value) =
            HeaderValue::try_from(format!("defender-proxy; error={}", self.proxy_status()))
        {
            headers.insert("proxy-status", value);
        }
        if let Some(wait) = self.retry_after() {
            headers.insert(RETRY_AFTER, wait.as_secs().into());
        }
        if let Self::Throttled(Throttled {
            standing: Some(standing),
            ..
        }) = self
        {
            standing.tell(headers);
        }
        if let Self::MethodNotAllowed { allow, .. } = self {
            let allow = HeaderValue::try_from(allow.as_str()).ok();
            headers.extend(allow.map(|value| (ALLOW, value)));
        }
        if let Self::KeyRequired = self {
            let challenge = HeaderValue::from_static("Basic realm=\"defender-proxy\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An error with all its causes on one line, for the log. Each error's own `Display` prints its own level only.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
