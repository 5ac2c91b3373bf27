//! The body of a request on its way.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http_body::Body as _;
use tokio::task::AbortHandle;

use crate::body::{BoxError, Outgoing};

/// A task that sends a body, beside who waits for the answer; it ends with this handle.
#[derive(Debug)]
pub(super) struct Upload {
    task: AbortHandle,
    fault: Arc<Mutex<Option<BoxError>>>,
}

impl Upload {
    pub(super) fn start(body: Outgoing, stream: SendStream<Bytes>) -> Self {
        let fault = Arc::<Mutex<_>>::default();
        let kept = Arc::clone(&fault);
        let task = tokio::spawn(async move {
            let mut stream = stream;
            if let Err(error) = send(body, &mut stream).await {
                // First, as the reset wakes who asks for it.
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                stream.send_reset(Reason::CANCEL);
            }
        });
        Self {
            task: task.abort_handle(),
            fault,
        }
    }

    /// Why the body broke, if it did.
    pub(super) fn into_fault(self) -> Option<BoxError> {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.take().map(|fault| Broken(fault).into())
    }
}

impl Drop for Upload {
    /// A stream whose handles are dropped before its end is reset.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The body that was to be sent broke.
#[derive(Debug, thiserror::Error)]
#[error("the request's body broke")]
pub(in crate::upstream) struct Broken(#[source] BoxError);

/// Sends a body to its end, or until upstream wants no more of it: its answer says why.
///
/// # Errors
/// That of the body.
async fn send(mut body: Outgoing, stream: &mut SendStream<Bytes>) -> Result<(), BoxError> {
    // What can't be sent isn't read.
    while has_room(stream, 1).await
        && let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
    {
        let data = frame?.into_data().unwrap_or_default();
        if !send_all(stream, data).await {
            return Ok(());
        }
    }
    // Fails where upstream has reset it.
    let _ = stream.send_data(Bytes::new(), true);
    Ok(())
}

/// False when upstream wants no more.
async fn send_all(stream: &mut SendStream<Bytes>, mut data: Bytes) -> bool {
    while !data.is_empty() {
        if !has_room(stream, data.len()).await {
            return false;
        }
        let part = data.split_to(stream.capacity().min(data.len()));
        if stream.send_data(part, false).is_err() {
            return false;
        }
    }
    true
}

/// Waits until there is room for some of `wanted` bytes; there is none any more when upstream has reset the stream.
async fn has_room(stream: &mut SendStream<Bytes>, wanted: usize) -> bool {
    stream.reserve_capacity(wanted);
    while stream.capacity() == 0 {
        if !matches!(poll_fn(|cx| stream.poll_capacity(cx)).await, Some(Ok(_))) {
            return false;
        }
    }
    true
}
