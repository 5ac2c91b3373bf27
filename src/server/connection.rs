//! One client connection: TLS if asked for, HTTP/1.0, 1.1 or 2 by what the client sends, its deadlines, and its rests.

use std::{
    future::poll_fn,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, Waker},
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
    task::unconstrained,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    LAST_CALL, Limits,
    answer::Answerer,
    breaker::{Breakable, Breaker},
    listener::Client,
    protocols::Protocols,
    screen::{Answers, Arrival, Screened},
    write_limit::WriteLimit,
};
use crate::{body::BoxError, error::Chain, proxy::Proxy};

/// How connections are served; the same for all of a listener. A cheap handle.
#[derive(Clone)]
pub struct Acceptor(Arc<Setup>);

struct Setup {
    protocols: Protocols,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor")
            .field("tls", &self.0.tls.is_some())
            .field("limits", &self.0.limits)
            .finish_non_exhaustive()
    }
}

impl Acceptor {
    /// Plain HTTP, or TLS with `tls`.
    #[must_use]
    pub fn new(tls: Option<TlsAcceptor>, limits: Limits) -> Self {
        Self(Arc::new(Setup {
            protocols: Protocols::new(&limits),
            tls,
            limits,
        }))
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(super) async fn serve(&self, client: Client, session: Session) {
        if let Err(error) = self.0.serve_client(client, session).await {
            tracing::debug!(error = %Chain(&*error), "a client's connection broke");
        }
    }
}

impl Setup {
    async fn serve_client(&self, client: Client, session: Session) -> Result<(), BoxError> {
        match client {
            Client::Tcp(stream) => {
                let stream = Breakable::new(stream, session.breaker.clone());
                self.serve_stream(self.bounded(stream, &session), session)
                    .await
            }
            #[cfg(unix)]
            Client::Unix(stream) => {
                self.serve_stream(self.bounded(stream, &session), session)
                    .await
            }
        }
    }

    fn bounded<S>(&self, stream: S, session: &Session) -> WriteLimit<S> {
        WriteLimit::new(stream, self.limits.stall, session.breaker.clone())
    }

    async fn serve_stream<S>(&self, stream: S, mut session: Session) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, session).await;
        };
        let accepting = Box::pin(timeout(self.limits.first_request, tls.accept(stream)));
        let stream = tokio::select! {
            accepted = accepting => accepted??,
            () = session.stopped.wait() => return Ok(()),
        };
        self.serve_http(Box::new(stream), session).await
    }

    /// Waits for the client, and lets hyper serve it from when a request is there until it rests again: a connection that rests has
    /// no buffers, and there may be thousands.
    async fn serve_http<S>(&self, stream: S, session: Session) -> Result<(), BoxError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Session {
            proxy,
            mut stopped,
            breaker,
        } = session;
        let answerer = Answerer {
            proxy,
            breaker,
            answers: Answers::default(),
        };
        let mut stream = Screened::new(stream, answerer.answers.clone());
        let mut deadline = Instant::now() + self.limits.first_request;
        loop {
            let arrival = tokio::select! {
                biased;
                arrival = stream.arrival() => arrival?,
                () = stopped.last_call() => Arrival::End,
                () = sleep_until(deadline) => Arrival::End,
            };
            let served = match arrival {
                Arrival::End => return Ok(stream.close().await?),
                Arrival::Frames => {
                    let serving = self.serve_http2(stream, &answerer, stopped, deadline);
                    return Ok(Box::pin(serving).await?);
                }
                Arrival::Request => Box::pin(self.serve_http1(stream, &answerer, &mut stopped)),
            };
            let Some(rested) = served.await? else {
                return Ok(());
            };
            tracing::trace!("a connection rests");
            stream = rested;
            deadline = Instant::now() + self.limits.idle;
        }
    }

    /// Serves requests until the connection has ended, or its client has asked for nothing for a while; then it is given back.
    async fn serve_http1<S>(
        &self,
        stream: Screened<S>,
        answerer: &Answerer,
        stopped: &mut Stopped,
    ) -> hyper::Result<Option<Screened<S>>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let http1 = &self.protocols.http1;
        let service = service_fn(|request| answerer.answer(request));
        let mut connection = http1.serve_connection(TokioIo::new(stream), service);
        let stop = stopped.0.clone();
        // Beside tokio's budget: used up by the connection, it would let them come to nothing, and they wouldn't be asked again.
        let mut stopped = pin!(unconstrained(stopped.wait()));
        let mut is_stopping = false;
        let mut pause = pin!(sleep(PAUSE));
        let mut begun = 0;
        let mut known: Option<Waker> = None;
        let ended = poll_fn(|cx| {
            // Each piece of a request or an answer leads here: what has nothing to say is not asked again.
            let is_known = known
                .as_ref()
                .is_some_and(|known| known.will_wake(cx.waker()));
            if !is_known {
                known = Some(cx.waker().clone());
            }
            let may_stop = !is_known || stop.has_changed().unwrap_or(true);
            if may_stop && !is_stopping && stopped.as_mut().poll(cx).is_ready() {
                is_stopping = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
            if let Poll::Ready(ended) = Pin::new(&mut connection).poll(cx) {
                return Poll::Ready(Some(ended));
            }
            if is_known && !pause.is_elapsed() {
                return Poll::Pending;
            }
            while pin!(unconstrained(pause.as_mut())).poll(cx).is_ready() {
                let before = mem::replace(&mut begun, answerer.answers.begun());
                if before == begun && answerer.answers.are_written() && !is_stopping {
                    return Poll::Ready(None);
                }
                pause.as_mut().reset(Instant::now() + PAUSE);
            }
            Poll::Pending
        })
        .await;
        match ended {
            Some(ended) => ended.map(|()| None),
            // All that hyper has got is answered, so it has nothing left.
            None => Ok(Some(connection.into_parts().io.into_inner())),
        }
    }

    /// The first-request deadline and the shutdown stand around the whole connection, until there is a request: hyper would wait for
    /// the first frames, however long.
    async fn serve_http2<S>(
        &self,
        stream: Screened<S>,
        answerer: &Answerer,
        mut stopped: Stopped,
        deadline: Instant,
    ) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let first = Arc::new(Notify::new());
        let (seen, answerer) = (Arc::clone(&first), answerer.clone());
        let service = service_fn(move |request| {
            seen.notify_one();
            let answerer = answerer.clone();
            async move { answerer.answer(request).await }
        });
        let http2 = &self.protocols.http2;
        let mut connection = pin!(http2.serve_connection(TokioIo::new(stream), service));
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = first.notified() => {}
            () = stopped.last_call() => return Ok(()),
            () = sleep_until(deadline) => return Ok(()),
        }
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = stopped.wait() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    }
}

/// What belongs to one connection.
pub(super) struct Session {
    pub(super) proxy: Proxy,
    pub(super) stopped: Stopped,
    pub(super) breaker: Breaker,
}

/// Says when the shutdown has begun; whoever holds one is waited for.
pub(super) struct Stopped(pub(super) watch::Receiver<bool>);

impl Stopped {
    async fn wait(&mut self) {
        // An error means that nobody waits any more.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }

    /// A little later: what was sent before may not have been read yet.
    pub(super) async fn last_call(&mut self) {
        self.wait().await;
        sleep(LAST_CALL).await;
    }
}

/// After which a connection without a request rests.
const PAUSE: Duration = Duration::from_millis(50);
