//! May this client use the proxy's credentials?
//!
//! A local proxy that adds credentials is a deputy that every page in the user's browser would like to confuse. So a request is
//! admitted only when it names the proxy by a loopback name or a listed one (a page that rebinds its DNS name can't), when it doesn't
//! come from a foreign web page, and when it shows the client key, if one is set.

mod http2;
mod page;

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{AUTHORIZATION, HOST, ORIGIN, UPGRADE},
    uri::Authority,
};
use ring::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::{auth::secret::Secret, customer, error::Error, origin};

/// The rules of one listener.
#[derive(Debug)]
pub struct Guard {
    allowed_hosts: Vec<String>,
    allowed_origins: Vec<String>,
    /// In lower case.
    customers: HashSet<String>,
    client_key: Option<ClientKey>,
    scheme: &'static str,
}

/// What clients must show; shared with whoever re-reads it when its file rotates. Only its digest is kept.
#[derive(Clone, Debug)]
pub struct ClientKey(Arc<RwLock<[u8; SHA256_OUTPUT_LEN]>>);

impl ClientKey {
    /// A key with its first value.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(Arc::new(RwLock::new(sha256(secret.expose().as_bytes()))))
    }

    /// Takes effect with the next request.
    pub fn replace(&self, secret: &Secret) {
        let digest = sha256(secret.expose().as_bytes());
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = digest;
    }

    /// Compares in a time that depends on what is shown alone: digests have one length, so not even the key's is told.
    fn is(&self, shown: &[u8]) -> bool {
        let key = self.0.read().unwrap_or_else(PoisonError::into_inner);
        sha256(shown).ct_eq(&*key).into()
    }
}

impl Guard {
    /// `allowed_hosts` beside the loopback names, `allowed_origins` of web pages, the key that clients must show, and whether
    /// the listener speaks TLS.
    #[must_use]
    pub fn new(
        allowed_hosts: Vec<String>,
        allowed_origins: Vec<String>,
        client_key: Option<ClientKey>,
        tls: bool,
    ) -> Self {
        Self {
            allowed_hosts,
            allowed_origins,
            customers: HashSet::new(),
            client_key,
            scheme: if tls { "https" } else { "http" },
        }
    }

    /// Accepts `{customer}.localhost` as well, for these customers in lower case.
    #[must_use]
    pub fn with_customers(self, customers: HashSet<String>) -> Self {
        Self { customers, ..self }
    }

    /// Lets a request in, or says why not.
    ///
    /// # Errors
    /// `BadRequest`, `Unsupported`, `Misdirected`, `Forbidden` or `KeyRequired`.
    pub fn admit<B>(&self, request: Request<B>) -> Result<Admitted<B>, Error> {
        self.recognise(self.meet(request)?)
    }

    /// The first half of admission: does the request name the proxy, and does no foreign web page send it?
    ///
    /// # Errors
    /// `BadRequest`, `Unsupported`, `Misdirected` or `Forbidden`.
    pub fn meet<B>(&self, request: Request<B>) -> Result<Visitor<B>, Error> {
        refuse_unsupported(&request)?;
        http2::check(&request)?;
        let authority = authority(&request)?;
        let host = authority.host();
        let customer = self.customer(host);
        if customer.is_none() {
            self.check_host(host, authority.as_str())?;
        }
        let page = self.check_page(request.headers(), &authority)?;
        let local_origin = [self.scheme, "://", authority.as_str()].concat();
        Ok(Visitor {
            request,
            local_origin,
            customer,
            page,
        })
    }

    /// The customer that the host names. Names below `localhost` are this machine's (RFC 6761 §6.3), so no page can rebind one;
    /// only those listed are for the proxy.
    fn customer(&self, host: &str) -> Option<String> {
        if self.customers.is_empty() {
            return None;
        }
        let name = customer::of_host(host)?.to_ascii_lowercase();
        self.customers.contains(&name).then_some(name)
    }

    /// The second half: does the visitor show the client key?
    ///
    /// # Errors
    /// `KeyRequired`.
    pub fn recognise<B>(&self, visitor: Visitor<B>) -> Result<Admitted<B>, Error> {
        if self.has_key(visitor.headers()) {
            Ok(Admitted(visitor))
        } else {
            Err(Error::KeyRequired)
        }
    }

    fn check_host(&self, host: &str, authority: &str) -> Result<(), Error> {
        if matches!(host, "0.0.0.0" | "[::]") {
            return Err(Error::BadRequest(
                "0.0.0.0 is no address to call; use localhost",
            ));
        }
        let listed = || {
            self.allowed_hosts.iter().any(|allowed| {
                allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(authority)
            })
        };
        if origin::is_loopback(host) || listed() {
            Ok(())
        } else {
            Err(Error::Misdirected)
        }
    }

    /// The listed origin of the page that asks, if a page asks. Simple requests need no preflight, so this can't lean on one.
    fn check_page(
        &self,
        headers: &HeaderMap,
        authority: &Authority,
    ) -> Result<Option<HeaderValue>, Error> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let page = origins.next();
        if origins.next().is_some() {
            return Err(Error::Forbidden("a request with two origins is refused"));
        }
        if let Some(page) = page {
            if self
                .allowed_origins
                .iter()
                .any(|allowed| allowed.as_bytes() == page.as_bytes())
            {
                return Ok(Some(page.clone()));
            }
            if !self.is_own(page.as_bytes(), authority) {
                return Err(Error::Forbidden(
                    "a web page of another origin may not use this proxy",
                ));
            }
        }
        page::refuse_foreign(headers, |referrer| self.is_own(referrer, authority))?;
        Ok(None)
    }

    fn is_own(&self, page: &[u8], authority: &Authority) -> bool {
        let rest = page.strip_prefix(self.scheme.as_bytes());
        rest.and_then(|rest| rest.strip_prefix(b"://"))
            .is_some_and(|rest| rest.eq_ignore_ascii_case(authority.as_str().as_bytes()))
    }

    fn has_key(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.client_key else {
            return true;
        };
        match headers.get("x-proxy-key") {
            Some(shown) => key.is(shown.as_bytes()),
            None => shows_password(headers, key) == Some(true),
        }
    }
}

/// A request that names the proxy and comes from no foreign web page. It may not use the credentials yet.
#[derive(Debug)]
pub struct Visitor<B> {
    request: Request<B>,
    local_origin: String,
    customer: Option<String>,
    page: Option<HeaderValue>,
}

impl<B> Visitor<B> {
    /// The listed web origin that asks.
    #[must_use]
    pub fn page(&self) -> Option<&HeaderValue> {
        self.page.as_ref()
    }

    /// Is it the CORS preflight of such a page? A browser sends no credentials with it, and it reaches no upstream.
    #[must_use]
    pub fn is_preflight(&self) -> bool {
        self.page.is_some() && is_preflight(&self.request)
    }

    /// The fields as received.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// The request as received.
    #[must_use]
    pub fn request(&self) -> &Request<B> {
        &self.request
    }

    /// The request, and scheme and authority by which the client reached the proxy.
    pub(crate) fn into_parts(self) -> (Request<B>, String) {
        (self.request, self.local_origin)
    }
}

/// A request whose client may use the credentials. Only [`Guard::admit`] and [`Guard::recognise`] make one.
#[derive(Debug)]
pub struct Admitted<B>(Visitor<B>);

impl<B> Admitted<B> {
    /// The request, scheme and authority by which the client reached the proxy, and the customer that the host names.
    pub(crate) fn into_parts(self) -> (Request<B>, String, Option<String>) {
        let Visitor {
            request,
            local_origin,
            customer,
            ..
        } = self.0;
        (request, local_origin, customer)
    }
}

fn refuse_unsupported<B>(request: &Request<B>) -> Result<(), Error> {
    if *request.method() == Method::CONNECT {
        return Err(Error::Unsupported(
            "CONNECT is not supported: this is no forward proxy",
        ));
    }
    if *request.method() == Method::TRACE {
        return Err(Error::Unsupported(
            "TRACE is not supported: it would show the credentials",
        ));
    }
    // Clients that offer h2c on every plain request (Java, curl --http2) go on in HTTP/1.1 when the offer is passed over
    // (RFC 9110 §7.8).
    let h2c_only = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"h2c");
    if request.headers().get_all(UPGRADE).iter().all(h2c_only) {
        Ok(())
    } else {
        Err(Error::Unsupported("Upgrade is not supported"))
    }
}

/// The one authority that the client names: exactly one `Host`, or the target's own, and no contradiction between them
/// (RFC 9112 §3.2, RFC 9113 §8.3.1).
fn authority<B>(request: &Request<B>) -> Result<Authority, Error> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(Error::BadRequest("the request has more than one Host"));
    }
    let host = host.map(parse_host).transpose()?;
    match (target_authority(request.uri())?, host) {
        (Some(target), Some(host)) if !target.as_str().eq_ignore_ascii_case(host.as_str()) => Err(
            Error::BadRequest("the request's target and its Host differ"),
        ),
        (Some(_), None) if request.version() != Version::HTTP_2 => {
            Err(Error::BadRequest("the request has no Host"))
        }
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(Error::BadRequest("the request has no Host")),
    }
}

fn parse_host(value: &HeaderValue) -> Result<Authority, Error> {
    let authority = Authority::try_from(value.as_bytes())
        .map_err(|_| Error::BadRequest("the Host is malformed"))?;
    plain(authority)
}

fn target_authority(target: &Uri) -> Result<Option<Authority>, Error> {
    if !matches!(target.scheme_str(), None | Some("http" | "https")) {
        return Err(Error::BadRequest("the target's scheme is not http"));
    }
    target.authority().cloned().map(plain).transpose()
}

/// Refuses user information and a port that is none.
fn plain(authority: Authority) -> Result<Authority, Error> {
    let (text, host) = (authority.as_str(), authority.host());
    let port = text.strip_prefix(host).unwrap_or("?");
    let well_formed = port.is_empty()
        || port
            .strip_prefix(':')
            // `parse` alone would take "+80".
            .is_some_and(|port| {
                port.starts_with(|c: char| c.is_ascii_digit()) && port.parse::<u16>().is_ok()
            });
    if text.contains('@') || host.is_empty() || !well_formed {
        return Err(Error::BadRequest("the Host is malformed"));
    }
    Ok(authority)
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    *request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key("access-control-request-method")
}

/// Is the key the password of basic authentication (RFC 7617)? None without one.
fn shows_password(headers: &HeaderMap, key: &ClientKey) -> Option<bool> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    let basic = scheme.eq_ignore_ascii_case("basic");
    let pair = basic.then(|| STANDARD.decode(encoded.trim()).ok())??;
    let pair = Zeroizing::new(pair);
    let colon = pair.iter().position(|byte| *byte == b':')?;
    Some(key.is(&pair[colon + 1..]))
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut sum = [0; SHA256_OUTPUT_LEN];
    sum.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(key: Option<&str>) -> Guard {
        let key = key.map(|key| ClientKey::new(&Secret::from(key.to_owned())));
        Guard::new(
            vec!["proxy.lan".to_owned(), "box:8443".to_owned()],
            vec!["http://localhost:3000".to_owned()],
            key,
            false,
        )
    }

    fn request(fields: &[(&str, &str)]) -> Request<()> {
        let mut builder = Request::get("/api/incidents");
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap()
    }

    fn status(guard: &Guard, fields: &[(&str, &str)]) -> u16 {
        guard
            .admit(request(fields))
            .map_or_else(|error| error.status().as_u16(), |_| 200)
    }

    #[test]
    fn hosts() {
        let guard = guard(None);
        for (host, expected) in [
            ("localhost", 200),
            ("LocalHost:8080", 200),
            ("127.0.0.1:8080", 200),
            ("127.8.9.10", 200),
            ("[::1]:8080", 200),
            ("proxy.lan", 200),
            ("proxy.lan:99", 200),
            ("box:8443", 200),
            ("box", 421),
            ("box:1", 421),
            ("evil.example", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("127.1", 421),
            ("0x7f000001", 421),
            ("0.0.0.0:8080", 400),
            ("[::]", 400),
            ("user@localhost", 400),
            ("localhost:", 400),
            ("localhost:abc", 400),
            ("localhost:+80", 400),
            ("localhost:99999", 400),
            ("", 400),
            ("local host", 400),
        ] {
            assert_eq!(status(&guard, &[("host", host)]), expected, "{host:?}");
        }
        assert_eq!(status(&guard, &[]), 400);
        assert_eq!(
            status(&guard, &[("host", "localhost"), ("host", "localhost")]),
            400
        );
    }

    #[test]
    fn hosts_of_customers() {
        let plain = guard(None);
        let guard =
            guard(None).with_customers(["contoso".to_owned(), "a.example".to_owned()].into());
        for (host, expected) in [
            ("contoso.localhost", 200),
            ("Contoso.LocalHost:8080", 200),
            ("a.example.localhost", 200),
            ("localhost", 200),
            ("fabrikam.localhost", 421),
            ("x.contoso.localhost", 421),
            ("contoso.localhost.evil.example", 421),
            ("contoso.localhost.", 421),
            (".localhost", 421),
            ("contoso", 421),
        ] {
            assert_eq!(status(&guard, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(status(&plain, &[("host", "contoso.localhost")]), 421);
        let pages = [
            ("http://contoso.localhost:8080", 200),
            ("http://fabrikam.localhost:8080", 403),
            ("http://localhost:8080", 403),
        ];
        for (page, expected) in pages {
            let fields = [("host", "contoso.localhost:8080"), ("origin", page)];
            assert_eq!(status(&guard, &fields), expected, "{page}");
        }
    }

    #[test]
    fn pages() {
        let guard = guard(None);
        for (name, value, expected) in [
            ("origin", "http://localhost:3000", 200),
            ("origin", "http://localhost:8080", 200),
            ("origin", "https://localhost:8080", 403),
            ("origin", "http://localhost:3001", 403),
            ("origin", "null", 403),
            ("origin", "", 403),
            ("origin", "https://evil.example", 403),
            ("sec-fetch-site", "cross-site", 403),
            ("sec-fetch-site", "same-site", 403),
            ("sec-fetch-site", "same-origin", 200),
            ("sec-fetch-site", "none", 200),
        ] {
            assert_eq!(
                status(&guard, &[("host", "localhost:8080"), (name, value)]),
                expected,
                "{name}: {value}"
            );
        }
        for (name, value, expected) in [
            ("sec-fetch-mode", "navigate", 200),
            ("sec-fetch-mode", "no-cors", 403),
            ("sec-fetch-mode", "cors", 403),
            ("sec-fetch-dest", "document", 200),
            ("sec-fetch-dest", "webidentity", 403),
            ("sec-fetch-dest", "iframe", 403),
            ("sec-purpose", "prefetch", 403),
            ("sec-purpose", "prefetch;prerender", 403),
            ("purpose", "prefetch", 403),
            ("referer", "http://localhost:8080/api/incidents", 200),
            ("referer", "http://localhost:8080", 200),
            ("referer", "http://localhost:80801/", 403),
            ("referer", "http://localhost:3000/", 403),
            (
                "referer",
                "http://localhost:3000/http://localhost:8080/",
                403,
            ),
            ("referer", "https://evil.example/", 403),
            ("referer", "", 403),
        ] {
            let fields = [
                ("host", "localhost:8080"),
                ("sec-fetch-site", "none"),
                (name, value),
            ];
            assert_eq!(status(&guard, &fields), expected, "{name}: {value}");
        }
        // A program may say where a link was found.
        let program = [
            ("host", "localhost"),
            ("referer", "https://portal.example/"),
        ];
        assert_eq!(status(&guard, &program), 200);
        let listed = [
            ("host", "localhost"),
            ("origin", "http://localhost:3000"),
            ("sec-fetch-site", "same-site"),
        ];
        assert_eq!(status(&guard, &listed), 200);
        let two = [
            ("host", "localhost"),
            ("origin", "http://localhost:3000"),
            ("origin", "http://localhost:3000"),
        ];
        assert_eq!(status(&guard, &two), 403);
    }

    #[test]
    fn keys() {
        let guard = guard(Some("open"));
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (name, value, expected) in [
            ("x-proxy-key", "open".to_owned(), 200),
            ("x-proxy-key", "opem".to_owned(), 401),
            ("x-proxy-key", "opened".to_owned(), 401),
            ("x-proxy-key", String::new(), 401),
            ("authorization", basic("anyone:open"), 200),
            ("authorization", basic(":open"), 200),
            ("authorization", basic("open:"), 401),
            ("authorization", "Bearer open".to_owned(), 401),
            ("authorization", "Basic !".to_owned(), 401),
            ("accept", "*/*".to_owned(), 401),
        ] {
            assert_eq!(
                status(&guard, &[("host", "localhost"), (name, &value)]),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn upgrades_and_methods() {
        let guard = guard(None);
        assert_eq!(
            status(&guard, &[("host", "localhost"), ("upgrade", "websocket")]),
            501
        );
        assert_eq!(
            status(&guard, &[("host", "localhost"), ("upgrade", "h2c")]),
            200
        );
        for method in [Method::CONNECT, Method::TRACE] {
            let mut request = request(&[("host", "localhost")]);
            *request.method_mut() = method;
            assert_eq!(guard.admit(request).unwrap_err().status(), 501);
        }
    }

    #[test]
    fn an_absolute_target_must_agree_with_host() {
        let guard = guard(None);
        for (target, host, expected) in [
            ("http://localhost:8080/api", "localhost:8080", 200),
            ("http://localhost:8080/api", "localhost", 400),
            ("http://evil.example/api", "evil.example", 421),
            ("http://localhost@evil.example/api", "evil.example", 400),
            ("ftp://localhost/api", "localhost", 400),
        ] {
            let request = Request::get(target).header("host", host).body(()).unwrap();
            let status = guard
                .admit(request)
                .map_or_else(|error| error.status().as_u16(), |_| 200);
            assert_eq!(status, expected, "{target} {host}");
        }
    }
}
