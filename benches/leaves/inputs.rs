//! Requests and configurations as they come in practice.

use std::fmt::Write;

use defender_proxy::{
    config::{Config, Source},
    guard::{Admitted, Guard},
    route::Routes,
};
use http::{HeaderName, HeaderValue, Request, header::HOST};

/// A request, by who sends it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    /// `curl`, without options.
    Curl,
    /// A person's browser.
    Browser,
    /// 30 fields, of which three `Connection` lines name some.
    Thirty,
}

pub(crate) const SENDERS: [Sender; 3] = [Sender::Curl, Sender::Browser, Sender::Thirty];

impl Sender {
    /// The head as it stands on the wire.
    pub(crate) fn head(self) -> String {
        let fields = match self {
            Self::Curl => CURL.to_owned(),
            Self::Browser => BROWSER.to_owned(),
            Self::Thirty => thirty(),
        };
        format!("GET {TARGET} HTTP/1.1\r\nHost: localhost:8080\r\n{fields}\r\n")
    }

    /// The head as hyper reads it.
    pub(crate) fn request(self) -> Request<()> {
        read(&self.head())
    }
}

fn read(head: &str) -> Request<()> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut fields);
    assert!(parsed.parse(head.as_bytes()).unwrap().is_complete());
    let mut request = Request::get(parsed.path.unwrap()).body(()).unwrap();
    for field in parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).unwrap();
        let value = HeaderValue::from_bytes(field.value).unwrap();
        request.headers_mut().append(name, value);
    }
    request
}

/// The connection lines name every third of the other fields.
fn thirty() -> String {
    let mut text = CURL.to_owned();
    for line in 0..3 {
        let _ = write!(
            text,
            "Connection: keep-alive, x-field-{line}, x-field-{}\r\n",
            line + 3
        );
    }
    for field in 0..24 {
        let _ = write!(text, "X-Field-{field}: value-{field}\r\n");
    }
    text
}

/// What the guard lets in.
pub(crate) fn admitted(target: &str) -> Admitted<()> {
    let mut request = Request::get(target).body(()).unwrap();
    let host = HeaderValue::from_static("localhost:8080");
    request.headers_mut().insert(HOST, host);
    for (name, value) in [("user-agent", "curl/8.14.1"), ("accept", "*/*")] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    guard().admit(request).unwrap()
}

/// As it is without any setting of the listener.
pub(crate) fn guard() -> Guard {
    Guard::new(Vec::new(), Vec::new(), None, false)
}

/// `count` routes: the families' one, which the target belongs to and which is looked at last, and narrower ones.
pub(crate) fn routes(count: usize) -> Routes {
    let mut text = APPLICATION.to_owned();
    for number in 1..count {
        let _ = write!(
            text,
            "[[route]]\nprefix = '/api/incidents/{number:04}'\nupstream = 'https://upstream.contoso.example'\n\
             audience = 'https://contoso.example'\n"
        );
    }
    Routes::new(&config(&text))
}

/// One route, of a partner with `count` customers.
pub(crate) fn partner(count: usize) -> String {
    let customers: Vec<String> = (1..=count)
        .map(|number| format!("'{}' = '{}'", customer(number), tenant(number)))
        .collect();
    format!(
        "[identity.mssp]\nkind = 'partner'\nclient_id = '5a9db0c5-0000-4000-8000-0000000000aa'\n\
         credential = {{ secret = {{ env = 'SECRET' }} }}\ncustomers = {{ {} }}\n",
        customers.join(", ")
    )
}

/// The name of a customer.
pub(crate) fn customer(number: usize) -> String {
    format!("customer-{number:05}")
}

/// Its tenant, as the sandbox counts them.
pub(crate) fn tenant(number: usize) -> String {
    format!("5a9db0c5-0000-4000-8001-{number:012x}")
}

pub(crate) fn config(text: &str) -> Config {
    let source = Source::File("proxy.toml".into());
    Config::parse(text, source, &|_| None).expect("a configuration")
}

pub(crate) const TARGET: &str =
    "/api/incidents?$top=50&$filter=lastUpdateTime%20gt%202026-11-01T00:00:00Z";
const APPLICATION: &str = "
[identity.soc]
kind = 'application'
tenant = 'contoso.example'
client_id = '11111111-1111-1111-1111-111111111111'
credential = { secret = { env = 'SECRET' } }
[[route]]
prefix = '/'
api = 'defender'
";
const CURL: &str = "User-Agent: curl/8.14.1\r\nAccept: */*\r\n";
const BROWSER: &str = "\
    Connection: keep-alive\r\n\
    Cache-Control: max-age=0\r\n\
    sec-ch-ua: \"Chromium\";v=\"142\", \"Not_A Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n\
    Sec-Fetch-Site: none\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-User: ?1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n";
