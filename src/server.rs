//! Listening, handing connections to the workers, and stopping.
//!
//! One current-thread runtime per core, each with its own connections and its own upstream pool, takes a quarter less CPU per
//! request than one multi-threaded runtime. The acceptor hands sockets round; that serves TCP and unix sockets alike.

pub mod breaker;
pub mod connection;
pub mod listener;
pub mod screen;
pub mod tls;
mod unread;
mod write_limit;

use std::{io, num::NonZero, thread, time::Duration};

use tokio::{
    runtime,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
};

use self::{
    breaker::Breaker,
    connection::{Acceptor, Session, Stopped},
    listener::{Listener, Socket},
};
pub use crate::config::Limits;
use crate::{
    proxy::Proxy,
    telemetry::lines::{self, Batched},
};
use std::sync::Arc;

/// Serves `listener` until `shutdown` completes and requests in flight have ended, or `limits.grace` has passed.
///
/// `proxies` makes each worker's own proxy. Dropping the future stops accepting; workers then drain by themselves.
///
/// # Errors
/// When a worker can't be started, or has ended.
pub async fn run(
    listener: Listener,
    acceptor: Acceptor,
    proxies: impl Fn() -> Proxy,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (alive, mut ended) = mpsc::channel(1);
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let workers = (0..count)
        .map(|index| spawn_worker(index, acceptor.clone(), proxies(), alive.clone()))
        .collect::<io::Result<Vec<_>>>()?;
    drop(alive);

    let permits = Arc::new(Semaphore::new(acceptor.limits().connections));
    tokio::select! {
        error = accept(&listener, &workers, &permits) => return Err(error),
        () = shutdown => {}
    }
    // Who connected before the signal is still served; when the listener closes, the system resets the others.
    let _ = tokio::time::timeout(LAST_CALL, accept(&listener, &workers, &permits)).await;
    drop((listener, workers));
    // Each worker holds a sender until it has drained.
    let _: Option<()> = ended.recv().await;
    Ok(())
}

/// Accepts for ever, in turn for each worker, or until one is gone. The permit is taken first, so no connection is accepted that can't be served.
async fn accept(
    listener: &Listener,
    workers: &[mpsc::UnboundedSender<Job>],
    permits: &Arc<Semaphore>,
) -> io::Error {
    let mut pause = FIRST_PAUSE;
    for worker in workers.iter().cycle() {
        let Ok(permit) = Arc::clone(permits).acquire_owned().await else {
            break;
        };
        let socket = loop {
            match listener.accept().await {
                Ok(socket) => break socket,
                // Out of file descriptors, or a client that was gone at once: what was accepted goes on.
                Err(error) => {
                    report(&error, pause);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        };
        pause = FIRST_PAUSE;
        if worker.send((socket, permit)).is_err() {
            break;
        }
    }
    io::Error::other("a worker has ended")
}

/// Tells the log once of tries that fail in a row.
fn report(error: &io::Error, pause: Duration) {
    if pause == FIRST_PAUSE {
        tracing::warn!(%error, "can't accept connections; those that are open are served on");
    } else {
        tracing::debug!(%error, pause_ms = pause.as_millis(), "still can't accept connections");
    }
}

/// A connection for a worker, with its place among the allowed ones.
type Job = (Socket, OwnedSemaphorePermit);

fn spawn_worker(
    index: usize,
    acceptor: Acceptor,
    proxy: Proxy,
    alive: mpsc::Sender<()>,
) -> io::Result<mpsc::UnboundedSender<Job>> {
    let (sender, jobs) = mpsc::unbounded_channel();
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(lines::flush)
        .build()?;
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let batched = Batched::new();
            runtime.block_on(work(jobs, acceptor, proxy));
            // What is cut off with it is logged, too.
            drop(runtime);
            drop((batched, alive));
        })?;
    Ok(sender)
}

/// Serves connections until the acceptor has gone, then drains.
async fn work(mut jobs: mpsc::UnboundedReceiver<Job>, acceptor: Acceptor, proxy: Proxy) {
    let drain = hyper_util::server::graceful::GracefulShutdown::new();
    let (serving, stopped) = watch::channel(());
    while let Some((socket, permit)) = jobs.recv().await {
        let session = Session {
            proxy: proxy.clone(),
            watcher: drain.watcher(),
            stopped: Stopped(stopped.clone()),
            breaker: Breaker::default(),
        };
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            acceptor.serve(socket, session).await;
            drop(permit);
        });
    }
    drop(serving);
    let open = drain.count();
    if tokio::time::timeout(acceptor.limits().grace, drain.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = open,
            "grace time is over; what is still in flight is cut off"
        );
    }
}

/// For which connections are accepted that waited when the signal came, and requests read.
const LAST_CALL: Duration = Duration::from_millis(20);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
