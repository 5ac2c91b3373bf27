//! Who is let in, and to what. What is refused never reaches upstream, and asks Entra ID for nothing.

use std::fs;

use http::Method;
use http_body_util::Full;

use crate::{
    support::{self, Answer, Proxy, Upstreams},
    wire::field,
};

/// A proxy whose configuration has more at its end.
pub(crate) async fn start(more: &str) -> (Upstreams, Proxy) {
    let upstreams = Upstreams::start().await;
    let proxy = Proxy::start(&upstreams, &format!("{}\n{more}", upstreams.config()));
    (upstreams, proxy)
}

pub(crate) async fn ask(
    proxy: &Proxy,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let mut request = proxy.request(method.parse::<Method>().unwrap(), target);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    proxy.exchange(request.body(Full::default()).unwrap()).await
}

/// Asserts that nothing came through so far.
pub(crate) async fn assert_untouched(upstreams: &Upstreams) {
    assert_eq!(
        (
            upstreams.api_calls().await,
            upstreams.token_requests().await
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_loopback_names_and_listed_hosts_are_answered() {
    let (upstreams, proxy) =
        start("[listen]\nallowed_hosts = [\"proxy.contoso.example\", \"box:8443\"]\n").await;
    let ask = async |fields: &str| {
        proxy
            .raw(format!(
                "GET /api/sandbox/echo HTTP/1.1\r\n{fields}Connection: close\r\n\r\n"
            ))
            .await
    };
    for (fields, status, error) in [
        ("Host: contoso.example\r\n", "421", "http_request_denied"),
        (
            "Host: localhost.contoso.example\r\n",
            "421",
            "http_request_denied",
        ),
        (
            "Host: 127.0.0.1.contoso.example\r\n",
            "421",
            "http_request_denied",
        ),
        ("Host: box\r\n", "421", "http_request_denied"),
        ("Host: box:1\r\n", "421", "http_request_denied"),
        ("Host: 169.254.169.254\r\n", "421", "http_request_denied"),
        ("Host: 0.0.0.0:8080\r\n", "400", "http_request_error"),
        ("Host: [::]\r\n", "400", "http_request_error"),
        ("", "400", "http_request_error"),
        ("Host:\r\n", "400", "http_request_error"),
        (
            "Host: localhost\r\nHost: localhost\r\n",
            "400",
            "http_request_error",
        ),
        (
            "Host: localhost\r\nhost: contoso.example\r\n",
            "400",
            "http_request_error",
        ),
        ("Host: user@localhost\r\n", "400", "http_request_error"),
        (
            "Host: localhost, contoso.example\r\n",
            "400",
            "http_request_error",
        ),
        (
            "Host: localhost/contoso.example\r\n",
            "400",
            "http_request_error",
        ),
    ] {
        let answer = ask(fields).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{fields}: {answer}"
        );
        let expected = format!("defender-proxy; error={error}");
        assert_eq!(
            field(&answer, "proxy-status"),
            Some(&*expected),
            "{fields}: {answer}"
        );
    }
    assert_untouched(&upstreams).await;
    for host in [
        "LOCALHOST",
        "localhost:1",
        "127.0.0.1",
        "127.1.2.3:80",
        "[::1]:8080",
        "Proxy.Contoso.Example:99",
        "box:8443",
    ] {
        let answer = ask(&format!("Host: {host}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{host}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_web_page_may_use_the_credentials() {
    let (upstreams, proxy) = support::start().await;
    for fields in [
        vec![("origin", "https://contoso.example")],
        vec![("origin", "null")],
        vec![("origin", "http://localhost:3000")],
        vec![("origin", "http://localhost")],
        vec![("origin", "http://127.0.0.1:1")],
        vec![("origin", "")],
        vec![("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "same-site")],
        vec![("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
        vec![("sec-fetch-site", "Cross-Site")],
        vec![
            ("sec-fetch-site", "none"),
            ("origin", "https://contoso.example"),
        ],
    ] {
        for method in ["GET", "POST"] {
            let answer = ask(&proxy, method, "/api/incidents", &fields).await;
            assert_eq!(answer.status, 403, "{fields:?}");
            assert!(answer.is_own("http_request_denied"), "{answer:?}");
            assert_no_cors(&answer);
        }
        let mut preflight = fields.clone();
        preflight.push(("access-control-request-method", "POST"));
        let answer = ask(&proxy, "OPTIONS", "/api/incidents", &preflight).await;
        assert_eq!(answer.status, 403, "{fields:?}");
        assert_no_cors(&answer);
    }
    assert_untouched(&upstreams).await;
    let own = proxy.url.clone();
    let answer = ask(
        &proxy,
        "GET",
        "/api/incidents",
        &[("origin", &own), ("sec-fetch-site", "same-origin")],
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_no_cors(&answer);
    assert_no_cors(
        &ask(
            &proxy,
            "GET",
            "/api/incidents",
            &[("sec-fetch-site", "none")],
        )
        .await,
    );
}

fn assert_no_cors(answer: &Answer) {
    let mut names = answer.headers.keys().map(http::HeaderName::as_str);
    assert!(
        names.all(|name| !name.starts_with("access-control-")),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_page_may_call_and_gets_its_cors_answers() {
    let (upstreams, proxy) =
        start("[listen]\nallowed_origins = [\"http://localhost:3000\"]\n").await;
    let page = ("origin", "http://localhost:3000");
    let preflight = [
        page,
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "if-match, x-a"),
        ("sec-fetch-site", "same-site"),
    ];
    let answer = ask(&proxy, "OPTIONS", "/api/incidents/1", &preflight).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), page.1);
    assert_eq!(answer.header("access-control-allow-methods"), "PATCH");
    assert_eq!(
        answer.header("access-control-allow-headers"),
        "if-match, x-a"
    );
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(answer.header("vary").to_lowercase().contains("origin"));
    for refused in [
        "http://localhost:3001",
        "https://localhost:3000",
        "http://LOCALHOST:3000",
        "http://localhost:3000/",
        "http://localhost:30000",
    ] {
        let answer = ask(&proxy, "GET", "/api/incidents", &[("origin", refused)]).await;
        assert_eq!(answer.status, 403, "{refused}");
        assert_no_cors(&answer);
    }
    let twice = ask(
        &proxy,
        "GET",
        "/api/incidents",
        &[page, ("origin", "https://contoso.example")],
    )
    .await;
    assert_eq!(twice.status, 403);
    assert_untouched(&upstreams).await;

    let answer = ask(
        &proxy,
        "GET",
        "/api/incidents",
        &[page, ("sec-fetch-site", "same-site")],
    )
    .await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (200, page.1)
    );
    // A page must be able to read why it was refused, too.
    let answer = ask(&proxy, "GET", "/nowhere", &[page]).await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (404, page.1)
    );
    let seen = upstreams.api_requests().await;
    assert!(
        seen.iter()
            .all(|seen| !seen["headers"].to_string().contains("\"origin\"")),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_key_is_asked_for_and_kept_here() {
    let upstreams = Upstreams::start().await;
    let file = upstreams.dir.path().join("client-key");
    fs::write(&file, "open sesame\n").unwrap();
    let listen = format!(
        "[listen]\nclient_key = {{ file = {:?} }}\nallowed_origins = [\"http://localhost:3000\"]\n",
        file.to_str().unwrap()
    );
    let proxy = Proxy::start(&upstreams, &format!("{}\n{listen}", upstreams.config()));
    // "x:open sesame", "open sesame:x" and "x:open"
    for wrong in [
        vec![],
        vec![("x-proxy-key", "")],
        vec![("x-proxy-key", "open sesam")],
        vec![("x-proxy-key", "open sesame!")],
        vec![
            ("x-proxy-key", "wrong"),
            ("authorization", "Basic eDpvcGVuIHNlc2FtZQ=="),
        ],
        vec![("authorization", "Bearer open sesame")],
        vec![("authorization", "Basic b3BlbiBzZXNhbWU6eA==")],
        vec![("authorization", "Basic eDpvcGVu")],
        vec![("authorization", "Basic !!!")],
        vec![("cookie", "x-proxy-key=open sesame")],
    ] {
        let answer = ask(&proxy, "GET", "/api/incidents", &wrong).await;
        assert_eq!(answer.status, 401, "{wrong:?}");
        assert!(answer.is_own("http_request_denied"), "{answer:?}");
        assert!(
            answer.header("www-authenticate").starts_with("Basic "),
            "{answer:?}"
        );
        assert!(!answer.text().contains("sesame"));
    }
    let page = [
        ("origin", "http://localhost:3000"),
        ("access-control-request-method", "GET"),
    ];
    assert_eq!(
        ask(&proxy, "OPTIONS", "/api/incidents", &page).await.status,
        204
    );
    assert_eq!(
        ask(&proxy, "OPTIONS", "/api/incidents", &page[1..])
            .await
            .status,
        401
    );
    assert_untouched(&upstreams).await;

    for right in [
        ("x-proxy-key", "open sesame"),
        ("authorization", "basic eDpvcGVuIHNlc2FtZQ=="),
    ] {
        assert_eq!(
            ask(&proxy, "GET", "/api/incidents", &[right]).await.status,
            200,
            "{right:?}"
        );
    }
    let seen = upstreams.requests().await;
    let seen = serde_json::to_string(&seen).unwrap();
    assert!(
        !seen.contains("sesame") && !seen.contains("eDpvcGVuIHNlc2FtZQ"),
        "{seen}"
    );
}
