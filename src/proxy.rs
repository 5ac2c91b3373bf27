//! The request path. Read `Proxy::forward` first: it is what this program does.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, VARY,
    },
};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;

use crate::{
    access::{Logged, Record, Source},
    auth::{AccessToken, Rejected, Tokens, aadsts::Class, challenge, error::NoToken},
    body::{
        BoxError, Outgoing, Patient, Progress, REPLAY_LIMIT, Replay, ReplayHandle, whole::Whole,
    },
    error::{Chain, Error},
    guard::{Guard, Visitor},
    headers,
    places::{Place, Places},
    rewrite::{self, Links, Rewrite, Rewritten},
    route::{Outbound, Routes},
    server::breaker::Breaker,
    stand_in_login::Question,
    upstream::{self, HttpClient},
};

/// One worker's proxy: what all workers share, and a client of its own. A cheap handle.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
    client: Arc<HttpClient>,
}

/// What the workers share. All of it is immutable but the token cache.
#[derive(Debug)]
pub struct Shared {
    /// Who is let in.
    pub guard: Guard,
    /// Are token requests of clients answered?
    pub stand_in_login: bool,
    /// Where requests go.
    pub routes: Routes,
    /// The token cache.
    pub tokens: Tokens,
    /// How many requests may be under way.
    pub places: Places,
    /// For which a client may leave its request body where it is.
    pub stall: Duration,
    /// The upstream origins whose links are led back to the client's own origin.
    pub links: Arc<Links>,
}

impl Proxy {
    /// A proxy that sends through `client`.
    #[must_use]
    pub fn new(shared: Arc<Shared>, client: HttpClient) -> Self {
        Self {
            shared,
            client: Arc::new(client),
        }
    }

    /// Answers a request. Never fails: an error becomes a response that says so.
    ///
    /// `breaker` is armed while a body is under way whose client has no other way to notice that it broke.
    ///
    /// Cancel-safe: dropping the future gives up the request upstream.
    pub fn handle<'a>(
        &'a self,
        request: Request<Whole>,
        breaker: &Breaker,
    ) -> impl Future<Output = Response<Logged<Reply>>> + use<'a> {
        let mut record = Record::start(&request, breaker);
        let is_head = request.method() == Method::HEAD;
        let mut page = None;
        let course = self.receive(request, &mut page);
        async move {
            let result = match course {
                Ok(Course::Outbound(outbound, body)) => {
                    let forwarded = self.forward(outbound, body, &mut record).await;
                    forwarded.map(|response| (response, Source::Upstream))
                }
                Ok(Course::Question(asked)) => {
                    let (question, visitor) = *asked;
                    let answered = Box::pin(question.answer(visitor)).await;
                    answered.map(|response| (response, Source::Proxy))
                }
                Ok(Course::Preflight(response)) => Ok((response, Source::Proxy)),
                Err(error) => Err(error),
            };
            let (mut response, source) =
                result.unwrap_or_else(|error| (refusal(&error), Source::Proxy));
            if let Some(page) = page {
                allow(response.headers_mut(), page);
            }
            if is_head && matches!(source, Source::Proxy) {
                // hyper would send it over HTTP/2, and clients break off the stream.
                *response.body_mut() = Reply::from(Vec::new());
            }
            let status = response.status();
            response.map(|body| record.body(status, source, body))
        }
    }

    /// Answers a request that is not to be read, `request` being what is known of it.
    #[must_use]
    pub fn refuse<B>(
        &self,
        request: &Request<B>,
        breaker: &Breaker,
        error: &Error,
    ) -> Response<Logged<Reply>> {
        let record = Record::start(request, breaker);
        let response = refusal(error);
        let status = response.status();
        response.map(|body| record.body(status, Source::Proxy, body))
    }

    /// Lets a request in and resolves where it goes. Preflights and sign-ins get an answer of the proxy, for which nobody needs the
    /// client key.
    fn receive(
        &self,
        request: Request<Whole>,
        page: &mut Option<HeaderValue>,
    ) -> Result<Course<'_>, Error> {
        let visitor = self.shared.guard.meet(request)?;
        *page = visitor.page().cloned();
        if visitor.is_preflight() {
            return Ok(Course::Preflight(preflight(&visitor)));
        }
        if self.shared.stand_in_login
            && let Some(question) = Question::of(visitor.request())
        {
            return Ok(Course::Question(Box::new((question, visitor))));
        }
        let admitted = self.shared.guard.recognise(visitor)?;
        let (outbound, body) = self.shared.routes.resolve(admitted)?;
        Ok(Course::Outbound(outbound, body))
    }

    /// Strip, wait for the rate limit, authorize, send, answer, rewrite: the path of every request that was admitted and has a route.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would hold what it is given twice, and what is held is moved about"
    )]
    fn forward<'a>(
        &'a self,
        mut outbound: Outbound<'a>,
        body: Whole,
        record: &'a mut Record,
    ) -> impl Future<Output = Result<Response<Reply>, Error>> {
        async move {
            if let Some(name) = outbound.customer() {
                record.note_customer(name);
            }
            let scope = outbound.scope();
            let client = rewrite::negotiate(outbound.headers_mut(), scope);
            let mut admission = outbound.admit(record.connection()).await?;

            let (upload, kept) = Upload::of(Patient::new(body, self.shared.stall));
            let (mut response, mut place) = self.send(&outbound, upload, &kept, record).await?;
            loop {
                if response.status() == StatusCode::TOO_MANY_REQUESTS {
                    // Who waits for a rate limit takes no place away from those whom it doesn't concern.
                    place = None;
                }
                if !admission.again(&response, kept.is_whole()).await {
                    break;
                }
                let Some(upload) = kept.upload() else {
                    break;
                };
                drop(response);
                (response, place) = self.send(&outbound, upload, &kept, record).await?;
            }

            *response.version_mut() = Version::HTTP_11;
            headers::strip_response(response.headers_mut());
            admission.tell(response.headers_mut());
            let rewrite = Rewrite {
                links: &self.shared.links,
                local: outbound.local(),
                scope,
                client,
            };
            let rewritten = rewrite.response(outbound.method(), response).await;
            Ok(rewritten.map(|body| Reply::Upstream(body, place)))
        }
    }

    /// Authorize and send; once more with another token, if upstream refused the first.
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn` would hold what it is given twice, and what is held is moved about"
    )]
    fn send<'a>(
        &'a self,
        outbound: &'a Outbound<'_>,
        upload: Upload,
        kept: &'a Kept,
        record: &'a mut Record,
    ) -> impl Future<Output = Result<(Answer, Option<Place>), Error>> {
        async move {
            let token = self.token(outbound).await?;
            record.note_token(token.age());
            let place = self.shared.places.take().await?;
            let answer = self
                .send_as(&token, outbound, &upload.progress, upload.body)
                .await?;
            let Some(refused) = Refused::of(&answer) else {
                return Ok((answer, Some(place)));
            };
            // A token may be long in coming; nobody whom it doesn't concern waits for it.
            drop(place);
            let again = self.send_again(outbound, token, refused, answer, kept, record);
            Box::pin(again).await
        }
    }

    /// The token of a request. While it is fetched, a connection is opened.
    async fn token(&self, outbound: &Outbound<'_>) -> Result<Arc<AccessToken>, NoToken> {
        let tokens = &self.shared.tokens;
        let mut token = pin!(tokens.get(outbound.identity(), outbound.key()));
        match poll_fn(|cx| Poll::Ready(token.as_mut().poll(cx))).await {
            Poll::Ready(token) => token,
            Poll::Pending => {
                self.client.prepare(outbound.uri());
                token.await
            }
        }
    }

    fn send_as<'a>(
        &'a self,
        token: &AccessToken,
        outbound: &Outbound<'_>,
        progress: &'a Progress,
        body: Outgoing,
    ) -> impl Future<Output = Result<Answer, Error>> + use<'a> {
        let authorized = outbound.authorize(token, body);
        self.client.send(authorized, progress)
    }

    /// With a newer token; `answer` is upstream's to the one before.
    async fn send_again(
        &self,
        outbound: &Outbound<'_>,
        token: Arc<AccessToken>,
        refused: Refused,
        answer: Answer,
        kept: &Kept,
        record: &mut Record,
    ) -> Result<(Answer, Option<Place>), Error> {
        if let Some(newer) = self.newer(outbound, &token, refused).await?
            && let Some(Upload { body, progress }) = kept.upload()
        {
            record.note_token(newer.age());
            // Its connection can carry the next one.
            drop(answer);
            let place = self.shared.places.take().await?;
            let answer = self.send_as(&newer, outbound, &progress, body).await?;
            return Ok((answer, Some(place)));
        }
        Ok((answer, None))
    }

    /// Another token than the one that upstream refused. When there is none, upstream's refusal is the answer; unless the
    /// token ended on its way, which is no concern of the client's, or Entra ID says what has to be done.
    async fn newer(
        &self,
        outbound: &Outbound<'_>,
        token: &Arc<AccessToken>,
        refused: Refused,
    ) -> Result<Option<Arc<AccessToken>>, NoToken> {
        let rejected = Rejected {
            token: Arc::clone(token),
            claims: refused.claims,
        };
        let newer = self
            .shared
            .tokens
            .refresh(outbound.identity(), outbound.key(), rejected)
            .await;
        newer.or_else(|error| {
            if !token.is_live() || error.error.class() != Class::Transient {
                return Err(error);
            }
            tracing::debug!(error = %Chain(&error), "upstream refused a token, and there is no newer one");
            Ok(None)
        })
    }
}

/// Upstream's.
type Answer = Response<Patient<upstream::Received>>;

/// What becomes of a request.
enum Course<'r> {
    /// It is forwarded.
    Outbound(Outbound<'r>, Whole),
    /// The proxy answers it, when it has read it.
    Question(Box<(Question, Visitor<Whole>)>),
    /// It is answered already.
    Preflight(Response<Reply>),
}

/// An answer of upstream that another token may cure.
struct Refused {
    /// What that token must meet, if upstream says so.
    claims: Option<String>,
}

impl Refused {
    /// Every `401`; and a `403` that asks for claims, as Graph's for Conditional Access. Any other `403` is about permissions.
    fn of<B>(response: &Response<B>) -> Option<Self> {
        match response.status() {
            StatusCode::UNAUTHORIZED => Some(Self {
                claims: challenge::claims(response.headers()),
            }),
            StatusCode::FORBIDDEN => challenge::claims(response.headers()).map(|claims| Self {
                claims: Some(claims),
            }),
            _ => None,
        }
    }
}

/// The body of a response to the client.
#[derive(Debug)]
pub enum Reply {
    /// Upstream's, its links rewritten where they have to be.
    Upstream(Rewritten<Patient<upstream::Received>>, Option<Place>),
    /// One that the proxy made.
    Made(Full<Bytes>),
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Made(Full::new(bytes.into()))
    }
}

impl http_body::Body for Reply {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Upstream(body, _) => Pin::new(body).poll_frame(cx).map_ok(with_plain_trailers),
            Self::Made(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Upstream(body, _) => body.is_end_stream(),
            Self::Made(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Upstream(body, _) => body.size_hint(),
            Self::Made(body) => body.size_hint(),
        }
    }
}

/// A trailer field may say what was learned while sending, but nothing that a header field would have had to say.
fn with_plain_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            headers::strip_trailers(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    }
}

/// What can be sent again of a request body.
enum Kept {
    Empty,
    Small(ReplayHandle),
    Nothing,
}

impl Kept {
    fn is_whole(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Small(handle) => handle.is_whole(),
            Self::Nothing => false,
        }
    }

    fn upload(&self) -> Option<Upload> {
        match self {
            Self::Empty => Some(Upload::empty()),
            Self::Small(handle) => {
                let progress = Progress::start();
                let body = handle.body(&progress)?;
                Some(Upload { body, progress })
            }
            Self::Nothing => None,
        }
    }
}

/// A request body to be sent, and the clock of its sending.
struct Upload {
    body: Outgoing,
    progress: Progress,
}

impl Upload {
    fn empty() -> Self {
        Self {
            body: Outgoing::Empty,
            progress: Progress::of_nothing(),
        }
    }

    fn of(body: Patient<Whole>) -> (Self, Kept) {
        if body.is_end_stream() {
            return (Self::empty(), Kept::Empty);
        }
        let progress = Progress::start();
        if body.size_hint().lower() > REPLAY_LIMIT as u64 {
            let body = Outgoing::Streamed {
                body,
                progress: progress.clone(),
            };
            return (Self { body, progress }, Kept::Nothing);
        }
        let replay = Replay::new(body, progress.clone());
        let kept = Kept::Small(replay.again());
        let body = Outgoing::Replayable(replay);
        (Self { body, progress }, kept)
    }
}

fn refusal(error: &Error) -> Response<Reply> {
    let status = error.status().as_u16();
    // Why there is no token, the cache has logged once for all who wait; and what a client does wrong must not fill the log.
    // Of an outage, its begin and its end are logged.
    if error.is_upstreams() && !upstream::is_known(error) {
        tracing::warn!(status, error = %Chain(error), "not forwarded");
    } else {
        tracing::debug!(status, error = %Chain(error), "refused");
    }
    error.to_response()
}

/// Answers a preflight (Fetch standard, "CORS protocol") of a listed page; upstream never sees it.
fn preflight(visitor: &Visitor<Whole>) -> Response<Reply> {
    let asked = visitor.headers();
    let mut response = Response::new(Reply::from(Vec::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (question, answer) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        headers.extend(asked.get(question).cloned().map(|value| (answer, value)));
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn allow(headers: &mut HeaderMap, page: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, page);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    headers.append(VARY, HeaderValue::from_static("Origin"));
}
