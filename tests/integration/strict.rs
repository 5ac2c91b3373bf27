//! Answers read as strictly as RFC 9112 is written: what the proxy writes must need no leniency of its clients.

use std::collections::VecDeque;

/// One whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn count(&self, name: &str) -> usize {
        self.fields
            .iter()
            .filter(|(known, _)| known == name)
            .count()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Reads all whole answers on a connection that has ended, to requests with these methods. The last may be cut.
///
/// `reset` says that it ended so: then nothing that only the end completes is whole.
pub(crate) fn replies(mut bytes: &[u8], methods: &[&str], reset: bool) -> VecDeque<Reply> {
    let mut whole = VecDeque::new();
    for method in methods {
        if bytes.is_empty() {
            break;
        }
        let Some((reply, length)) = reply(bytes, method, reset) else {
            return whole;
        };
        bytes = &bytes[length..];
        whole.push_back(reply);
    }
    assert!(
        bytes.is_empty(),
        "more than the answers: {}",
        String::from_utf8_lossy(bytes)
    );
    whole
}

/// The first answer and its length, or `None` if it ends too early. Panics at anything that isn't HTTP.
fn reply(bytes: &[u8], method: &str, reset: bool) -> Option<(Reply, usize)> {
    let end = 4 + find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end - 4]).expect("a head is text");
    let mut lines = head.split("\r\n");
    let mut start = lines.next().unwrap().splitn(3, ' ');
    let version = start.next().unwrap();
    assert!(["HTTP/1.1", "HTTP/1.0"].contains(&version), "{head}");
    let status = start.next().expect(head);
    assert!(status.len() == 3, "{head}");
    start.next().expect(head);
    assert!(
        !head.replace("\r\n", "").contains(['\r', '\n', '\0']),
        "{head:?}"
    );
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(": ").expect(head);
        assert!(!name.is_empty() && !name.contains([' ', '\t']), "{head:?}");
        (name.to_ascii_lowercase(), value.to_owned())
    });
    let mut reply = Reply {
        status: status.parse().expect(head),
        fields: fields.collect(),
        body: Vec::new(),
    };
    assert!((200..600).contains(&reply.status), "{head}");
    let (body, length) = body(&reply, version, &bytes[end..], method, reset)?;
    reply.body = body;
    Some((reply, end + length))
}

/// RFC 9112 §6.3.
fn body(
    reply: &Reply,
    version: &str,
    bytes: &[u8],
    method: &str,
    reset: bool,
) -> Option<(Vec<u8>, usize)> {
    let lengths = reply.count("content-length");
    let codings = reply.count("transfer-encoding");
    assert!(lengths + codings <= 1, "{reply:?}");
    assert!(codings == 0 || version == "HTTP/1.1", "{reply:?}");
    if method == "HEAD" || [204, 304].contains(&reply.status) {
        return Some((Vec::new(), 0));
    }
    if let Some(coding) = reply.field("transfer-encoding") {
        assert_eq!(coding, "chunked");
        return chunks(bytes);
    }
    if let Some(length) = reply.field("content-length") {
        let length: usize = length.parse().expect("a length");
        return Some((bytes.get(..length)?.to_vec(), length));
    }
    (!reset).then(|| (bytes.to_vec(), bytes.len()))
}

fn chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).expect("a size and nothing else");
        at += line + 2;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        assert_eq!(bytes.get(at + size..at + size + 2)?, b"\r\n");
        at += size + 2;
    }
    // Trailers up to an empty line.
    while let Some(line) = find(&bytes[at..], b"\r\n") {
        at += line + 2;
        if line == 0 {
            return Some((body, at));
        }
    }
    None
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
