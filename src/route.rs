//! Where a request goes: longest prefix, then upstream, audience and identity by configuration or by the path's API family.
//!
//! A request passes through types that only the step before can make: [`Admitted`] → [`Outbound`] → [`Authorized`]. The last is
//! all that the HTTP client sends, so nothing leaves unrouted, unstripped or without its own token.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{AUTHORIZATION, CONTENT_LENGTH, ORIGIN, TRANSFER_ENCODING},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;

use crate::{
    auth::{
        AccessToken, TokenKey,
        identity::{Identity, Kind, TenantId, User},
    },
    body::Outgoing,
    cloud::{Api, Cloud, Family},
    config::{Config, Methods, RouteConfig, RouteTarget},
    customer::{self, CustomerError, Selection},
    error::Error,
    guard::Admitted,
    headers::{self, Pseudonym},
    rewrite::Scope,
    target,
    throttle::{
        Terms, Throttled,
        budget::Class,
        gate::{Account, Gate, Gates},
        quota::Admission,
    },
};

/// All routes, longest prefix first. Immutable.
#[derive(Debug)]
pub struct Routes {
    table: Vec<Route>,
    has_partner: bool,
    pseudonym: Pseudonym,
    gates: Gates,
}

impl Routes {
    /// Makes the table of a configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let mut gates = Gates::default();
        let mut table: Vec<Route> = config
            .routes
            .iter()
            .map(|route| Route::new(route, &config.cloud, &mut gates))
            .collect();
        table.sort_by_key(|route| std::cmp::Reverse(route.prefix.len()));
        Self {
            table,
            has_partner: config.partners().next().is_some(),
            pseudonym: Pseudonym::random(),
            gates,
        }
    }

    /// From now on no request waits for a rate limit.
    pub fn stop_waiting(&self) {
        self.gates.stop_waiting();
    }

    /// Every authority that a route leads to, as `host[:port]`, with `http://` before those without TLS.
    pub fn authorities(&self) -> impl Iterator<Item = String> {
        self.table
            .iter()
            .flat_map(|route| route.destinations.iter())
            .map(|destination| {
                let plain = if destination.scheme == Scheme::HTTP {
                    "http://"
                } else {
                    ""
                };
                format!("{plain}{}", destination.authority)
            })
    }

    /// Finds the route of a request and the customer it is for, and makes the request that goes upstream, stripped and addressed.
    ///
    /// # Errors
    /// `BadRequest`, `Loop`, `NoRoute`, `MethodNotAllowed` or `Customer`.
    pub fn resolve<B>(&self, admitted: Admitted<B>) -> Result<(Outbound<'_>, B), Error> {
        let (request, local_origin, host) = admitted.into_parts();
        let (mut inbound, body) = request.into_parts();
        if headers::has_looped(&inbound.headers, &self.pseudonym) {
            return Err(Error::Loop);
        }
        target::check(inbound.uri.path())?;
        let (selection, target) = self.select(&inbound, host.as_deref())?;
        let path = target.as_ref().map_or("/", PathAndQuery::path);
        if selection.path.is_some() {
            // What stands behind a customer has not been looked at by itself.
            target::check(path)?;
        }
        let canonical = target::canonical(path);
        let (route, destination) = self.find(&canonical).ok_or(Error::NoRoute)?;
        route.check_method(&inbound.method, &canonical)?;
        let chosen = route.choose(selection, &inbound.headers)?;
        let (scope, local) = (
            route.scope(&canonical),
            chosen.local(local_origin, selection),
        );
        let uri = destination.uri(target.clone())?;

        headers::strip_request(&mut inbound.headers, matches!(route.methods, Methods::All));
        headers::add_via(&mut inbound.headers, inbound.version, &self.pseudonym);
        // A place for the token: what is copied for each sending has no room for another field.
        inbound
            .headers
            .insert(AUTHORIZATION, HeaderValue::from_static(""));
        let outbound = Outbound {
            route,
            key: &destination.keys[chosen.place],
            gate: &destination.gates[chosen.place],
            class: destination.class(&inbound.method, &canonical),
            customer: chosen.customer,
            method: inbound.method,
            uri,
            headers: inbound.headers,
            scope,
            local,
        };
        Ok((outbound, body))
    }

    /// The route with the longest prefix of a path, and where it leads.
    fn find(&self, canonical: &str) -> Option<(&Route, &Destination)> {
        let mut table = self.table.iter();
        let route = table.find(|route| target::is_below(canonical, &route.prefix))?;
        Some((route, route.destinations.of(canonical)?))
    }

    /// What a request says about its customer, and its target without that. Without any partner, `/t` is a path like others.
    fn select<'a>(
        &self,
        inbound: &'a Parts,
        host: Option<&'a str>,
    ) -> Result<(Selection<'a>, Option<PathAndQuery>), CustomerError> {
        let whole = inbound.uri.path_and_query();
        let split = match whole.filter(|_| self.has_partner) {
            Some(target) => customer::split(target)?,
            None => None,
        };
        let selection = Selection {
            path: split.as_ref().map(|(name, _)| *name),
            header: customer::of_header(&inbound.headers)?,
            host,
        };
        let target = split.map_or_else(|| whole.cloned(), |(_, rest)| Some(rest));
        Ok((selection, target))
    }
}

/// One route.
#[derive(Debug)]
struct Route {
    prefix: String,
    shown_prefix: String,
    destinations: Destinations,
    identity: Arc<Identity>,
    methods: Methods,
    rewrite_links: bool,
    terms: Terms,
}

impl Route {
    fn new(config: &RouteConfig, cloud: &Cloud, gates: &mut Gates) -> Self {
        let mut destination = |api: &Api| {
            let has_budgets = FAMILIES
                .iter()
                .any(|family| cloud.api(*family).audience == api.audience);
            Destination::new(api, &config.identity, gates).with_budgets(has_budgets)
        };
        let destinations = match &config.target {
            RouteTarget::Defender => Destinations::ByFamily(
                FAMILIES
                    .map(|family| (family, destination(cloud.api(family))))
                    .into(),
            ),
            RouteTarget::Api(api) => Destinations::One(destination(api)),
        };
        Self {
            prefix: target::canonical_prefix(&config.prefix),
            shown_prefix: config.prefix.clone(),
            destinations,
            identity: Arc::clone(&config.identity),
            methods: config.methods.clone(),
            rewrite_links: config.rewrite_links,
            terms: config.terms,
        }
    }

    fn choose(
        &self,
        selection: Selection<'_>,
        headers: &HeaderMap,
    ) -> Result<Chosen<'_>, CustomerError> {
        let chosen = self.chosen(selection);
        if headers.contains_key(ORIGIN) {
            return chosen.map_err(CustomerError::without_names);
        }
        chosen
    }

    fn chosen(&self, selection: Selection<'_>) -> Result<Chosen<'_>, CustomerError> {
        match &self.identity.kind {
            Kind::Partner(partner) => {
                let place = selection.among(&partner.customers)?;
                let customer = partner.customers.at(place).map(|(name, _)| name);
                Ok(Chosen { place, customer })
            }
            Kind::Application { tenant, .. }
            | Kind::Managed { tenant, .. }
            | Kind::User(User { tenant, .. }) => {
                selection.is_only(tenant)?;
                Ok(Chosen::default())
            }
        }
    }

    fn check_method(&self, method: &Method, canonical: &str) -> Result<(), Error> {
        let allowed = match &self.methods {
            Methods::All => true,
            Methods::Only(methods) => methods.contains(method),
            Methods::ReadOnly => {
                SAFE.contains(method) || (*method == Method::POST && is_hunting(canonical))
            }
        };
        if allowed {
            return Ok(());
        }
        let names: Vec<&str> = match &self.methods {
            Methods::Only(methods) => methods.iter().map(Method::as_str).collect(),
            Methods::All | Methods::ReadOnly => SAFE.iter().map(Method::as_str).collect(),
        };
        Err(Error::MethodNotAllowed {
            prefix: self.shown_prefix.clone(),
            allow: names.join(", "),
        })
    }

    fn scope(&self, canonical: &str) -> Scope {
        match self.rewrite_links {
            false => Scope::Off,
            true if is_hunting(canonical) => Scope::FieldsUntilRows,
            true => Scope::Fields,
        }
    }
}

/// Where a route leads.
#[derive(Debug)]
enum Destinations {
    One(Destination),
    ByFamily(Box<[(Family, Destination)]>),
}

impl Destinations {
    /// Upstream and audience follow from the path, not from a host: that makes a token of the wrong audience impossible.
    fn of(&self, canonical: &str) -> Option<&Destination> {
        match self {
            Self::One(destination) => Some(destination),
            Self::ByFamily(destinations) => {
                let family = Family::of(canonical)?;
                let of_family = destinations.iter().find(|(known, _)| *known == family);
                of_family.map(|(_, destination)| destination)
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = &Destination> {
        let (one, families) = match self {
            Self::One(destination) => (Some(destination), &[][..]),
            Self::ByFamily(destinations) => (None, &destinations[..]),
        };
        one.into_iter()
            .chain(families.iter().map(|(_, destination)| destination))
    }
}

/// Whose token a request gets.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen<'r> {
    /// The place of its tenant among those of the identity.
    place: usize,
    customer: Option<&'r Arc<str>>,
}

impl Chosen<'_> {
    /// Where links in the response lead: to what the client called, with the customer in it, so that a link works by itself.
    fn local(self, mut origin: String, selection: Selection<'_>) -> String {
        let header = self
            .customer
            .filter(|_| selection.header.is_some() && selection.host.is_none());
        if let Some(name) = selection.path.or_else(|| header.map(AsRef::as_ref)) {
            origin.push_str("/t/");
            origin.push_str(name);
        }
        origin
    }
}

/// An upstream, and the keys of the tokens that it is shown.
#[derive(Debug)]
struct Destination {
    scheme: Scheme,
    authority: Authority,
    /// One for each tenant of the identity, in their order; made once, as a partner may have thousands.
    keys: Box<[TokenKey]>,
    /// What upstream counts each of these by.
    gates: Box<[Arc<Gate>]>,
    /// Whether it is one of the APIs whose limits are known.
    has_budgets: bool,
}

impl Destination {
    fn new(api: &Api, identity: &Arc<Identity>, gates: &mut Gates) -> Self {
        let tenants = identity.kind.tenants();
        let key = |tenant: &TenantId| TokenKey {
            identity: Arc::clone(&identity.name),
            tenant: tenant.clone(),
            audience: api.audience.clone(),
        };
        let application = identity.application();
        let gate = |tenant: &TenantId| {
            gates.of(Account {
                tenant: tenant.clone(),
                application: application.into(),
                audience: api.audience.clone(),
            })
        };
        Self {
            scheme: api.origin.scheme().clone(),
            authority: api.origin.authority().clone(),
            keys: tenants.iter().copied().map(key).collect(),
            gates: tenants.iter().copied().map(gate).collect(),
            has_budgets: false,
        }
    }

    fn with_budgets(self, has_budgets: bool) -> Self {
        Self {
            has_budgets,
            ..self
        }
    }

    /// Which calls a call is counted with.
    fn class(&self, method: &Method, canonical: &str) -> Class {
        let family = Family::of(canonical).filter(|_| self.has_budgets);
        Class::of(family, method, canonical)
    }

    fn uri(&self, target: Option<PathAndQuery>) -> Result<Uri, Error> {
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = target;
        Uri::from_parts(parts).map_err(|_| Error::BadRequest("the request's target is not a path"))
    }
}

/// A request that is stripped and addressed, but holds no credential and no body yet.
#[derive(Debug)]
pub struct Outbound<'r> {
    route: &'r Route,
    key: &'r TokenKey,
    gate: &'r Gate,
    class: Class,
    customer: Option<&'r Arc<str>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    scope: Scope,
    local: String,
}

impl<'r> Outbound<'r> {
    /// Leave to be sent, of the rate limits: now, or when it may. `client` is its connection.
    ///
    /// # Errors
    /// When its route doesn't wait, or not as long as it would take.
    pub async fn admit(&self, client: usize) -> Result<Admission<'r>, Throttled> {
        self.gate.admit(self.class, self.route.terms, client).await
    }

    /// What its token must be good for.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        self.key
    }

    /// The partner's customer that it is for, by its name in the configuration.
    #[must_use]
    pub fn customer(&self) -> Option<&Arc<str>> {
        self.customer
    }

    /// Who it is sent as.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.route.identity
    }

    /// Where it goes.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Its method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// How far links in its response are rewritten.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Scheme and authority by which the client reached the proxy, with the customer where it stands in the path; links in the
    /// response lead there.
    #[must_use]
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The fields that go upstream, for content negotiation.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// The finished request. Leaves `self` as it is, so that it can be made once more with another token.
    ///
    /// The version is always HTTP/1.1: the pool upgrades by ALPN, and would refuse HTTP/2 on an HTTP/1.1 connection.
    #[must_use]
    pub fn authorize(&self, token: &AccessToken, body: Outgoing) -> Authorized {
        let body_is_empty = body.is_end_stream();
        let body_is_open = !body_is_empty && body.size_hint().exact().is_none();
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = self.headers.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, token.header().clone());
        if body_is_open {
            // Without it the body of a GET would be left out; HTTP/2 leaves out the field instead.
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        } else if body_is_empty && TAKES_BODY.contains(&self.method) {
            // Servers answer 411 to a POST that doesn't say that it has no body (RFC 9110 §8.6).
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        Authorized(request)
    }
}

/// A request with the token of its route: all that the HTTP client sends.
#[derive(Debug)]
pub struct Authorized(Request<Outgoing>);

impl Authorized {
    /// What will be sent, to look at.
    #[must_use]
    pub fn as_request(&self) -> &Request<Outgoing> {
        &self.0
    }

    pub(crate) fn into_inner(self) -> Request<Outgoing> {
        self.0
    }
}

fn is_hunting(canonical: &str) -> bool {
    HUNTING.contains(&canonical.strip_suffix('/').unwrap_or(canonical))
}

const FAMILIES: [Family; 3] = [Family::Xdr, Family::Endpoint, Family::Graph];
const TAKES_BODY: [Method; 3] = [Method::POST, Method::PUT, Method::PATCH];
const SAFE: [Method; 3] = [Method::GET, Method::HEAD, Method::OPTIONS];
/// The queries that are sent as POST but change nothing, in canonical form.
const HUNTING: [&str; 6] = [
    "/api/advancedhunting/run",
    "/api/advancedqueries/run",
    "/v1.0/security/runhuntingquery",
    "/beta/security/runhuntingquery",
    "/v1.0/security/microsoft.graph.security.runhuntingquery",
    "/beta/security/microsoft.graph.security.runhuntingquery",
];
