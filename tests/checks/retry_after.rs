//! `Retry-After`, and how long the proxy waits because of it.

use std::time::{Duration, SystemTime};

use defender_proxy::{auth::error::TokenError, throttle};
use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};

/// No value panics, seconds mean what they say, and no wait is longer than an hour or shorter than a second.
pub(crate) fn retry_after(value: &[u8]) {
    let Ok(field) = HeaderValue::from_bytes(value) else {
        return;
    };
    let headers = HeaderMap::from_iter([(RETRY_AFTER, field)]);
    let wait = throttle::retry_after(&headers);
    let text = std::str::from_utf8(value).unwrap_or_default();
    if let Ok(seconds) = text.parse() {
        assert_eq!(wait, Some(Duration::from_secs(seconds)), "{text}");
    }
    for now in [
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH + Duration::from_secs(u32::MAX.into()),
    ] {
        let _ = throttle::parse(text, now);
    }
    let error = TokenError::Unavailable {
        identity: "soc".to_owned(),
        reason: "throttled".to_owned(),
        retry_after: wait,
        source: None,
    };
    let held = [1, 2, 40, u32::MAX].map(|failures| error.hold_off(failures));
    let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
    assert!(held.iter().all(|wait| bounds.contains(wait)), "{text}");
}
