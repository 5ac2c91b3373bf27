//! Large bodies: of any size, up and down, in constant memory; and how much of the others is kept.

use bytes::Bytes;
use flate2::Crc;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::json;

use super::answers::json as json_answer;
use super::api::{Answer, Payload};
use super::requests::Recorded;
use super::wire::Abort;

/// Whether the body of a request to `path` is counted as it streams by rather than kept.
pub(crate) fn is_upload(path: &str) -> bool {
    plain(path) == "/api/sandbox/upload"
}

/// How much of a request body is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) bytes: usize,
    /// For the refusal.
    pub(crate) name: &'static str,
}

/// The limit of a request: files of the live response library have 20 MB at most, queries and changes are small.
pub(crate) fn limit(method: &Method, path: &str) -> Limit {
    if method == Method::POST && plain(path) == "/api/libraryfiles" {
        Limit {
            bytes: MAX_FILE + FRAMING,
            name: "a file of 20 MB",
        }
    } else {
        Limit {
            bytes: 1024 * 1024,
            name: "1 MiB",
        }
    }
}

fn plain(path: &str) -> String {
    path.to_ascii_lowercase().replacen("/api/v1.0/", "/api/", 1)
}

/// Reads a body to its end and answers with its length and CRC-32: `{"bytes": …, "sum": …}`.
pub(crate) async fn upload(mut body: Incoming, recorded: &Recorded) -> Result<Answer, Abort> {
    let (mut bytes, mut crc) = (0u64, Crc::new());
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(|_| Abort::ClientGone)?.into_data() {
            bytes += data.len() as u64;
            crc.update(&data);
            recorded.read(data.len());
        }
    }
    Ok(json_answer(
        StatusCode::OK,
        &json!({"bytes": bytes, "sum": crc.sum()}),
    ))
}

/// The answer to `GET /api/sandbox/download?bytes=N[&type=json|binary]`, or `None` for another
/// path. JSON comes without `Content-Length`, as the exports do; binary comes with it. The error
/// says what is wrong with the query.
pub(crate) fn download(
    method: &Method,
    path: &str,
    query: Option<&str>,
) -> Option<Result<Answer, String>> {
    let path = path.to_ascii_lowercase();
    let reads = method == Method::GET || method == Method::HEAD;
    (reads && path == "/api/sandbox/download")
        .then(|| Wanted::parse(query.unwrap_or_default()).map(Wanted::answer))
}

struct Wanted {
    bytes: u64,
    json: bool,
}

impl Wanted {
    fn parse(query: &str) -> Result<Self, String> {
        let (mut bytes, mut json) = (None, true);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("bytes", number) => {
                    bytes = number.parse().ok().filter(|bytes| *bytes <= MAX_DOWNLOAD);
                }
                ("type", "json") => json = true,
                ("type", "binary") => json = false,
                _ => {
                    return Err(format!(
                        "'{name}={value}' is not understood; bytes=N and type=json|binary are"
                    ));
                }
            }
        }
        let bytes = bytes.ok_or("'bytes' must be a number up to 1099511627776")?;
        Ok(Self { bytes, json })
    }

    fn answer(self) -> Answer {
        let mut headers = Vec::new();
        let chunks: Box<dyn Iterator<Item = Bytes> + Send> = if self.json {
            headers.push((
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            ));
            Box::new(json_chunks(self.bytes))
        } else {
            headers.push((
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            ));
            headers.push((CONTENT_LENGTH, HeaderValue::from(self.bytes)));
            let block: Bytes = (0..BLOCK)
                .map(|index| u8::try_from(index % 251).unwrap_or(0))
                .collect();
            Box::new(repeated(&block, self.bytes))
        };
        Answer {
            status: StatusCode::OK,
            headers,
            payload: Payload::Chunks(chunks),
        }
    }
}

/// `{"value":[record,…],"padding":"…"}` of exactly `bytes` bytes, or the shortest there is.
fn json_chunks(bytes: u64) -> impl Iterator<Item = Bytes> + Send {
    let frame = (HEAD.len() + TAIL.len() + END.len()) as u64;
    let room = bytes.saturating_sub(frame);
    let (size, with_comma) = (RECORD.len() as u64, RECORD.len() as u64 + 1);
    let records = (room + 1) / with_comma;
    let list = (records * with_comma).saturating_sub(1);
    let separated = Bytes::from(format!("{RECORD},").repeat(BLOCK / (RECORD.len() + 1)));
    let final_record = if records > 0 {
        Bytes::from_static(RECORD.as_bytes())
    } else {
        Bytes::new()
    };
    let padding = Bytes::from(vec![b'x'; usize::try_from(room - list).unwrap_or(0)]);
    std::iter::once(Bytes::from_static(HEAD.as_bytes()))
        .chain(repeated(&separated, list.saturating_sub(size)))
        .chain([
            final_record,
            Bytes::from_static(TAIL.as_bytes()),
            padding,
            Bytes::from_static(END.as_bytes()),
        ])
        .filter(|chunk| !chunk.is_empty())
}

/// `length` bytes of `block` over and over, without copying it.
fn repeated(block: &Bytes, length: u64) -> impl Iterator<Item = Bytes> + Send + use<> {
    let (block, mut left) = (block.clone(), length);
    std::iter::from_fn(move || {
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        left -= take as u64;
        (take > 0).then(|| block.slice(..take))
    })
}

/// Bytes of a file in the live response library at most.
const MAX_FILE: usize = 20 * 1024 * 1024;

/// Room for the boundaries and the other fields of the form.
const FRAMING: usize = 64 * 1024;

const BLOCK: usize = 64 * 1024;
const MAX_DOWNLOAD: u64 = 1 << 40;
const HEAD: &str = r#"{"value":["#;
const TAIL: &str = r#"],"padding":""#;
const END: &str = r#""}"#;
const RECORD: &str = r#"{"deviceId":"5a9db0c500004000800000000000000000000001","deviceName":"pc1.contoso.example","cveId":"CVE-2026-0001","severity":"Medium"}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: u64) -> Vec<u8> {
        json_chunks(bytes).collect::<Vec<_>>().concat()
    }

    #[test]
    fn json_downloads_are_valid_and_exact() {
        for bytes in [
            25, 26, 150, 151, 152, 153, 154, 155, 156, 157, 158, 288, 1000, 65_536, 200_000,
            1_000_003,
        ] {
            let text = text(bytes);
            assert_eq!(text.len() as u64, bytes);
            assert!(
                serde_json::from_slice::<serde_json::Value>(&text).is_ok(),
                "{bytes}"
            );
        }
        assert_eq!(text(0), br#"{"value":[],"padding":""}"#);
    }

    #[test]
    fn huge_downloads_are_lazy() {
        assert_eq!(
            json_chunks(1 << 40)
                .take(100)
                .map(|chunk| chunk.len())
                .max(),
            Some(65_475)
        );
    }

    #[test]
    fn the_query_is_checked() {
        for (query, fine) in [
            ("bytes=5", true),
            ("bytes=5&type=binary", true),
            ("bytes=5&type=xml", false),
            ("bytes=-1", false),
            ("bytes=2199023255552", false),
            ("", false),
        ] {
            let answer = download(&Method::GET, "/api/Sandbox/download", Some(query)).unwrap();
            assert_eq!(answer.is_ok(), fine, "{query}");
        }
        assert!(download(&Method::GET, "/api/machines", None).is_none());
    }

    #[test]
    fn uploads_are_known_by_path() {
        assert!(is_upload("/api/Sandbox/upload"));
        assert!(!is_upload("/api/libraryfiles"));
        let usual = limit(&Method::GET, "/api/libraryfiles");
        assert_eq!(limit(&Method::POST, "/api/alerts"), usual);
        let library = limit(&Method::POST, "/API/v1.0/LibraryFiles");
        assert!(library.bytes > 20 * 1024 * 1024 && library.bytes < 21 * 1024 * 1024);
    }
}
