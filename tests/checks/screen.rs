//! What passes the screen before HTTP/1, and what hyper makes of it.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use defender_proxy::server::screen::Framing;
use http::{Method, Request, Response, StatusCode, Uri, Version, header::CONNECTION};
use http_body::Body as _;
use hyper::{body::Incoming, rt, server::conn::http1, service::service_fn};

/// However the bytes are cut, the same of them pass; and hyper reads what has passed as the same requests, of the same lengths.
pub(crate) fn screen(input: &[u8], pieces: &[Bytes]) {
    let whole = Screened::of([input]);
    let cut = Screened::of(pieces.iter().map(|piece| &**piece));
    let single = Screened::of(input.chunks(1));
    for other in [&cut, &single] {
        assert_eq!(whole.passed, other.passed, "{}", input.escape_ascii());
        // A last line without an end may be waited for.
        assert!(
            whole.faulty == other.faulty || !input.ends_with(b"\n"),
            "{}",
            input.escape_ascii()
        );
    }
    if single.framing.is_frames() {
        return;
    }
    let read = read_by_hyper(&single.passed);
    let shown = format!("{}: {read:?}", single.passed.escape_ascii());
    let may_close = read.last().is_some_and(|last| last.closes);
    assert!(
        read.len() == single.starts.len() || (read.len() < single.starts.len() && may_close),
        "{shown}"
    );
    for (index, (seen, start)) in read.iter().zip(&single.starts).enumerate() {
        let (method, target) = request_line(&single.passed[*start..]);
        assert_eq!(seen.method.as_str(), method, "{shown}");
        assert_eq!(seen.target, Uri::try_from(target).unwrap(), "{shown}");
        let is_last = index + 1 == single.starts.len();
        let is_whole = !(is_last && single.framing.is_in_body());
        assert_eq!(seen.is_whole, is_whole, "{shown}");
    }
}

/// What the screen makes of some bytes.
struct Screened {
    framing: Framing,
    passed: Vec<u8>,
    /// Where requests begin in it; told for bytes that come one by one.
    starts: Vec<usize>,
    faulty: bool,
}

impl Screened {
    fn of<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut it = Self {
            framing: Framing::new(),
            passed: Vec::new(),
            starts: Vec::new(),
            faulty: false,
        };
        let mut held = Vec::new();
        for piece in pieces {
            held.extend_from_slice(piece);
            let was_in_body = it.framing.is_in_body();
            let (passed, fault) = it.framing.pass(&held);
            if passed > 0 && !was_in_body {
                it.starts.push(it.passed.len());
            }
            it.passed.extend(held.drain(..passed));
            it.faulty = fault.is_some();
            if it.faulty {
                break;
            }
            assert!(held.is_empty() || !it.framing.is_in_body());
        }
        it
    }
}

fn request_line(bytes: &[u8]) -> (&str, &str) {
    let line = bytes.strip_prefix(b"\r\n").unwrap_or(bytes);
    let mut words = line.split(|byte| *byte == b' ');
    let mut word = || str::from_utf8(words.next().unwrap()).unwrap();
    (word(), word())
}

/// A request as hyper read it.
#[derive(Debug)]
struct Seen {
    method: Method,
    target: Uri,
    closes: bool,
    is_whole: bool,
}

fn read_by_hyper(bytes: &[u8]) -> Vec<Seen> {
    let seen = Rc::<RefCell<Vec<Seen>>>::default();
    let noted = Rc::clone(&seen);
    let service = service_fn(move |request| answer(request, Rc::clone(&noted)));
    let wire = Wire {
        input: Bytes::copy_from_slice(bytes),
    };
    let mut connection = pin!(
        http1::Builder::new()
            .half_close(true)
            .serve_connection(wire, service)
    );
    let mut cx = Context::from_waker(Waker::noop());
    // It gives way now and then, but waits for nothing.
    let mut turns = 0..10_000;
    while turns.next().is_some() && connection.as_mut().poll(&mut cx).is_pending() {}
    seen.take()
}

async fn answer(
    request: Request<Incoming>,
    seen: Rc<RefCell<Vec<Seen>>>,
) -> Result<Response<String>, Infallible> {
    let (head, mut body) = request.into_parts();
    let connection = head.headers.get_all(CONNECTION).iter();
    let index = seen.borrow().len();
    seen.borrow_mut().push(Seen {
        method: head.method,
        target: head.uri,
        closes: head.version == Version::HTTP_10 || connection.count() > 0,
        is_whole: false,
    });
    let is_whole = loop {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            Some(Ok(_)) => {}
            end => break end.is_none(),
        }
    };
    seen.borrow_mut()[index].is_whole = is_whole;
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    Ok(response)
}

/// A connection whose client has sent all, and reads all.
struct Wire {
    input: Bytes,
}

impl rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut out: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.input.len().min(out.remaining());
        out.put_slice(&self.input.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
