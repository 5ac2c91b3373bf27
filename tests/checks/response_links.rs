//! Links in the fields of an answer.

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use defender_proxy::rewrite::{Encodings, Links, Rewrite, Scope};
use http::{
    HeaderMap, HeaderName, Method, Response,
    header::{CONTENT_LOCATION, LINK, LOCATION},
};
use http_body_util::Empty;

/// Nothing changes in `Location`, `Content-Location` and `Link` but listed origins, which become the client's own, and the
/// beginning of a path, which gets the client's prefix; what leads elsewhere still does.
pub(crate) fn response_links(answer: &Response<()>) {
    let before = answer.headers().clone();
    for local in [HERE, BELOW] {
        let rewrite = Rewrite {
            links: &LINKS,
            local,
            scope: Scope::Fields,
            client: Encodings::of(&HeaderMap::new()),
        };
        let answer = answer.clone().map(|()| Empty::<Bytes>::new());
        let after = now(rewrite.response(&Method::GET, answer));
        for name in [LOCATION, CONTENT_LOCATION, LINK] {
            let lines = |headers: &HeaderMap| lines(headers, &name);
            let (before, after) = (lines(&before), lines(after.headers()));
            assert_eq!(before.len(), after.len(), "{name}");
            for (before, after) in before.iter().zip(&after) {
                same_but_for_origins(before, after, local);
                let foreign = name != LINK && !before.starts_with('/');
                assert!(
                    !foreign || before == after || after.starts_with(local),
                    "{before} became {after}"
                );
            }
        }
    }
}

/// Nothing has to be waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn lines(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter();
    lines
        .map(|line| line.as_bytes().escape_ascii().to_string())
        .collect()
}

fn same_but_for_origins(before: &str, after: &str, local: &str) {
    let bare = |text: &str| {
        let mut text = text.to_ascii_lowercase();
        for origin in ORIGINS.iter().chain([&local, &"/t/contoso"]) {
            text = text.replace(origin, "");
        }
        text
    };
    assert_eq!(bare(before), bare(after), "{before} became {after}");
}

const HERE: &str = "http://localhost:8080";
const BELOW: &str = "http://localhost:8080/t/contoso";
/// Those with a port first, so that no port is left when they are taken out.
const ORIGINS: [&str; 3] = [
    "https://api.contoso.example:443",
    "https://api.contoso.example",
    "http://127.0.0.1:1234",
];

static LINKS: LazyLock<Arc<Links>> =
    LazyLock::new(|| Arc::new(Links::new(ORIGINS.map(str::to_owned))));
