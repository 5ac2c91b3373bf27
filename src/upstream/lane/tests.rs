use std::{pin::pin, task::Context};

use hyper_rustls::MaybeHttpsStream;
use hyper_util::{client::proxy::matcher::Matcher, rt::TokioIo};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::upstream::{Connector, link::Link, tls};

const LIMIT: Duration = Duration::from_secs(30);

/// An origin, and the way to it.
async fn origin(scheme: Scheme) -> (TcpListener, Arc<Lane>, Opener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let lane = Arc::new(Lane::new(scheme, address.parse().unwrap()));
    let tls = tls::client_config(None).unwrap();
    let connector = Connector::new(tls, Matcher::builder().build(), LIMIT, LIMIT);
    (listener, lane, Opener::new(connector))
}

/// A connection, and its other end.
async fn open(
    listener: &TcpListener,
    lane: &Lane,
    opener: &Opener,
) -> (Box<Connection>, TcpStream) {
    let ready = opener.open(&lane.scheme, &lane.authority).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    match ready {
        Ready::Http1(connection) => (connection, stream),
        Ready::Http2(_) => panic!("HTTP/2 without TLS"),
    }
}

#[tokio::test]
async fn a_connection_that_goes_from_one_request_to_the_next_is_looked_at_too() {
    let (listener, lane, opener) = origin(Scheme::HTTP).await;
    let (ended, end) = open(&listener, &lane, &opener).await;
    {
        // Another request's, that all may share.
        let mut state = lane.state();
        state.may_share = true;
        state.opening = 1;
    }
    let mut taking = pin!(lane.take(&opener));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(taking.as_mut().poll(&mut cx).is_pending());
    drop(end);
    lane.put(ended, true);
    let Ok(Found {
        ready: Ready::Http1(connection),
        is_used: true,
    }) = taking.await
    else {
        panic!("the connection that was given back");
    };
    connection.look();
    let answer = connection.send(Request::new(Outgoing::Empty), &lane).await;
    let unsent = answer.unwrap_err().take_message();
    assert!(unsent.is_some(), "so that it may be sent on another");
}

#[tokio::test]
async fn who_asks_and_hangs_up_has_no_more_than_some_opened() {
    // It is never answered, so none is opened.
    let (_listener, lane, opener) = origin(Scheme::HTTPS).await;
    lane.state().may_share = false;
    for _ in 0..MAX_UNAWAITED * 4 {
        drop(lane.ask(&opener));
    }
    assert_eq!(lane.state().opening, MAX_UNAWAITED);
    let waiting: Vec<_> = (0..MAX_UNAWAITED * 2).map(|_| lane.ask(&opener)).collect();
    let opening = lane.state().opening;
    assert!(
        opening >= waiting.len(),
        "{opening}: one for each who waits"
    );
}

#[tokio::test]
async fn a_connection_of_http2_that_nobody_has_asked_for_is_given_up() {
    let (listener, lane, _) = origin(Scheme::HTTPS).await;
    let stream = TcpStream::connect(listener.local_addr().unwrap());
    let link = Link::new(stream.await.unwrap(), LIMIT);
    let stream = MaybeHttpsStream::Http(TokioIo::new(link));
    lane.share(http2::Connection::open(stream).await.unwrap());
    assert!(matches!(lane.at_hand(false), Some(Ready::Http2(_))));
    let long_ago = Instant::now().checked_sub(REST).unwrap();
    for shared in &mut lane.state().shared {
        shared.since = long_ago;
    }
    assert!(lane.at_hand(false).is_none());
}
