//! The connections to one origin: those that rest, the one that all share, and those that are being opened.

use std::{
    collections::VecDeque,
    fmt, io, mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Wake, Waker},
    time::Duration,
};

use http::{
    HeaderValue, Request, Uri,
    uri::{Authority, Scheme},
};
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{http1::Connection, http2, opener::Opener};
use crate::body::Outgoing;

/// Hands out connections to one origin.
#[derive(Debug)]
pub(super) struct Lane {
    scheme: Scheme,
    authority: Authority,
    host: HeaderValue,
    state: Mutex<State>,
    bell: Arc<Bell>,
    waker: Waker,
}

/// Rings when something comes on a connection that rests: its end, or what nobody has asked for.
#[derive(Debug, Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

#[derive(Debug, Default)]
struct State {
    /// Of HTTP/1, the one that was used last at the back.
    resting: VecDeque<Resting>,
    /// Of HTTP/2: more than one when upstream takes fewer requests on it than there are.
    shared: Vec<Shared>,
    /// Is the next one to be opened enough for all? Until upstream has chosen HTTP/1.
    may_share: bool,
    waiting: VecDeque<oneshot::Sender<Result<Found, Failure>>>,
    /// How many connections are being opened.
    opening: usize,
    is_looked_after: bool,
}

#[derive(Debug)]
struct Resting {
    connection: Box<Connection>,
    since: Instant,
}

impl Resting {
    /// Can it carry a request, as far as is known?
    fn can_serve(&self, now: Instant) -> bool {
        now.duration_since(self.since) < REST && self.connection.is_free()
    }
}

/// A connection of HTTP/2, and when it was last asked for.
#[derive(Debug)]
struct Shared {
    connection: http2::Connection,
    since: Instant,
}

/// What carries a request.
#[derive(Debug)]
pub(super) enum Ready {
    Http1(Box<Connection>),
    Http2(http2::Connection),
}

/// A [`Ready`] connection, and whether it has carried others before.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) ready: Ready,
    pub(super) is_used: bool,
}

impl Found {
    fn used(ready: Ready) -> Self {
        Self {
            ready,
            is_used: true,
        }
    }
}

impl Lane {
    pub(super) fn new(scheme: Scheme, authority: Authority) -> Self {
        // An authority has nothing that a field value may not have.
        let host = HeaderValue::from_str(authority.as_str());
        let bell = Arc::<Bell>::default();
        Self {
            waker: Arc::clone(&bell).into(),
            bell,
            host: host.unwrap_or_else(|_| HeaderValue::from_static("")),
            authority,
            state: Mutex::new(State {
                may_share: scheme == Scheme::HTTPS,
                ..State::default()
            }),
            scheme,
        }
    }

    pub(super) fn leads_to(&self, scheme: &Scheme, authority: &Authority) -> bool {
        self.authority == *authority && self.scheme == *scheme
    }

    /// Gives a request the whole target again, which HTTP/1 has left out.
    pub(super) fn address(&self, request: &mut Request<Outgoing>) {
        let mut parts = mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // With a path from a target that had all of these, it is one.
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }

    /// Wakes who looks after the connections that rest.
    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// What `Host` says.
    pub(super) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// A connection that rests, or one that is shared and has room; else the first that comes to rest or is opened.
    ///
    /// # Errors
    /// Why none could be opened.
    pub(super) async fn take(self: &Arc<Self>, opener: &Opener) -> Result<Found, Failure> {
        if let Some(ready) = self.at_hand(false) {
            return Ok(Found::used(ready));
        }
        let told = self.ask(opener).await;
        told.unwrap_or_else(|_| Err(Failure::lost()))
            .or_else(|failure| self.at_hand(true).map(Found::used).ok_or(failure))
    }

    /// Opens a connection for a request that will come, if there is none to be had.
    pub(super) fn prepare(self: &Arc<Self>, opener: &Opener) {
        let opening = {
            let mut state = self.state();
            let is_ready = !state.resting.is_empty() || !state.shared.is_empty();
            (!is_ready && state.opening == 0).then(|| Opening::begin(self, opener, &mut state))
        };
        opening.into_iter().for_each(Opening::start);
    }

    /// Joins those who wait; one more connection is opened for it, if the next isn't enough for all.
    fn ask(self: &Arc<Self>, opener: &Opener) -> oneshot::Receiver<Result<Found, Failure>> {
        let (tell, told) = oneshot::channel();
        let opening = {
            let mut state = self.state();
            state.join(tell);
            let needs = state.needs_opening();
            needs.then(|| Opening::begin(self, opener, &mut state))
        };
        // Not under the lock: a runtime that is ending drops it at once, and that takes the lock.
        if let Some(opening) = opening {
            opening.start();
        }
        told
    }

    /// With `or_full` also one on which upstream will not begin with it at once.
    fn at_hand(&self, or_full: bool) -> Option<Ready> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(connection) = state.shared(now, or_full) {
            return Some(Ready::Http2(connection));
        }
        loop {
            let resting = state.resting.pop_back()?;
            if resting.can_serve(now) {
                return Some(Ready::Http1(resting.connection));
            }
        }
    }

    /// Lets a connection rest, or gives it to who waits for one.
    pub(super) fn put(self: &Arc<Self>, connection: Box<Connection>, is_used: bool) {
        let mut state = self.state();
        let Some(connection) = state.give(connection, is_used) else {
            return;
        };
        connection.wake(Some(&self.waker));
        state.resting.push_back(Resting {
            connection,
            since: Instant::now(),
        });
        self.have_looked_after(&mut state);
    }

    /// Lets all share a connection.
    fn share(self: &Arc<Self>, connection: http2::Connection) {
        let mut state = self.state();
        state.share(connection);
        self.have_looked_after(&mut state);
    }

    fn have_looked_after(self: &Arc<Self>, state: &mut State) {
        if !state.is_looked_after {
            state.is_looked_after = true;
            tokio::spawn(look_after(Arc::downgrade(self), Arc::clone(&self.bell)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, tell: oneshot::Sender<Result<Found, Failure>>) {
        self.waiting.retain(|waiting| !waiting.is_closed());
        self.waiting.push_back(tell);
    }

    /// Must one more be opened for the last who has joined?
    fn needs_opening(&self) -> bool {
        if self.may_share {
            return self.opening == 0;
        }
        let others = self.waiting.len().saturating_sub(1);
        self.opening < others + MAX_UNAWAITED
    }

    fn drop_old_shared(&mut self, now: Instant) {
        self.shared.retain(|shared| {
            !shared.connection.is_closed() && now.duration_since(shared.since) < REST
        });
    }

    /// One of those that all share: the first that has room, so that those behind it come to rest. Where there may be no more of them, or
    /// with `or_full`, that which has the fewest requests.
    fn shared(&mut self, now: Instant, or_full: bool) -> Option<http2::Connection> {
        self.drop_old_shared(now);
        let may_be_full = or_full || self.shared.len() >= MAX_SHARED;
        let shared = &mut self.shared;
        let found = match shared
            .iter()
            .position(|shared| shared.connection.room() > 0)
        {
            Some(index) => shared.get_mut(index),
            None if may_be_full => shared
                .iter_mut()
                .min_by_key(|shared| shared.connection.load()),
            None => None,
        };
        found.map(|shared| {
            shared.since = now;
            shared.connection.clone()
        })
    }

    /// Gives `connection` to the first who still waits; back, if nobody does.
    fn give(&mut self, connection: Box<Connection>, is_used: bool) -> Option<Box<Connection>> {
        let mut left = connection;
        while let Some(waiting) = self.waiting.pop_front() {
            let found = Found {
                ready: Ready::Http1(left),
                is_used,
            };
            let Err(Ok(Found {
                ready: Ready::Http1(back),
                ..
            })) = waiting.send(Ok(found))
            else {
                return None;
            };
            left = back;
        }
        Some(left)
    }

    fn share(&mut self, connection: http2::Connection) {
        self.may_share = true;
        let fitting = match self.shared.len() + 1 {
            MAX_SHARED.. => self.waiting.len(),
            _ => self.waiting.len().min(connection.room()),
        };
        for waiting in self.waiting.drain(..fitting) {
            let _ = waiting.send(Ok(Found {
                ready: Ready::Http2(connection.clone()),
                is_used: false,
            }));
        }
        self.shared.push(Shared {
            connection,
            since: Instant::now(),
        });
    }

    /// Tells those who have no opening to wait for any more.
    fn fail(&mut self, failure: &Failure) {
        self.waiting.retain(|waiting| !waiting.is_closed());
        let served = match self.opening {
            1.. if self.may_share => usize::MAX,
            opening => opening,
        };
        while self.waiting.len() > served
            && let Some(waiting) = self.waiting.pop_front()
        {
            let _ = waiting.send(Err(failure.clone()));
        }
    }
}

/// A connection that is being opened. It goes on when who has asked for it has got another, or is gone.
struct Opening {
    lane: Arc<Lane>,
    opener: Opener,
    failure: Failure,
}

impl Opening {
    /// Counts from here on, until it is dropped.
    fn begin(lane: &Arc<Lane>, opener: &Opener, state: &mut State) -> Self {
        state.opening += 1;
        Self {
            lane: Arc::clone(lane),
            opener: opener.clone(),
            failure: Failure::lost(),
        }
    }

    fn start(self) {
        tokio::spawn(self.run());
    }

    async fn run(mut self) {
        match self
            .opener
            .open(&self.lane.scheme, &self.lane.authority)
            .await
        {
            Ok(Ready::Http1(connection)) => {
                self.lane.state().may_share = false;
                self.lane.put(connection, false);
                self.go_on();
            }
            Ok(Ready::Http2(connection)) => {
                self.lane.share(connection);
                self.go_on();
            }
            Err(error) => self.failure = Failure(error.into()),
        }
    }

    /// Opens more for those who have waited for one that all could share and got none of it: one for each, of HTTP/1; else the next one
    /// that they may share.
    fn go_on(&self) {
        let mut state = self.lane.state();
        let most = if state.may_share { 1 } else { usize::MAX };
        let wanted = state.waiting.len().min(most);
        // This one counts until it is dropped.
        let missing = (wanted + 1).saturating_sub(state.opening);
        let more: Vec<Self> = (0..missing)
            .map(|_| Self::begin(&self.lane, &self.opener, &mut state))
            .collect();
        drop(state);
        more.into_iter().for_each(Self::start);
    }
}

impl Drop for Opening {
    /// Whatever has become of it, nobody waits for it any more.
    fn drop(&mut self) {
        let mut state = self.lane.state();
        state.opening -= 1;
        state.fail(&self.failure);
    }
}

/// Why no connection could be opened; all who waited for it are told.
#[derive(Clone, Debug)]
pub(super) struct Failure(Arc<dyn std::error::Error + Send + Sync>);

impl Failure {
    fn lost() -> Self {
        Self(Arc::new(io::Error::other("the connection was not opened")))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("can't connect")
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// Closes what has rested for too long, or has ended, while anything rests.
async fn look_after(lane: Weak<Lane>, bell: Arc<Bell>) {
    loop {
        let _ = tokio::time::timeout(REST / 4, bell.0.notified()).await;
        let Some(lane) = lane.upgrade() else {
            return;
        };
        let mut state = lane.state();
        let now = Instant::now();
        state.resting.retain_mut(|resting| {
            resting.can_serve(now) && resting.connection.is_sound(&lane.waker)
        });
        state.drop_old_shared(now);
        if state.resting.is_empty() && state.shared.is_empty() {
            state.is_looked_after = false;
            return;
        }
    }
}

/// How long a connection may rest. Azure's front ends close idle ones after some minutes; a shorter time here makes it rare that a
/// request meets a connection that is just being closed.
const REST: Duration = Duration::from_mins(1);
/// How many may be opened that nobody waits for any more: clients that ask and hang up, again and again, would else have one opened each
/// time. Beyond this many, the next one to ask is served by one of them.
const MAX_UNAWAITED: usize = 32;

/// How many connections of HTTP/2 there may be. When all are full, requests wait in them.
const MAX_SHARED: usize = 8;

#[cfg(test)]
mod tests;
