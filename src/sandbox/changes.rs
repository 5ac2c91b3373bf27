//! Word that a counter changed.

use tokio::sync::watch;

/// Wakes those who wait for a counter to reach a value.
#[derive(Clone)]
pub(crate) struct Changes(watch::Sender<()>);

impl Changes {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    pub(crate) fn notify(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
