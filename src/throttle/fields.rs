//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): where all clients of this proxy together stand.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// What is left of a budget, by the proxy's own count of the calls it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Of the calls of a minute.
    pub minute: Share,
    /// Of the calls of an hour.
    pub hour: Option<Share>,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Calls in a window.
    pub limit: u32,
    /// Calls left.
    pub left: u32,
    /// Seconds until a call leaves the window.
    pub reset: u64,
}

impl Standing {
    /// Sets both fields, unless upstream tells for itself.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if headers.contains_key(POLICY) || headers.contains_key(LIMIT) {
            return;
        }
        let values = (self.policy().to_string(), self.limit().to_string());
        if let (Ok(policy), Ok(limit)) = (
            HeaderValue::try_from(values.0),
            HeaderValue::try_from(values.1),
        ) {
            headers.insert(POLICY, policy);
            headers.insert(LIMIT, limit);
        }
    }

    fn policy(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(f, "\"minute\";q={};w=60", self.minute.limit)?;
            self.hour.map_or(Ok(()), |hour| {
                write!(f, ", \"hour\";q={};w=3600", hour.limit)
            })
        })
    }

    fn limit(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            write!(
                f,
                "\"minute\";r={};t={}",
                self.minute.left, self.minute.reset
            )?;
            self.hour.map_or(Ok(()), |hour| {
                write!(f, ", \"hour\";r={};t={}", hour.left, hour.reset)
            })
        })
    }
}

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_or_none() {
        let minute = Share {
            limit: 100,
            left: 99,
            reset: 60,
        };
        let hour = Share {
            limit: 1500,
            left: 1400,
            reset: 3000,
        };
        let mut headers = HeaderMap::new();
        Standing {
            minute,
            hour: Some(hour),
        }
        .tell(&mut headers);
        assert_eq!(
            headers[POLICY],
            "\"minute\";q=100;w=60, \"hour\";q=1500;w=3600"
        );
        assert_eq!(
            headers[LIMIT],
            "\"minute\";r=99;t=60, \"hour\";r=1400;t=3000"
        );
        headers.clear();
        Standing { minute, hour: None }.tell(&mut headers);
        assert_eq!(
            (headers[POLICY].as_bytes(), headers[LIMIT].as_bytes()),
            (&b"\"minute\";q=100;w=60"[..], &b"\"minute\";r=99;t=60"[..])
        );
        let own = HeaderMap::from_iter([(LIMIT, HeaderValue::from_static("\"default\";r=1"))]);
        let mut headers = own.clone();
        Standing { minute, hour: None }.tell(&mut headers);
        assert_eq!(headers, own, "upstream's own");
    }
}
