//! An access token as the request path needs it: a finished header value that knows its time.

use std::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant, SystemTime},
};

use http::HeaderValue;
use tokio::sync::Notify;

/// A bearer token (RFC 6750), ready to be attached, with its life.
///
/// Its text is opaque (Entra ID, "Access tokens"): only `expires_in` tells how long it lives.
pub struct AccessToken {
    header: HeaderValue,
    fetched: Instant,
    fetched_wall: SystemTime,
    life: Duration,
    renew_in: Duration,
    refreshes: u32,
    use_state: AtomicU8,
    wanted: Notify,
}

impl AccessToken {
    /// A token that was fetched just now; `None` if its text can't stand in a header.
    ///
    /// `life` is the answer's `expires_in`, `refresh_in` its hint to renew early, `refreshes` counts the tokens in a row that
    /// were fetched because upstream refused the one before.
    #[must_use]
    pub fn new(
        text: &str,
        life: Duration,
        refresh_in: Option<Duration>,
        refreshes: u32,
    ) -> Option<Self> {
        let mut bytes = zeroize::Zeroizing::new(Vec::with_capacity("Bearer ".len() + text.len()));
        bytes.extend_from_slice(b"Bearer ");
        bytes.extend_from_slice(text.as_bytes());
        let life = life.min(LONGEST_LIFE);
        let mut header = HeaderValue::from_bytes(&bytes).ok()?;
        header.set_sensitive(true);
        Some(Self {
            header,
            fetched: Instant::now(),
            fetched_wall: SystemTime::now(),
            life,
            renew_in: renew_in(life, refresh_in),
            refreshes,
            use_state: AtomicU8::new(UNUSED),
            wanted: Notify::new(),
        })
    }

    /// The same token, its life counted from when it was asked for: Entra ID counts from a moment after that.
    #[must_use]
    pub fn asked_at(self, asked: Instant) -> Self {
        let waited = self.fetched.saturating_duration_since(asked);
        Self {
            fetched: asked,
            fetched_wall: self
                .fetched_wall
                .checked_sub(waited)
                .unwrap_or(self.fetched_wall),
            ..self
        }
    }

    /// The value of the `Authorization` field, marked sensitive. Cloning it copies no bytes.
    #[must_use]
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }

    /// The time since it was asked for.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.fetched.elapsed()
    }

    /// Its whole life.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.life
    }

    /// Is its life not over yet?
    ///
    /// Both clocks are asked. The monotonic one stands still while a machine sleeps, the wall clock may be set back: a token
    /// is over as soon as either says so.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let wall = self.fetched_wall.elapsed().unwrap_or_default();
        self.fetched.elapsed() < self.life && wall < self.life
    }

    /// Notes that a request uses it, so that it will be renewed.
    pub(super) fn note_use(&self) {
        if self.use_state.load(Ordering::Relaxed) != USED
            && self.use_state.swap(USED, Ordering::AcqRel) == WANTED
        {
            self.wanted.notify_one();
        }
    }

    /// Waits until the token has been used since it was fetched.
    pub(super) async fn used(&self) {
        if self
            .use_state
            .compare_exchange(UNUSED, WANTED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.wanted.notified().await;
        }
    }

    /// The time from now until it shall be renewed.
    pub(super) fn until_renewal(&self) -> Duration {
        self.renew_in.saturating_sub(self.age())
    }

    /// The time from now until its end.
    pub(super) fn until_end(&self) -> Duration {
        self.life.saturating_sub(self.age())
    }

    /// How many tokens in a row, this one included, were fetched because upstream refused the one before.
    pub(super) fn refreshes(&self) -> u32 {
        self.refreshes
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("age", &self.age())
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}

/// When to renew: at `refresh_in`, else with five minutes or a quarter of the life left, whichever is less; at random up to that
/// much earlier, so that thousands of tokens fetched together, and many proxies started together, don't renew together.
fn renew_in(life: Duration, refresh_in: Option<Duration>) -> Duration {
    // A hint that leaves no pause between two renewals would be a storm; it is taken for none.
    let earliest = Duration::from_mins(1).min(life / 4);
    if let Some(hint) = refresh_in.filter(|hint| (earliest..life).contains(hint)) {
        return hint.mul_f64(1.0 - 0.1 * fastrand::f64());
    }
    let margin = Duration::from_mins(5).min(life / 4);
    life.saturating_sub(margin.mul_f64(1.0 + fastrand::f64()))
}

/// No token lives longer; a number beyond is a mistake, and too large to reckon with.
const LONGEST_LIFE: Duration = Duration::from_hours(10 * 24);
const UNUSED: u8 = 0;
const USED: u8 = 1;
const WANTED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn renews_with_a_margin_that_fits_its_life() {
        for (life, refresh_in, earliest, latest) in [
            (3_600, None, 3_000, 3_300),
            (86_400, None, 85_800, 86_100),
            (60, None, 30, 45),
            (3_600, Some(1_800), 1_620, 1_800),
            (86_399, Some(3_600), 3_240, 3_600),
            (3_600, Some(0), 3_000, 3_300),
            (3_600, Some(7_200), 3_000, 3_300),
        ] {
            for _ in 0..100 {
                let at = renew_in(
                    Duration::from_secs(life),
                    refresh_in.map(Duration::from_secs),
                )
                .as_secs_f64();
                assert!(
                    (f64::from(earliest)..=f64::from(latest)).contains(&at),
                    "{life}: {at}"
                );
            }
        }
    }

    #[test]
    fn renewals_of_many_tokens_are_spread_over_their_time() {
        let mut minutes = [0; 5];
        for _ in 0..1_000 {
            let at = renew_in(HOUR, None).as_secs() - 3_000;
            minutes[usize::try_from(at / 60).unwrap().min(4)] += 1;
        }
        // Two hundred each, give or take nine standard deviations.
        assert!(minutes.iter().all(|count| *count > 85), "{minutes:?}");
    }

    #[test]
    fn debug_and_header_hide_the_text() {
        let token = AccessToken::new("secret-text", HOUR, None, 0).unwrap();
        assert_eq!(token.header(), "Bearer secret-text");
        assert!(!format!("{token:?} {:?}", token.header()).contains("secret-text"));
    }

    #[test]
    fn a_token_that_can_not_stand_in_a_header_is_refused() {
        assert!(AccessToken::new("two\nlines", HOUR, None, 0).is_none());
    }

    #[test]
    fn life_begins_with_the_question() {
        let before = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        for (life, live) in [(11, true), (10, false)] {
            let token = AccessToken::new("a", Duration::from_secs(life), None, 0).unwrap();
            assert!(token.is_live());
            assert_eq!(token.asked_at(before).is_live(), live, "{life}");
        }
    }

    #[test]
    fn life_ends() {
        assert!(AccessToken::new("a", HOUR, None, 0).unwrap().is_live());
        assert!(
            !AccessToken::new("a", Duration::ZERO, None, 0)
                .unwrap()
                .is_live()
        );
    }

    #[tokio::test]
    async fn use_wakes_the_renewal() {
        let token = AccessToken::new("a", HOUR, None, 0).unwrap();
        tokio::join!(token.used(), async {
            tokio::task::yield_now().await;
            token.note_use();
        });
    }
}
