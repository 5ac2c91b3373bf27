//! Request heads as text.

use http::{HeaderName, HeaderValue, Request};

/// Reads `METHOD target`, then lines of `name: value`; fields that can't be are left out.
pub(crate) fn parse(text: &[u8]) -> Option<Request<()>> {
    let mut lines = text.split(|byte| *byte == b'\n');
    let line = lines.next()?;
    let space = line.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder()
        .method(&line[..space])
        .uri(&line[space + 1..])
        .body(())
        .ok()?;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().try_append(name, value).ok()?;
        }
    }
    Some(request)
}
