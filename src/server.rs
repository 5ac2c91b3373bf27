//! Listening, the workers, and stopping.
//!
//! One current-thread runtime per core, each with its own connections and its own upstream pool, takes a quarter less CPU per
//! request than one multi-threaded runtime.

mod answer;
pub mod breaker;
pub mod connection;
pub mod listener;
mod protocols;
pub mod screen;
pub mod tls;
mod unread;
mod worker;
mod write_limit;

use std::{io, num::NonZero, sync::Arc, thread, time::Duration};

use tokio::{
    runtime,
    sync::{Notify, mpsc, watch},
    time::sleep,
};

use self::{
    connection::Acceptor,
    listener::Listener,
    worker::{Crew, Worker},
};
pub use crate::config::Limits;
use crate::{
    proxy::Proxy,
    telemetry::lines::{self, Batched},
};

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
    let count = thread::available_parallelism().map_or(1, NonZero::get);
    let (crew, inboxes) = Crew::new(count, acceptor.limits().connections);
    let stopping = watch::Sender::new(false);
    let gone = Arc::new(Notify::new());
    let (alive, mut ended) = mpsc::channel(1);
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let runtime = runtime()?;
        let door = {
            let _on_it = runtime.enter();
            listener.share()?
        };
        let worker = Worker {
            index,
            crew: Arc::clone(&crew),
            door,
            acceptor: acceptor.clone(),
            proxy: proxies(),
        };
        let work = worker.run(inbox, stopping.subscribe());
        let end = (alive.clone(), Gone(Arc::clone(&gone)));
        spawn(index, runtime, work, end)?;
    }
    drop(alive);
    tokio::select! {
        () = gone.notified() => return Err(io::Error::other("a worker has ended")),
        () = shutdown => {}
    }
    stopping.send_replace(true);
    sleep(LAST_CALL).await;
    drop(listener);
    // Each worker holds a sender until it has drained.
    let _: Option<()> = ended.recv().await;
    Ok(())
}

fn runtime() -> io::Result<runtime::Runtime> {
    runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(lines::flush)
        .build()
}

/// Runs `work` on a thread; `end` is dropped when all of it is over.
fn spawn(
    index: usize,
    runtime: runtime::Runtime,
    work: impl Future<Output = ()> + Send + 'static,
    end: impl Send + 'static,
) -> io::Result<()> {
    thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || {
            let _end = end;
            let batched = Batched::new();
            runtime.block_on(work);
            // What is cut off with it is logged, too.
            drop(runtime);
            drop(batched);
        })?;
    Ok(())
}

/// Tells of the end of a worker.
struct Gone(Arc<Notify>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// For which connections are accepted that waited when the signal came, and requests read.
const LAST_CALL: Duration = Duration::from_millis(20);
