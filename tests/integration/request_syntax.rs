//! Request lines, targets, hosts and fields that are not as they should be, and some that are.

use crate::{
    smuggling::{Recorder, lives, refused},
    wire::{Wire, field},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_request_line_is_refused() {
    let both = Recorder::behind_proxy().await;
    #[rustfmt::skip]
    let lines: &[(&str, u16)] = &[
        ("GET  /api/raw HTTP/1.1", 400), ("GET /api/raw  HTTP/1.1", 400), ("GET\t/api/raw HTTP/1.1", 400), ("GET /api/raw\tHTTP/1.1", 400), (" GET /api/raw HTTP/1.1", 400),
        ("GET /api/raw HTTP/1.1 ", 400), ("GET /api/raw HTTP/1.1\t", 400), ("GET /api/raw HTTP/1.1 x", 400), ("GET /api/raw", 400), ("GET", 400), ("/api/raw HTTP/1.1", 400), ("x", 400),
        ("G(T /api/raw HTTP/1.1", 400), ("G\u{e9}T /api/raw HTTP/1.1", 400), ("GET\0 /api/raw HTTP/1.1", 400), ("G\u{7f}T /api/raw HTTP/1.1", 400), (": /api/raw HTTP/1.1", 400),
        ("\0GET /api/raw HTTP/1.1", 400), ("\u{feff}GET /api/raw HTTP/1.1", 400), ("GET: /api/raw HTTP/1.1", 400), ("{\"a\":1}", 400), ("\u{16}\u{3}\u{1}\u{2}", 400),
        ("PRI /api/raw HTTP/1.1", 400), ("- * HTTP/1.1", 400), ("- / HTTP/1.1", 400), ("PRI * HTTP/1.1", 400), ("PRI * HTTP/2.0", 505),
        ("GET /api/raw HTTP/0.9", 505), ("GET /api/raw HTTP/1.2", 505), ("GET /api/raw HTTP/2.0", 505), ("GET /api/raw HTTP/3.0", 505), ("GET /api/raw HTTP/9.9", 505),
        ("GET /api/raw HTTP/2", 505), ("GET /api/raw HTTP/1", 400), ("GET /api/raw HTTP/1.11", 400), ("GET /api/raw HTTP/1.1.1", 400), ("GET /api/raw http/1.1", 400), ("GET /api/raw HTTP/1,1", 505),
        ("GET /api/raw HTTP 1.1", 400), ("GET /api/raw HTTPS/1.1", 400), ("GET /api/raw ICY/1.1", 400), ("GET /api/raw HTTP/x.1", 400), ("GET /api/raw HTTP/-1.1", 400),
    ];
    for (line, status) in lines {
        let request = format!(
            "{line}\r\nHost: localhost\r\n\r\nGET /api/raw/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        // Of `HTTP/1` and what follows nobody can say which version it is.
        let either = [*status, 505];
        refused(
            &both,
            &line.escape_debug().to_string(),
            request.as_bytes(),
            &either,
        )
        .await;
    }
    for before in [
        "\r\n\r\n", "\n", "\r", "\r\n\n", "\r\r\n", "\n\n", " \r\n", "\0\r\n",
    ] {
        let request = format!("{before}GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n");
        refused(
            &both,
            &before.escape_debug().to_string(),
            request.as_bytes(),
            &[400],
        )
        .await;
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_target_or_host_is_refused() {
    let both = Recorder::behind_proxy().await;
    #[rustfmt::skip]
    let targets = [
        "api/raw", "", "?a=b", "#", "/api/raw#x", "/api/raw?a=b#c", "http://localhost/api/raw#x", "/api/raw\u{0}", "/api/raw\u{7f}", "/api/raw\u{1}", "/api\\raw", "/api/<raw>", "/api/raw?a=<b>", "/api/raw`x",
        "*", "/*/../api/raw", "**", "//", "//localhost/api/raw", "///api/raw", "/api/raw/../raw", "/api/raw/%2e%2e/x",
        "http:/api/raw", "http:///api/raw", "http://", "http:api/raw", "://localhost/api/raw", "http//localhost/api/raw", "http://localhost:x/api/raw", "http://localhost:99999/api/raw", "http://local host/api/raw",
        "http://@localhost/api/raw", "http://user@localhost/api/raw", "http://user:pass@localhost/api/raw", "http://localhost@evil.example/api/raw", "http://localhost%40evil.example/api/raw", "http://[::1/api/raw", "http://localhost\\@evil.example/api/raw",
        "http://evil.example/api/raw", "https://evil.example/api/raw", "http://localhost.evil.example/api/raw", "http://localhost:1/api/raw", "ftp://localhost/api/raw", "file:///etc/passwd", "gopher://localhost/api/raw", "javascript:alert(1)",
        "localhost", "localhost:80", "evil.example:443", "localhost/api/raw", "user@localhost:80",
    ];
    for target in targets {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/raw/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
        );
        refused(
            &both,
            &target.escape_debug().to_string(),
            request.as_bytes(),
            &[400],
        )
        .await;
    }
    #[rustfmt::skip]
    let hosts = [
        "", "Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nhost: evil.example\r\n", "Host: evil.example\r\nHost: localhost\r\n", "Host:\r\n", "Host: \t\r\n", "Host: localhost\r\nHost:\r\n",
        "Host: user@localhost\r\n", "Host: @localhost\r\n", "Host: localhost@evil.example\r\n", "Host: localhost:\r\n", "Host: localhost:x\r\n", "Host: localhost:+80\r\n", "Host: localhost:65536\r\n", "Host: localhost:80:80\r\n", "Host: :80\r\n",
        "Host: localhost, evil.example\r\n", "Host: localhost evil.example\r\n", "Host: localhost/evil\r\n", "Host: localhost?x\r\n", "Host: localhost#x\r\n", "Host: http://localhost\r\n", "Host: [::1\r\n", "Host: ::1\r\n", "Host: [::1]x\r\n",
        "Host: 0.0.0.0\r\n", "Host: [::]\r\n", "Host : localhost\r\n", " Host: localhost\r\n", "Host: localhost\r\n evil.example\r\n", "Host: localhost\0\r\n", "Host: localhost\rX: y\r\n", "Host: localhost\nX: y\r\n", "H\u{f6}st: localhost\r\n", "Ho st: localhost\r\n", "X-Host: localhost\r\n", "Host_: localhost\r\n",
    ];
    for host in hosts {
        for version in ["1.1", "1.0"] {
            let request = format!(
                "GET /api/raw HTTP/{version}\r\n{host}\r\nGET /api/raw/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
            );
            refused(
                &both,
                &format!("{version} {}", host.escape_debug()),
                request.as_bytes(),
                &[400],
            )
            .await;
        }
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_field_is_refused() {
    let both = Recorder::behind_proxy().await;
    #[rustfmt::skip]
    let fields = [
        "X-A : 1", "X-A\t: 1", "X A: 1", " X-A: 1", "\tX-A: 1", "X-A", "X-A 1", ": 1", "", "X-A: 1\r\n folded", "X-A: 1\r\n\tfolded", "X-A:\r\n folded", "X-A: 1\r\n ", "X-A: 1\r\n : b",
        "X-A: 1\rX-B: 2", "X-A: 1\r\rX-B: 2", "X-A: 1\nX-B: 2", "X-A: 1\n\rX-B: 2", "X-A: 1\n", "X-A: 1\r", "X-A: \r1", "X-A\r: 1", "X-A\n: 1", "X-A\r\n: 1", "X-A: 1\n\nGET /api/raw/in HTTP/1.1\nHost: localhost",
        "X-A: \0", "X-A\0: 1", "X-A: 1\0", "X-A: \u{1}", "X-A: \u{8}", "X-A: \u{b}1", "X-A: \u{c}1", "X-A: \u{1b}[0m", "X-A: \u{7f}", "X-\u{e9}: 1", "X-A\u{7f}: 1", "X(A): 1", "X,A: 1", "X/A: 1", "X=A: 1", "X@A: 1", "X[A]: 1", "{X}: 1", "\"X\": 1", "X;A: 1", "X<A>: 1", "X?A: 1", "X\\A: 1",
        "Expect: 200-ok", "Expect: 100-continue, x", "Expect:", "Expect: 100-continue\r\nExpect: x",
    ];
    for line in fields.iter().filter(|line| !line.is_empty()) {
        for place in ["X-0: 0\r\n", ""] {
            let request = format!(
                "GET /api/raw HTTP/1.1\r\n{place}{line}\r\nHost: localhost\r\n\r\nGET /api/raw/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
            );
            refused(
                &both,
                &line.escape_debug().to_string(),
                request.as_bytes(),
                &[400, 417],
            )
            .await;
        }
    }
    let (long, target) = ("a".repeat(70_000), "a".repeat(33_000));
    let (hundred, most) = (
        "X-A: 1\r\n".repeat(100),
        format!("X-A: {}\r\n", "a".repeat(1000)).repeat(66),
    );
    let large = [
        (
            "a long value",
            format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: {long}\r\n\r\n"),
            431,
        ),
        (
            "a long name",
            format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{long}: 1\r\n\r\n"),
            431,
        ),
        (
            "a field without end",
            format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\nX-A: {long}"),
            431,
        ),
        (
            "101 fields",
            format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{hundred}\r\n"),
            431,
        ),
        (
            "66 KB of fields",
            format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{most}\r\n"),
            431,
        ),
        (
            "a long target",
            format!("GET /api/raw?{target} HTTP/1.1\r\nHost: localhost\r\n\r\n"),
            414,
        ),
        ("a target without end", format!("GET /api/raw?{long}"), 414),
        ("a method without end", format!("{long}{long}"), 414),
    ];
    for (case, request, status) in &large {
        refused(&both, case, request.as_bytes(), &[*status]).await;
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_well_formed_passes_however_it_is_cut() {
    let (recorder, proxy) = Recorder::behind_proxy().await;
    let (target, value) = ("a".repeat(30_000), "b".repeat(30_000));
    let (fields, large) = (
        "X-A: 1\r\n".repeat(98),
        format!("GET /api/raw?{target} HTTP/1.1\r\nHost: localhost\r\nX-A: {value}\r\n\r\n"),
    );
    #[rustfmt::skip]
    let requests = [
        "GET /api/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "\r\nGET /api/raw?$filter=a%20eq%20'b'&c=[d]|{e}^\\~! HTTP/1.1\r\nhost:localhost:1\r\nX-A:\t\u{e9}\t1\t\r\nX-B:\r\n!#$%&'*+-.^_`|~0: 1\r\n\r\n".to_owned(),
        "GET http://localhost:80/api/raw HTTP/1.1\r\nHost: LOCALHOST:80\r\n\r\n".to_owned(),
        "GET /api/raw HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nExpect: x\r\n\r\n".to_owned(),
        "M-SEARCH /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".to_owned(),
        format!("GET /api/raw HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"),
        large,
    ];
    for request in &requests {
        for pieces in [1, 2, 3, 7] {
            let mut client = Wire::connect(&proxy).await;
            for piece in request.as_bytes().chunks(request.len().div_ceil(pieces)) {
                client.send(piece).await;
                tokio::task::yield_now().await;
            }
            let (head, _) = client.message().await;
            assert!(
                head.starts_with("HTTP/1.1 200 ") || head.starts_with("HTTP/1.0 200 "),
                "{pieces} of {request:.200}: {head}"
            );
            let seen = recorder.take();
            assert_eq!(seen.len(), 1, "{request:.200}");
            assert!(seen[0].head.contains(" /api/raw"), "{}", seen[0].head);
        }
    }
    // One byte at a time.
    let mut client = Wire::connect(&proxy).await;
    for byte in requests[1].as_bytes() {
        client.send([*byte]).await;
    }
    assert_eq!(
        field(&client.message().await.0, "content-length"),
        Some("43")
    );
}
