//! From a request of hyper to a response for it.

use std::convert::Infallible;

use http::{HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use hyper::body::Incoming;

use super::{
    breaker::Breaker,
    screen::{Answers, Fault},
    unread::Told,
};
use crate::{
    access::Logged,
    body::whole::Whole,
    proxy::{Proxy, Reply},
};

/// Who answers the requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Answerer {
    pub(super) proxy: Proxy,
    pub(super) breaker: Breaker,
    pub(super) answers: Answers,
}

impl Answerer {
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Told<Logged<Reply>>>, Infallible>> {
        let answering = self.answers.begin();
        let version = request.version();
        async move {
            let mut response = match Fault::noted(&request) {
                Some(fault) => self.proxy.refuse(&request, &self.breaker, &fault.into()),
                None => self.forward(request).await,
            };
            if version <= Version::HTTP_11 && is_refusal(&response) {
                close_after(&mut response);
                self.answers.refuse();
            }
            Ok(response.map(|body| Told::new(body, answering)))
        }
    }

    fn forward(&self, request: Request<Incoming>) -> impl Future<Output = Response<Logged<Reply>>> {
        let version = request.version();
        let whole = |body| Whole::new(body, version).sharing(|| self.answers.share());
        self.proxy.handle(request.map(whole), &self.breaker)
    }
}

/// What a client that sends malformed requests means by the next one isn't asked; nor whether the bytes behind a `CONNECT` or an
/// `Upgrade` are one.
fn is_refusal<B>(response: &Response<B>) -> bool {
    matches!(
        response.status(),
        StatusCode::BAD_REQUEST | StatusCode::NOT_IMPLEMENTED
    ) && response.headers().contains_key("proxy-status")
}

fn close_after<B>(response: &mut Response<B>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
}
