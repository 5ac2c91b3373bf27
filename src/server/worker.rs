//! A worker: one thread, one runtime, its own connections and its own upstream pool.
//!
//! All workers accept from the same socket, each for itself, so a connection is never woken across threads. Who happens to be awake
//! accepts most of a burst, so a worker that has got too many gives the next ones to the one that has the fewest.

use std::{
    io,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{
    breaker::Breaker,
    connection::{Acceptor, Session, Stopped},
    listener::{Client, Door, Socket},
};
use crate::proxy::Proxy;

/// What the workers know of each other.
#[derive(Debug)]
pub(super) struct Crew {
    members: Vec<Member>,
    places: Arc<Semaphore>,
    /// When one of them couldn't accept, the last time.
    failed: Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Member {
    inbox: mpsc::UnboundedSender<(Socket, Seat)>,
    open: AtomicUsize,
}

impl Crew {
    /// So many workers, which serve so many connections at most together; and what each of them is to be given.
    pub(super) fn new(count: usize, connections: usize) -> (Arc<Self>, Vec<Inbox>) {
        let (members, inboxes) = (0..count)
            .map(|_| {
                let (inbox, jobs) = mpsc::unbounded_channel();
                let open = AtomicUsize::new(0);
                (Member { inbox, open }, Inbox(jobs))
            })
            .unzip();
        let places = Arc::new(Semaphore::new(connections));
        let crew = Self {
            members,
            places,
            failed: Mutex::new(None),
        };
        (Arc::new(crew), inboxes)
    }

    /// Who shall serve a connection that `worker` has accepted?
    fn server_of(&self, worker: usize) -> usize {
        let open = |index: &usize| self.members[*index].open.load(Ordering::Relaxed);
        let least = (0..self.members.len()).min_by_key(open).unwrap_or(worker);
        let fair = open(&least) + open(&least) / 8 + LEAD;
        if open(&worker) > fair { least } else { worker }
    }

    /// Tells the log of the first try that fails; and again, when there was none for a while. (At the limit, each connection that ends
    /// lets one more be accepted before the next try fails.)
    fn report(&self, error: &io::Error, pause: Duration) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.is_some_and(|failed| failed.elapsed() < QUIET) {
            tracing::debug!(%error, pause_ms = pause.as_millis(), "still can't accept connections");
        } else {
            tracing::warn!(%error, "can't accept connections; those that are open are served on");
        }
        *failed = Some(Instant::now());
    }

    fn seat(self: &Arc<Self>, worker: usize, place: OwnedSemaphorePermit) -> Seat {
        self.members[worker].open.fetch_add(1, Ordering::Relaxed);
        Seat {
            crew: Arc::clone(self),
            worker,
            _place: place,
        }
    }
}

/// The place of one connection among all, and among those of its worker.
#[derive(Debug)]
struct Seat {
    crew: Arc<Crew>,
    worker: usize,
    _place: OwnedSemaphorePermit,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let open = &self.crew.members[self.worker].open;
        open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What other workers give to one.
#[derive(Debug)]
pub(super) struct Inbox(mpsc::UnboundedReceiver<(Socket, Seat)>);

/// One of the [`Crew`], on its runtime.
pub(super) struct Worker {
    pub(super) index: usize,
    pub(super) crew: Arc<Crew>,
    pub(super) door: Door,
    pub(super) acceptor: Acceptor,
    pub(super) proxy: Proxy,
}

impl Worker {
    /// Accepts and serves connections until the shutdown begins (or nobody is left to begin it), and a little longer: who connected
    /// before is still served. Then drains.
    pub(super) async fn run(self, mut inbox: Inbox, shutdown: watch::Receiver<bool>) {
        let stopping = watch::Sender::new(false);
        let mut shutdown = Stopped(shutdown);
        let mut last_call = pin!(shutdown.last_call());
        let mut pause = FIRST_PAUSE;
        loop {
            tokio::select! {
                biased;
                () = &mut last_call => break,
                Some(given) = inbox.0.recv() => self.receive(given, &stopping),
                accepted = self.accept(&mut pause) => self.place(accepted, &stopping),
            }
        }
        inbox.0.close();
        while let Ok(given) = inbox.0.try_recv() {
            self.receive(given, &stopping);
        }
        // The system resets who is still at the door.
        drop(self.door);
        drain(&stopping, self.acceptor.limits().grace).await;
    }

    /// The next connection. The place is taken first, so none is accepted that can't be served. Cancel-safe.
    async fn accept(&self, pause: &mut Duration) -> (Client, OwnedSemaphorePermit) {
        // So that others get to what has come meanwhile: the tasks of this worker, and the other workers.
        yield_now().await;
        loop {
            let Ok(place) = Arc::clone(&self.crew.places).acquire_owned().await else {
                return std::future::pending().await;
            };
            match self.door.accept().await {
                Ok(client) => {
                    *pause = FIRST_PAUSE;
                    return (client, place);
                }
                // Out of file descriptors, or a client that was gone at once: what was accepted goes on.
                Err(error) => {
                    drop(place);
                    self.crew.report(&error, *pause);
                    sleep(*pause).await;
                    *pause = (*pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Serves it, or gives it to another.
    fn place(
        &self,
        (client, place): (Client, OwnedSemaphorePermit),
        stopping: &watch::Sender<bool>,
    ) {
        let worker = self.crew.server_of(self.index);
        let seat = self.crew.seat(worker, place);
        if worker == self.index {
            return self.serve(client, seat, stopping);
        }
        let given = client
            .leave()
            .map(|socket| self.crew.members[worker].inbox.send((socket, seat)));
        match given {
            Ok(Ok(())) => {}
            // The other doesn't take any more.
            Ok(Err(mpsc::error::SendError(back))) => self.receive(back, stopping),
            Err(error) => tracing::debug!(%error, "a connection can't be given to another worker"),
        }
    }

    fn receive(&self, (socket, seat): (Socket, Seat), stopping: &watch::Sender<bool>) {
        match socket.join() {
            Ok(client) => self.serve(client, seat, stopping),
            Err(error) => tracing::debug!(%error, "a connection can't be taken over"),
        }
    }

    fn serve(&self, client: Client, seat: Seat, stopping: &watch::Sender<bool>) {
        let session = Session {
            proxy: self.proxy.clone(),
            stopped: Stopped(stopping.subscribe()),
            breaker: Breaker::default(),
        };
        let acceptor = self.acceptor.clone();
        tokio::spawn(async move {
            acceptor.serve(client, session).await;
            drop(seat);
        });
    }
}

/// Lets what is in flight end, for as long as `grace`.
async fn drain(stopping: &watch::Sender<bool>, grace: Duration) {
    stopping.send_replace(true);
    let open = stopping.receiver_count();
    if timeout(grace, stopping.closed()).await.is_err() {
        tracing::warn!(
            connections = open,
            "grace time is over; what is still in flight is cut off"
        );
    }
}

/// How many more connections than the others a worker may have, beside an eighth: giving one away costs more than a little
/// imbalance.
const LEAD: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After which a failure to accept is news again.
const QUIET: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn connections_are_shared_out() {
        let (crew, _inboxes) = Crew::new(3, 100);
        let mut seats = Vec::new();
        for _ in 0..90 {
            let place = Arc::clone(&crew.places).acquire_owned().await.unwrap();
            // The first happens to accept them all.
            seats.push(crew.seat(crew.server_of(0), place));
        }
        let open = |index: usize| crew.members[index].open.load(Ordering::Relaxed);
        assert!((30..=36).contains(&open(0)), "{}", open(0));
        assert!((25..=32).contains(&open(1)), "{}", open(1));
        assert!((25..=32).contains(&open(2)), "{}", open(2));
        drop(seats);
        assert_eq!([open(0), open(1), open(2)], [0; 3]);
        assert_eq!(crew.places.available_permits(), 100);
    }
}
