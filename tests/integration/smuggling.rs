//! Requests whose end two readers could see in different places. The upstream records every request that it can read to its end.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::{
    support::{Proxy, Upstreams},
    wire::{field, names},
};

/// An upstream that keeps connections, records what it gets, and answers with the target.
pub(crate) struct Recorder {
    seen: Arc<Mutex<Vec<Recorded>>>,
    _upstreams: Upstreams,
    _tasks: JoinSet<()>,
}

/// A request that came whole.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Recorder {
    /// The upstream of `/api/raw` of a new proxy.
    pub(crate) async fn behind_proxy() -> (Self, Proxy) {
        let upstreams = Upstreams::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let route = format!(
            "\n[[route]]\nprefix = \"/api/raw\"\nupstream = \"http://{}\"\naudience = \"https://api.security.microsoft.com\"\n",
            listener.local_addr().unwrap()
        );
        let seen = Arc::<Mutex<Vec<Recorded>>>::default();
        let mut tasks = JoinSet::new();
        let records = Arc::clone(&seen);
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(record(stream, Arc::clone(&records)));
            }
        });
        let proxy = Proxy::start(&upstreams, &(upstreams.config() + &route));
        let recorder = Self {
            seen,
            _upstreams: upstreams,
            _tasks: tasks,
        };
        (recorder, proxy)
    }

    /// The requests since the last time.
    pub(crate) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

async fn record(mut stream: TcpStream, seen: Arc<Mutex<Vec<Recorded>>>) {
    let mut bytes = Vec::new();
    loop {
        let Some((length, request)) = whole(&bytes) else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        bytes.drain(..length);
        let target = request.head.split(' ').nth(1).unwrap().to_owned();
        let is_head = request.head.starts_with("HEAD ");
        seen.lock().unwrap().push(request);
        let mut answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            target.len()
        );
        if !is_head {
            answer += &target;
        }
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// The first request in `bytes`, and its length. What hyper sends is in one form, so this can be simple.
fn whole(bytes: &[u8]) -> Option<(usize, Recorded)> {
    let find = |wanted: &[u8], from: usize| {
        let rest = &bytes[from..];
        let at = rest.windows(wanted.len()).position(|part| part == wanted)?;
        Some(from + at + wanted.len())
    };
    let mut at = find(b"\r\n\r\n", 0)?;
    let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let mut body = Vec::new();
    if field(&head, "transfer-encoding").is_some() {
        loop {
            let data = find(b"\r\n", at)?;
            let size = str::from_utf8(&bytes[at..data - 2]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            body.extend_from_slice(bytes.get(data..data + size)?);
            at = find(b"\r\n", data + size)?;
            if size == 0 {
                break;
            }
        }
    } else {
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        body.extend_from_slice(bytes.get(at..at + length)?);
        at += length;
    }
    Some((at, Recorded { head, body }))
}

/// Sends bytes that the proxy has to refuse, and checks that nothing comes of them but one answer of its own and the end.
pub(crate) async fn refused(
    (recorder, proxy): &(Recorder, Proxy),
    case: &str,
    bytes: &[u8],
    statuses: &[u16],
) {
    let answer = proxy.raw(bytes).await;
    let status = answer.get(9..12).and_then(|status| status.parse().ok());
    assert!(
        status.is_some_and(|status| statuses.contains(&status)),
        "{case}: {answer:?}"
    );
    assert_eq!(answer.matches("\r\nDate: ").count(), 1, "{case}: {answer}");
    assert_eq!(
        field(&answer, "content-type"),
        Some("application/problem+json"),
        "{case}: {answer}"
    );
    let source = field(&answer, "proxy-status").unwrap_or_default();
    assert!(
        source.starts_with("defender-proxy; error="),
        "{case}: {answer}"
    );
    assert_eq!(
        field(&answer, "connection"),
        Some("close"),
        "{case}: {answer}"
    );
    let seen = recorder.take();
    assert!(seen.is_empty(), "{case}: {seen:?}");
}

/// Sends bytes that are one request with a body, and checks that upstream gets it in one form.
async fn forwarded((recorder, proxy): &(Recorder, Proxy), case: &str, bytes: &[u8], body: &str) {
    let answer = proxy.raw(bytes).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{case}: {answer}");
    let seen = recorder.take();
    assert_eq!(seen.len(), 1, "{case}: {seen:?}");
    let framings = names(&seen[0].head).into_iter().filter(|name| {
        ["content-length", "transfer-encoding"].contains(&name.replace('_', "-").as_str())
    });
    assert_eq!(framings.count(), 1, "{case}: {}", seen[0].head);
    assert_eq!(seen[0].body, body.as_bytes(), "{case}: {}", seen[0].head);
}

/// A good request on a new connection.
pub(crate) async fn lives((recorder, proxy): &(Recorder, Proxy)) {
    let answer = proxy.get("/api/raw/alive").await;
    assert_eq!(
        (answer.status.as_u16(), &*answer.text()),
        (200, "/api/raw/alive")
    );
    assert_eq!(recorder.take().len(), 1);
}

/// Behind whatever ends early.
const NEXT: &str = "GET /api/raw/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_encoding_is_chunked_alone_or_refused() {
    let both = Recorder::behind_proxy().await;
    #[rustfmt::skip]
    let good = [
        "Transfer-Encoding: chunked", "transfer-encoding:chunked", "TRANSFER-ENCODING:\tChUnKeD", "Transfer-Encoding: chunked \t",
        "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
    ];
    #[rustfmt::skip]
    let bad = [
        "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked", "\tTransfer-Encoding: chunked",
        "Transfer-Encoding:\u{b}chunked", "Transfer-Encoding: \u{c}chunked", "Transfer-Encoding: \0chunked", "Transfer-Encoding: chunked\0",
        "Transfer-Encoding: chunked\u{b}", "Transfer-Encoding: chunked\u{7f}", "Transfer-Encoding: \u{85}chunked", "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding\n: chunked", "Transfer-Encoding\r\n: chunked", "Transfer-Encoding:\r\n chunked", "Transfer-Encoding:\n chunked", "Transfer-Encoding: chun\r\n ked",
        "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "X: y\r\n\rTransfer-Encoding: chunked", "X: y\r\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r", "Transfer-Encoding: chunked\n",
        "Transfer-Encoding: xchunked", "Transfer-Encoding: chunkedx", "Transfer-Encoding: chunk", "Transfer-Encoding: x", "Transfer-Encoding: identity", "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked, chunked", "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x, chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: chunked; x", "Transfer-Encoding: [chunked]",
        "Transfer-Encoding:", "Transfer-Encoding: ,", "Transfer-Encoding: 1", "Transfer-Encoding", ": chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked", "Transfer-Encoding:\r\nTransfer-Encoding: chunked",
        "Transfer_Encoding: chunked", "transfer_encoding: identity", "Transfer Encoding: chunked", "Transfer-Encoding\u{0}: chunked", "Transfer-Encoding\u{2d}\u{e9}: chunked",
    ];
    let chunked = "5\r\nabcde\r\n0\r\n\r\n";
    for line in good {
        let request = format!(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{line}\r\n\r\n{chunked}{NEXT}"
        );
        forwarded(&both, line, request.as_bytes(), "abcde").await;
    }
    let mut cases = Vec::new();
    for line in bad {
        cases.push(format!(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{line}\r\n\r\n{chunked}{NEXT}"
        ));
    }
    for line in good.into_iter().chain(bad) {
        for lines in [
            format!("Content-Length: 4\r\n{line}"),
            format!("{line}\r\nContent-Length: 4"),
            format!("content-length: 4\r\n{line}\r\nConnection: content-length"),
            format!("Content-Length: 15\r\n{line}"),
        ] {
            cases.push(format!(
                "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n\r\n{chunked}{NEXT}"
            ));
        }
        for connection in ["", "Connection: keep-alive\r\n"] {
            cases.push(format!("POST /api/raw HTTP/1.0\r\nHost: localhost\r\n{connection}{line}\r\n\r\n{chunked}{NEXT}"));
        }
        cases.push(format!(
            "GET /api/raw HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{line}\r\n\r\n{NEXT}"
        ));
    }
    for case in &cases {
        refused(
            &both,
            &case.escape_debug().to_string(),
            case.as_bytes(),
            &[400, 501],
        )
        .await;
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_content_length_is_one_number_or_refused() {
    let both = Recorder::behind_proxy().await;
    for value in ["5", "05", "000000000000000000000005", "\t5 \t"] {
        let request = format!(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length:{value}\r\n\r\nabcde{NEXT}"
        );
        forwarded(&both, value, request.as_bytes(), "abcde").await;
    }
    #[rustfmt::skip]
    let bad = [
        "+5", "-5", "-0", "0x5", "5,5", "5, 5", "5,", ",5", "5 5", "5;", "5;q=1", "5.0", "5e0", "", "\t", "abc", "5a", "a5", "\"5\"", "'5'", "\u{665}", "\u{ff15}", "5_0", "5\0", "\u{0}5", "5\u{b}", "\u{a0}5",
        "9223372036854775808", "18446744073709551611", "18446744073709551615", "18446744073709551616", "18446744073709551621", "99999999999999999999999999999999",
        "5\r\nContent-Length: 5", "5\r\nContent-Length: 6", "6\r\ncontent-length: 5", "0\r\nContent-Length: 5", "5\r\nContent-Length:", "\r\nContent-Length: 5",
        "5\r\nContent_Length: 0", "5\r\nCONTENT-LENGTH: 5", "5\r\n ", "5\r\n\t6", "\r\n 5", "5\r", "5\n",
        "5\r\nConnection: content-length\r\nContent-Length: 5",
    ];
    let mut cases = Vec::new();
    for value in bad {
        for version in ["1.1", "1.0"] {
            for method in ["POST", "GET"] {
                cases.push(format!("{method} /api/raw HTTP/{version}\r\nHost: localhost\r\nContent-Length: {value}\r\n\r\nabcde{NEXT}"));
            }
        }
    }
    for name in [
        "Content-Length ",
        "Content-Length\t",
        " Content-Length",
        "Content Length",
        "Content_Length",
        "content_length",
        "Content-Length\0",
        "Content-Length\r\n",
    ] {
        cases.push(format!(
            "POST /api/raw HTTP/1.1\r\nHost: localhost\r\n{name}: 5\r\n\r\nabcde{NEXT}"
        ));
    }
    for case in &cases {
        refused(
            &both,
            &case.escape_debug().to_string(),
            case.as_bytes(),
            &[400],
        )
        .await;
    }
    lives(&both).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunk_is_what_it_says_or_the_body_is_broken() {
    let both = Recorder::behind_proxy().await;
    let head = "POST /api/raw HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n";
    #[rustfmt::skip]
    let good = [
        "5\r\nabcde\r\n0\r\n\r\n", "0005\r\nabcde\r\n0000\r\n\r\n", "0000000000000005\r\nabcde\r\n0\r\n\r\n", "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n",
        "5;a\r\nabcde\r\n0\r\n\r\n", "5;a=b;c=\"d\te\"\r\nabcde\r\n0;x\r\n\r\n", "5\r\nabcde\r\n0\r\nX-T: 1\r\nAuthorization: Bearer mine\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\n\r\n",
    ];
    for body in good {
        let request = format!("{head}Connection: close\r\n\r\n{body}{NEXT}");
        forwarded(&both, body, request.as_bytes(), "abcde").await;
    }
    let (long, many) = ("a".repeat(4097), "a:\r\n".repeat(65));
    let (large, spread) = (
        "a".repeat(9000),
        "1;abcdefghijklmnopqrstuvwxyz\r\na\r\n".repeat(200),
    );
    #[rustfmt::skip]
    let bad = [
        "5\nabcde\n0\n\n", "5\nabcde\r\n0\r\n\r\n", "5\r\nabcde\n0\r\n\r\n", "5\r\nabcde\r\n0\n\r\n", "5\r\nabcde\r\n0\r\n\n", "5\rabcde\r\n0\r\n\r\n", "5\r\nabcde\r0\r\n\r\n",
        "5\r\nabcdef\r\n0\r\n\r\n", "5\r\nabcd\r\n0\r\n\r\n", "5\r\nabcde0\r\n\r\n", "5\r\nabcde\r\n\r\n0\r\n\r\n", "5\r\nabcde\r\nX0\r\n\r\n",
        "g\r\nabcde\r\n0\r\n\r\n", "-5\r\nabcde\r\n0\r\n\r\n", "+5\r\nabcde\r\n0\r\n\r\n", "0x5\r\nabcde\r\n0\r\n\r\n", "\\x5\r\nabcde\r\n0\r\n\r\n", "5h\r\nabcde\r\n0\r\n\r\n", "\"5\"\r\nabcde\r\n0\r\n\r\n",
        " 5\r\nabcde\r\n0\r\n\r\n", "5 \r\nabcde\r\n0\r\n\r\n", "5\t\r\nabcde\r\n0\r\n\r\n", "5 ;a\r\nabcde\r\n0\r\n\r\n", "\r\n5\r\nabcde\r\n0\r\n\r\n", "\n5\r\nabcde\r\n0\r\n\r\n", "\u{0}5\r\nabcde\r\n0\r\n\r\n", "5\0\r\nabcde\r\n0\r\n\r\n",
        ";a\r\nabcde\r\n0\r\n\r\n", "\r\n\r\n", "5,\r\nabcde\r\n0\r\n\r\n", "5.0\r\nabcde\r\n0\r\n\r\n", "1_0\r\nabcde\r\n0\r\n\r\n",
        "10000000000000005\r\nabcde\r\n0\r\n\r\n", "00000000000000005\r\nabcde\r\n0\r\n\r\n", "fffffffffffffffff\r\nabcde\r\n0\r\n\r\n", "100000000\u{660}\r\nabcde\r\n0\r\n\r\n",
        "5;a\nb\r\nabcde\r\n0\r\n\r\n", "5;a\rb\r\nabcde\r\n0\r\n\r\n", "5;a\0\r\nabcde\r\n0\r\n\r\n", "5;\u{e9}\r\nabcde\r\n0\r\n\r\n", "5;a\nabcde\r\n0\r\n\r\n", "5\r\nabcde\r\n0;\n\r\n",
        "5\r\nabcde\r\n0\r\nBad Name: x\r\n\r\n", "5\r\nabcde\r\n0\r\n X: folded\r\n\r\n", "5\r\nabcde\r\n0\r\nX: 1\r\n folded\r\n\r\n", "5\r\nabcde\r\n0\r\nX : y\r\n\r\n", "5\r\nabcde\r\n0\r\nX: a\rb\r\n\r\n",
        "5\r\nabcde\r\n0\r\nX: y\n\r\n", "5\r\nabcde\r\n0\r\nX: \0\r\n\r\n", "5\r\nabcde\r\n0\r\nno-colon\r\n\r\n", "5\r\nabcde\r\n0\r\n: x\r\n\r\n", "5\r\nabcde\r\n0\r\n\rX\r\n\r\n", "5\r\nabcde\r\n0\r\nGET / HTTP/1.1\r\n\r\n",
    ];
    let large = [
        format!("5;{long}\r\nabcde\r\n0\r\n\r\n"),
        format!("{spread}0\r\n\r\n"),
        format!("5\r\nabcde\r\n0\r\n{many}\r\n"),
        format!("5\r\nabcde\r\n0\r\nX: {large}\r\n\r\n"),
    ];
    for body in bad.into_iter().chain(large.iter().map(String::as_str)) {
        let request = format!("{head}\r\n{body}{NEXT}");
        refused(
            &both,
            &body.escape_debug().to_string(),
            request.as_bytes(),
            &[400],
        )
        .await;
    }
    lives(&both).await;
}
