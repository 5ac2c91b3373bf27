//! Right, honestly an error, or wrong.

use std::time::Duration;

use http::{Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The answer is what it must be.
    Right,
    /// The client can see that it got none, and why.
    Honest(String),
    /// The client was told something that isn't so, or nothing at all.
    Wrong(String),
    /// The client went away by itself.
    HungUp,
}

/// An answer that is no success; or its body, read or broken off.
pub(crate) type Read<T> = Result<T, Outcome>;

/// The answer if it is a success; an error must be the proxy's own and say so, or one that the stand-ins were told to give.
pub(crate) fn success(answer: Response<Incoming>) -> Read<Response<Incoming>> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let field = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let kind = field(CONTENT_TYPE.as_str()).unwrap_or_default();
    Err(match field("proxy-status") {
        Some(proxy) if kind == "application/problem+json" => {
            let error = proxy.split("error=").nth(1).unwrap_or("?");
            let error = error.split(';').next().unwrap_or_default();
            Outcome::Honest(format!("{} {error}, of the proxy", status.as_u16()))
        }
        Some(proxy) => Outcome::Wrong(format!("{status} {kind} with Proxy-Status {proxy}")),
        None if INJECTED.contains(&status) => {
            Outcome::Honest(format!("{}, of upstream", status.as_u16()))
        }
        None => Outcome::Wrong(format!("{status} of nobody")),
    })
}

/// The whole body.
pub(crate) async fn whole(answer: Response<Incoming>) -> Read<Vec<u8>> {
    let body = answer.into_body().collect().await;
    let body = body.map_err(|_| Outcome::Honest("body broken off".to_owned()))?;
    Ok(body.to_bytes().to_vec())
}

/// The body's pieces, each handed on at its offset, with a pause in between; the length of all.
pub(crate) async fn pieces(
    answer: Response<Incoming>,
    pause: Duration,
    mut piece: impl FnMut(u64, &[u8]) -> Read<()>,
) -> Read<u64> {
    let (mut body, mut length) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Outcome::Honest("body broken off".to_owned()))?;
        if let Ok(data) = frame.into_data() {
            piece(length, &data)?;
            length += data.len() as u64;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
    Ok(length)
}

/// Right if it is as it must be.
pub(crate) fn expect(is_right: bool, what: impl FnOnce() -> String) -> Read<()> {
    if is_right {
        Ok(())
    } else {
        Err(Outcome::Wrong(what()))
    }
}

const INJECTED: [StatusCode; 5] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::BAD_GATEWAY,
    StatusCode::SERVICE_UNAVAILABLE,
];
