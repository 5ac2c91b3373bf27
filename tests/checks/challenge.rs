//! Claims challenges in `WWW-Authenticate`.

use defender_proxy::auth::challenge;
use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use serde_json::{Map, Value};

/// No lines panic, and claims are a JSON object out of a line that has both a `Bearer` challenge and the right error.
pub(crate) fn challenge(lines: &[HeaderValue]) {
    let fields = lines.iter().map(|line| (WWW_AUTHENTICATE, line.clone()));
    let Some(claims) = challenge::claims(&fields.collect::<HeaderMap>()) else {
        return;
    };
    serde_json::from_str::<Map<String, Value>>(&claims).expect("an object");
    let asks = |line: &HeaderValue| {
        // Quoted characters may be escaped.
        let text = line.to_str().unwrap_or_default().replace('\\', "");
        let lower = text.to_ascii_lowercase();
        text.contains("insufficient_claims") && lower.contains("bearer") && lower.contains("claims")
    };
    assert!(lines.iter().any(asks), "{lines:?}: {claims}");
}
