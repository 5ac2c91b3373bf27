//! The answers that an upstream must not give, by class, and what is to be made of each.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};

use crate::liar::{End, Lie};

/// What the client gets.
#[derive(Clone, Debug)]
pub(crate) enum Want {
    /// 502: it is no HTTP.
    Refused,
    /// 502: there was no answer.
    Closed,
    /// 504: there was none in time.
    Late,
    /// The beginning, and an end that no client takes for one.
    Cut,
    /// This status, and this body.
    Passed(u16, String),
}

/// An answer, and what is to be made of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: &'static str,
    pub(crate) lie: Lie,
    pub(crate) want: Want,
    surplus: bool,
    sound: bool,
}

impl Case {
    pub(crate) fn new(name: &str, bytes: impl AsRef<[u8]>, want: Want) -> Self {
        Self {
            name: name.to_owned(),
            method: "GET",
            lie: Lie::new(bytes, End::Stay),
            want,
            surplus: false,
            sound: false,
        }
    }

    pub(crate) fn ending(mut self, end: End) -> Self {
        self.lie.end = end;
        self
    }

    fn to(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.lie.piece = bytes;
        self
    }

    /// There is more on the connection than an answer.
    fn with_surplus(mut self) -> Self {
        self.surplus = true;
        self
    }

    /// The framing is right, whatever the content is.
    fn framed_well(mut self) -> Self {
        self.sound = true;
        self
    }

    /// May nothing else go over its connection?
    pub(crate) fn spoils(&self) -> bool {
        self.surplus || !self.sound && !matches!(self.want, Want::Passed(..))
    }
}

fn passed(body: &str) -> Want {
    Want::Passed(200, body.to_owned())
}

/// A 200 with these lines in its head.
fn ok(lines: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n{body}")
}

/// Cases that are told apart by the lines of their head.
fn by_lines(cases: &[(&str, &str)], body: &str, want: &Want) -> Vec<Case> {
    let case = |(name, lines): &(&str, &str)| Case::new(name, ok(lines, body), want.clone());
    cases.iter().map(case).collect()
}

/// Lengths of `hello` that are refused.
const LENGTHS: &[(&str, &str)] = &[
    (
        "equal lengths",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
    ),
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
    (
        "the shorter first",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
    ),
    ("a negative length", "Content-Length: -5\r\n"),
    ("a signed length", "Content-Length: +5\r\n"),
    ("a list of lengths", "Content-Length: 5, 5\r\n"),
    ("a list of two", "Content-Length: 5, 6\r\n"),
    ("a list with nothing", "Content-Length: 5,\r\n"),
    ("a huge length", "Content-Length: 99999999999999999999\r\n"),
    ("just too much", "Content-Length: 18446744073709551616\r\n"),
    ("the most", "Content-Length: 18446744073709551615\r\n"),
    ("a length in hex", "Content-Length: 0x5\r\n"),
    ("a length in octal", "Content-Length: 05\r\n"),
    ("an empty length", "Content-Length: \r\n"),
    ("a length with a space", "Content-Length: 5 5\r\n"),
    ("a fraction", "Content-Length: 5.0\r\n"),
    ("a length in quotes", "Content-Length: \"5\"\r\n"),
    ("a length in words", "Content-Length: five\r\n"),
    ("a length and rubbish", "Content-Length: 5\u{b2}\r\n"),
    ("a wrapped length", "Content-Length: 4294967301, 5\r\n"),
];

/// The same in chunks.
const CODINGS: &[(&str, &str)] = &[
    (
        "length and chunks",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "chunks and length",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ),
    (
        "chunks and the right length",
        "Transfer-Encoding: chunked\r\nContent-Length: 15\r\n",
    ),
    (
        "chunks and no length",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    ),
    (
        "named in Connection",
        "Connection: content-length\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ),
    (
        "chunks twice",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ),
    (
        "chunked, chunked",
        "Transfer-Encoding: chunked, chunked\r\n",
    ),
    ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
    (
        "gzip and chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ),
    ("chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n"),
    ("gzip", "Transfer-Encoding: gzip\r\n"),
    ("identity", "Transfer-Encoding: identity\r\n"),
    (
        "identity, chunked",
        "Transfer-Encoding: identity, chunked\r\n",
    ),
    (
        "chunked, identity",
        "Transfer-Encoding: chunked, identity\r\n",
    ),
    (
        "identity and a length",
        "Transfer-Encoding: identity\r\nContent-Length: 5\r\n",
    ),
    ("an unknown coding", "Transfer-Encoding: xchunked\r\n"),
    ("no coding", "Transfer-Encoding: \r\n"),
    ("a list of nothing", "Transfer-Encoding: ,\r\n"),
    ("nothing, chunked", "Transfer-Encoding: ,chunked\r\n"),
    (
        "chunked with a parameter",
        "Transfer-Encoding: chunked;a=b\r\n",
    ),
    ("chunked in quotes", "Transfer-Encoding: \"chunked\"\r\n"),
    (
        "chunked behind a vertical tab",
        "Transfer-Encoding: \u{b}chunked\r\n",
    ),
];

/// `Content-Length` and `Transfer-Encoding`.
pub(crate) fn framings() -> Vec<Case> {
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    let mut cases = by_lines(LENGTHS, "hello", &Want::Refused);
    cases.extend(by_lines(CODINGS, chunked, &Want::Refused));
    let pass = [
        ("one length", ok("Content-Length: 5\r\n", "hello")),
        (
            "a length with spaces",
            ok("Content-Length: \t5 \t\r\n", "hello"),
        ),
        ("chunks", ok("Transfer-Encoding: chunked\r\n", chunked)),
        ("CHUNKS", ok("TRANSFER-ENCODING: CHUNKED\r\n", chunked)),
    ];
    cases.extend(pass.map(|(name, bytes)| Case::new(name, bytes, passed("hello"))));
    let old = format!("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}");
    cases.push(Case::new("chunks in HTTP/1.0", old, Want::Refused));
    cases.extend(no_content());
    cases
}

/// Framing of answers that have no body.
fn no_content() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, lines) in [
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n"),
        ("a list", "Content-Length: 5, 5\r\n"),
        ("a negative length", "Content-Length: -5\r\n"),
        (
            "both",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        ),
        ("an odd coding", "Transfer-Encoding: gzip, chunked\r\n"),
    ] {
        let head = |status: &str| format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        let case = |kind: &str, bytes| Case::new(&format!("{name}, {kind}"), bytes, Want::Refused);
        cases.push(case("HEAD", head("200 OK")).to("HEAD"));
        cases.push(case("204", head("204 No Content")));
        cases.push(case("304", head("304 Not Modified")));
    }
    for (name, head, want) in [
        (
            "204 with a length",
            "204 No Content\r\nContent-Length: 5",
            Want::Refused,
        ),
        (
            "204 in chunks",
            "204 No Content\r\nTransfer-Encoding: chunked",
            Want::Refused,
        ),
        (
            "204 of nothing",
            "204 No Content\r\nContent-Length: 0",
            Want::Passed(204, String::new()),
        ),
        (
            "304 with a length",
            "304 Not Modified\r\nContent-Length: 5",
            Want::Passed(304, String::new()),
        ),
    ] {
        cases.push(Case::new(name, format!("HTTP/1.1 {head}\r\n\r\n"), want));
    }
    cases.push(
        Case::new(
            "HEAD with a length",
            ok("Content-Length: 5\r\n", ""),
            passed(""),
        )
        .to("HEAD"),
    );
    cases.push(
        Case::new(
            "HEAD in chunks",
            ok("Transfer-Encoding: chunked\r\n", ""),
            passed(""),
        )
        .to("HEAD"),
    );
    cases
}

/// Chunked bodies.
pub(crate) fn chunks() -> Vec<Case> {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    let many = "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n".repeat(2_000);
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "X-A: 1\r\n".repeat(2_000));
    let trailer = format!("5\r\nhello\r\n0\r\nX-A: {}\r\n\r\n", "x".repeat(100_000));
    let cut = [
        ("no digit", "\r\nhello\r\n0\r\n\r\n"),
        ("rubbish for a size", "5\r\nhello\r\nzz\r\n\r\n"),
        ("a negative size", "5\r\nhello\r\n-1\r\nx\r\n0\r\n\r\n"),
        ("a signed size", "+5\r\nhello\r\n0\r\n\r\n"),
        ("a prefix of hex", "0x5\r\nhello\r\n0\r\n\r\n"),
        ("an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
        ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n"),
        ("a space in the size", "5 5\r\nhello\r\n0\r\n\r\n"),
        (
            "more than 64 bits",
            "10000000000000005\r\nhello\r\n0\r\n\r\n",
        ),
        ("a bare LF behind the size", "5\nhello\r\n0\r\n\r\n"),
        ("a bare CR behind the size", "5\rhello\r\n0\r\n\r\n"),
        ("a bare LF behind the data", "5\r\nhello\n0\r\n\r\n"),
        ("no end of the data", "5\r\nhello0\r\n\r\n"),
        ("more data than said", "5\r\nhello!\r\n0\r\n\r\n"),
        ("less data than said", "6\r\nhello\r\n0\r\n\r\n"),
        ("an LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("a long extension", &long),
        ("many extensions", &many),
        ("a bare LF at the end", "5\r\nhello\r\n0\n\n"),
        ("rubbish at the end", "5\r\nhello\r\n0\r\nxx"),
        (
            "a trailer without a colon",
            "5\r\nhello\r\n0\r\nX-A\r\n\r\n",
        ),
        (
            "a trailer with a space",
            "5\r\nhello\r\n0\r\nX-A : 1\r\n\r\n",
        ),
        (
            "a folded trailer",
            "5\r\nhello\r\n0\r\nX-A: 1\r\n 2\r\n\r\n",
        ),
        ("a trailer with NUL", "5\r\nhello\r\n0\r\nX-A: 1\0\r\n\r\n"),
        ("many trailers", &trailers),
        ("a long trailer", &trailer),
    ];
    let head = "Transfer-Encoding: chunked\r\n";
    // What hasn't come by the time of the fault never comes: the upstream closes, as those do that err.
    let case =
        |(name, body): (&str, &str)| Case::new(name, ok(head, body), Want::Cut).ending(End::Close);
    let mut cases: Vec<Case> = cut.map(case).into();
    for (name, body) in [
        ("no last chunk", "5\r\nhello\r\n"),
        ("half a last chunk", "5\r\nhello\r\n0\r\n"),
        ("half a size", "5\r\nhello\r\n1"),
        ("half a chunk", "5\r\nhel"),
        ("no chunk", ""),
        ("half a trailer", "5\r\nhello\r\n0\r\nX-A: 1"),
    ] {
        for end in [End::Close, End::Reset] {
            let name = format!("{name}, {end:?}");
            cases.push(Case::new(&name, ok(head, body), Want::Cut).ending(end));
        }
    }
    for (name, body) in [
        ("leading zeros", "0000005\r\nhello\r\n000\r\n\r\n"),
        ("a space behind the size", "5 \r\nhello\r\n0\r\n\r\n"),
        ("an extension", "5;a=\"b;c\"\r\nhello\r\n0;x\r\n\r\n"),
        ("a trailer", "5\r\nhello\r\n0\r\nX-Checksum: 1\r\n\r\n"),
        (
            "trailers that say too much",
            "5\r\nhello\r\n0\r\nSet-Cookie: a=b\r\nLocation: http://evil.example/\r\nAuthorization: x\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\n",
        ),
    ] {
        let announced = "Transfer-Encoding: chunked\r\nTrailer: Set-Cookie, Location, Authorization, Content-Length, Transfer-Encoding\r\n";
        cases.push(Case::new(name, ok(announced, body), passed("hello")));
        cases.push(
            Case::new(
                &format!("{name}, byte by byte"),
                ok(head, body),
                passed("hello"),
            )
            .in_pieces_of(1),
        );
    }
    cases
}

/// The first line.
pub(crate) fn status_lines() -> Vec<Case> {
    let rest = "Content-Length: 2\r\n\r\nok";
    let refused = [
        ("two digits", "HTTP/1.1 20 OK\r\n"),
        ("four digits", "HTTP/1.1 2000 OK\r\n"),
        ("099", "HTTP/1.1 099 Low\r\n"),
        ("000", "HTTP/1.1 000 Zero\r\n"),
        ("600", "HTTP/1.1 600 High\r\n"),
        ("999", "HTTP/1.1 999 High\r\n"),
        ("a negative status", "HTTP/1.1 -20 OK\r\n"),
        ("a status in words", "HTTP/1.1 OK OK\r\n"),
        ("no status", "HTTP/1.1\r\n"),
        ("nothing but a space", "HTTP/1.1 \r\n"),
        ("two spaces", "HTTP/1.1  200 OK\r\n"),
        ("a tab", "HTTP/1.1\t200 OK\r\n"),
        ("a leading space", " HTTP/1.1 200 OK\r\n"),
        ("a leading tab", "\tHTTP/1.1 200 OK\r\n"),
        ("HTTP/0.9", "<html>"),
        ("HTTP/0.9 with a line", "hello\r\n"),
        ("version 0.9", "HTTP/0.9 200 OK\r\n"),
        ("version 1.2", "HTTP/1.2 200 OK\r\n"),
        ("version 1.11", "HTTP/1.11 200 OK\r\n"),
        ("version 2.0", "HTTP/2.0 200 OK\r\n"),
        ("version 2", "HTTP/2 200 OK\r\n"),
        ("version 3", "HTTP/3 200 OK\r\n"),
        ("lower case", "http/1.1 200 OK\r\n"),
        ("mixed case", "Http/1.1 200 OK\r\n"),
        ("another protocol", "ICY 200 OK\r\n"),
        ("RTSP", "RTSP/1.0 200 OK\r\n"),
        ("a request", "GET / HTTP/1.1\r\n"),
        ("a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("NUL in front", "\0HTTP/1.1 200 OK\r\n"),
        ("NUL in the reason", "HTTP/1.1 200 O\0K\r\n"),
        ("a CR in the reason", "HTTP/1.1 200 O\rK\r\n"),
        ("a bare CR", "HTTP/1.1 200 OK\r"),
        ("a control in the reason", "HTTP/1.1 200 O\u{7f}K\r\n"),
        ("a mark of byte order", "\u{feff}HTTP/1.1 200 OK\r\n"),
        ("SSH", "SSH-2.0-OpenSSH_9.9\r\n"),
        ("SMTP", "220 mail.contoso.example ESMTP\r\n"),
    ];
    let case = |(name, line): (&str, &str)| {
        // The upstream closes: some of it could still become a line.
        Case::new(name, format!("{line}{rest}"), Want::Refused).ending(End::Close)
    };
    let mut cases: Vec<Case> = refused.map(case).into();
    for (name, line) in [
        ("no reason", "HTTP/1.1 200 \r\n"),
        ("not even a space", "HTTP/1.1 200\r\n"),
        (
            "a long reason",
            "HTTP/1.1 200 All is well, and (\"all\") manner of thing\tshall be\r\n",
        ),
        ("an 8-bit reason", "HTTP/1.1 200 d\u{e9}j\u{e0}\r\n"),
        ("an empty line in front", "\r\nHTTP/1.1 200 OK\r\n"),
        ("bare LF", "HTTP/1.1 200 OK\n"),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n"),
    ] {
        cases.push(Case::new(name, format!("{line}{rest}"), passed("ok")));
    }
    let lf = "HTTP/1.1 200 OK\nContent-Length: 2\n\nok";
    cases.push(Case::new("bare LF everywhere", lf, passed("ok")));
    cases.push(
        Case::new(
            "a long line",
            format!("HTTP/1.1 200 {}\r\n{rest}", "x".repeat(200_000)),
            Want::Refused,
        )
        .ending(End::Close),
    );
    for end in [End::Close, End::Reset] {
        cases.push(Case::new(&format!("nothing, {end:?}"), "", Want::Closed).ending(end));
    }
    cases
}

/// The fields of a head.
pub(crate) fn fields() -> Vec<Case> {
    let many = |count: usize| "X-A: 1\r\n".repeat(count);
    let refused = [
        ("a folded line", "X-A: 1\r\n 2\r\n".to_owned()),
        ("a line folded by a tab", "X-A: 1\r\n\t2\r\n".to_owned()),
        ("a folded length", "Content-Length:\r\n 2\r\n".to_owned()),
        ("a space before the colon", "X-A : 1\r\n".to_owned()),
        ("a tab before the colon", "X-A\t: 1\r\n".to_owned()),
        ("a length and a space", "Content-Length : 2\r\n".to_owned()),
        ("a space in the name", "X A: 1\r\n".to_owned()),
        ("a leading space", " X-A: 1\r\n".to_owned()),
        ("no colon", "X-A\r\n".to_owned()),
        ("no name", ": 1\r\n".to_owned()),
        ("NUL in a value", "X-A: 1\u{0}2\r\n".to_owned()),
        ("NUL in a name", "X\0A: 1\r\n".to_owned()),
        ("a CR in a value", "X-A: 1\r2\r\n".to_owned()),
        ("a CR in a name", "X\rA: 1\r\n".to_owned()),
        ("a control in a value", "X-A: 1\u{1}2\r\n".to_owned()),
        ("DEL in a value", "X-A: 1\u{7f}2\r\n".to_owned()),
        ("a bracket in a name", "X[A]: 1\r\n".to_owned()),
        ("an 8-bit name", "X-\u{c4}: 1\r\n".to_owned()),
        ("101 fields", many(101)),
        ("10,000 fields", many(10_000)),
        (
            "a field of 1 MiB",
            format!("X-A: {}\r\n", "x".repeat(1 << 20)),
        ),
        (
            "a name of 70,000 bytes",
            format!("{}: 1\r\n", "x".repeat(70_000)),
        ),
    ];
    let case = |(name, lines): (&str, String)| {
        Case::new(
            name,
            ok(&(lines + "Content-Length: 2\r\n"), "ok"),
            Want::Refused,
        )
        .ending(End::Close)
    };
    let mut cases: Vec<Case> = refused.map(case).into();
    for (name, lines) in [
        ("8-bit bytes in a value", "X-A: d\u{e9}j\u{e0} vu\r\n"),
        ("an empty value", "X-A:\r\nX-B: \t \r\n"),
        ("no space behind the colon", "X-A:1\r\n"),
        (
            "hop-by-hop fields",
            "Connection: x-a, keep-alive\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nTE: x\r\nTrailer: x-b\r\n",
        ),
        (
            "a field of 10,000 bytes",
            &format!("X-A: {}\r\n", "x".repeat(10_000)),
        ),
        ("90 fields", &many(90)),
    ] {
        let lines = format!("{lines}Content-Length: 2\r\n");
        cases.push(Case::new(name, ok(&lines, "ok"), passed("ok")));
    }
    cases.push(
        Case::new(
            "byte by byte",
            ok("Content-Length: 2\r\n", "ok"),
            passed("ok"),
        )
        .in_pieces_of(1),
    );
    for (name, head) in [
        ("half a status line", "HTTP/1.1 20"),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
    ] {
        // Nothing can be told of what isn't there: whether it is no HTTP or no answer, it is a 502.
        cases.push(Case::new(name, head, Want::Closed).ending(End::Reset));
    }
    cases
}

/// More than one answer, and bodies where there are none.
pub(crate) fn surplus() -> Vec<Case> {
    let second = ok("Content-Length: 4\r\n", "evil");
    let none = |status: u16| Want::Passed(status, String::new());
    let mut cases = Vec::new();
    for (name, more) in [
        ("another answer", second.as_str()),
        ("half an answer", &second[..20]),
        ("a byte", "x"),
        ("an empty line", "\r\n"),
        ("a 100", "HTTP/1.1 100 Continue\r\n\r\n"),
        (
            "a 408",
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        ("NULs", "\0\0\0\0"),
    ] {
        for (kind, method, first, want) in [
            (
                "a length",
                "GET",
                ok("Content-Length: 2\r\n", "ok"),
                passed("ok"),
            ),
            (
                "chunks",
                "GET",
                ok("Transfer-Encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n"),
                passed("ok"),
            ),
            (
                "nothing",
                "GET",
                ok("Content-Length: 0\r\n", ""),
                passed(""),
            ),
            ("HEAD", "HEAD", ok("Content-Length: 2\r\n", ""), passed("")),
            (
                "HEAD in chunks",
                "HEAD",
                ok("Transfer-Encoding: chunked\r\n", ""),
                passed(""),
            ),
            (
                "204",
                "GET",
                "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                none(204),
            ),
            (
                "304",
                "GET",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n".to_owned(),
                none(304),
            ),
        ] {
            let name = format!("{name} behind {kind}");
            cases.push(
                Case::new(&name, first + more, want)
                    .to(method)
                    .with_surplus(),
            );
        }
    }
    cases
}

/// Bodies that the end of the connection ends.
pub(crate) fn bodies(over_tls: bool) -> Vec<Case> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(br#"{"value": []}"#).unwrap();
    let gzip = gzip.finish().unwrap();
    let packed = |bytes: &[u8]| {
        let length = bytes.len();
        let head = format!(
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n"
        );
        [ok(&head, "").as_bytes(), bytes].concat()
    };
    let mut damaged = gzip.clone();
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    let open = |version: &str| format!("HTTP/{version} 200 OK\r\n\r\nall of it");
    let whole = || passed("all of it");
    let unsaid = || {
        if over_tls {
            Want::Cut
        } else {
            passed("all of it")
        }
    };
    vec![
        Case::new("up to the end, in order", open("1.1"), whole()).ending(End::Close),
        Case::new("up to the end of HTTP/1.0", open("1.0"), whole()).ending(End::Close),
        Case::new("up to an end that TLS didn't say", open("1.1"), unsaid()).ending(End::Drop),
        Case::new("up to a reset", open("1.1"), Want::Cut).ending(End::Reset),
        Case::new(
            "a length, TLS ends unsaid",
            ok("Connection: close\r\nContent-Length: 2\r\n", "ok"),
            passed("ok"),
        )
        .ending(End::Drop),
        Case::new(
            "less than its length",
            ok("Content-Length: 3\r\n", "ok"),
            Want::Cut,
        )
        .ending(End::Close),
        Case::new(
            "less than its length, unsaid",
            ok("Content-Length: 3\r\n", "ok"),
            Want::Cut,
        )
        .ending(End::Drop),
        Case::new(
            "less than its length, reset",
            ok("Content-Length: 3\r\n", "ok"),
            Want::Cut,
        )
        .ending(End::Reset),
        Case::new(
            "a length of the most there can be",
            ok("Content-Length: 18446744073709551612\r\n", "ok"),
            Want::Cut,
        )
        .ending(End::Close),
        Case::new(
            "more than its length",
            ok("Content-Length: 2\r\n", "okay"),
            passed("ok"),
        )
        .with_surplus(),
        Case::new("gzip", packed(&gzip), passed(r#"{"value": []}"#)),
        Case::new("no gzip", packed(br#"{"value": []}"#), Want::Cut).framed_well(),
        Case::new("half of gzip", packed(&gzip[..gzip.len() / 2]), Want::Cut).framed_well(),
        Case::new("gzip with a wrong sum", packed(&damaged), Want::Cut).framed_well(),
        Case::new("nothing of gzip", packed(b""), passed("")),
    ]
}

/// Interim answers, and heads without an end, before a short deadline.
pub(crate) fn interim() -> Vec<Case> {
    let last = ok("Content-Length: 2\r\n", "ok");
    let interim =
        |status: &str, count: usize| format!("HTTP/1.1 {status}\r\nX-A: 1\r\n\r\n").repeat(count);
    let mut cases = vec![
        Case::new(
            "100 unasked",
            interim("100 Continue", 1) + &last,
            passed("ok"),
        ),
        Case::new(
            "a flood of 100",
            interim("100 Continue", 2_000) + &last,
            passed("ok"),
        ),
        Case::new(
            "a flood of 103",
            interim("103 Early Hints", 2_000) + &last,
            passed("ok"),
        ),
        Case::new("199", interim("199 Odd", 1) + &last, passed("ok")),
        Case::new(
            "100 with a length",
            "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n".to_owned() + &last,
            passed("ok"),
        ),
        Case::new(
            "101 unasked",
            interim("101 Switching Protocols", 1) + &last,
            Want::Refused,
        ),
        Case::new(
            "101 to h2c",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
            Want::Refused,
        ),
        Case::new("100 and an end", interim("100 Continue", 1), Want::Closed).ending(End::Close),
        Case::new(
            "100 and rubbish",
            interim("100 Continue", 1) + "rubbish\r\n\r\n",
            Want::Refused,
        )
        .ending(End::Close),
    ];
    for (name, bytes, end) in [
        ("silence", "", End::Stay),
        ("half a head", "HTTP/1.1 200 OK\r\nX-A: ", End::Stay),
        ("empty lines for ever", "\r\n", End::Dribble),
        (
            "a head that dribbles for ever",
            "HTTP/1.1 200 OK\r\nX-A: x",
            End::Dribble,
        ),
        ("100 for ever", "HTTP/1.1 100 Continue\r\n\r\n", End::Flood),
        (
            "103 for ever",
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
            End::Flood,
        ),
    ] {
        cases.push(Case::new(name, bytes, Want::Late).ending(end));
    }
    cases.push(
        Case::new(
            "a head without an end",
            "X-A: xxxxxxxxxxxxxxxx\r\n",
            Want::Refused,
        )
        .ending(End::Flood),
    );
    cases
}
