//! Times of the data: the present that it is dated from, and the two directions between text and ticks.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sandbox::Now;

/// The present of the data. All records are dated before it, all changes after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    now: Now,
    /// Seconds since 1970.
    present: i64,
}

impl Clock {
    /// The present that `now` says; of a running clock, the start of its UTC hour.
    pub(super) fn new(now: Now) -> Self {
        let present = match now {
            Now::Fixed(time) => ticks(time) / TICKS,
            Now::Running => {
                let second = ticks(SystemTime::now()) / TICKS;
                second - second % 3600
            }
        };
        Self { now, present }
    }

    /// The time `seconds` before the present, with 0 to 7 fraction digits chosen by `drawn`, as the real service varies
    /// them.
    pub(super) fn ago(self, seconds: i64, drawn: u64) -> String {
        let digits = usize::try_from(drawn % 8).unwrap_or_default();
        let fraction = format!("{:07}", (drawn >> 3) % 10_000_000);
        let second = format(self.present - seconds);
        match digits {
            0 => format!("{second}Z"),
            _ => format!("{second}.{}Z", &fraction[..digits]),
        }
    }

    /// The time `seconds` after the present.
    pub(super) fn after(self, seconds: i64) -> String {
        format!("{}Z", format(self.present + seconds))
    }

    /// Ticks of this moment: the present if it is fixed.
    pub(super) fn moment(self) -> i64 {
        match self.now {
            Now::Fixed(_) => self.present * TICKS,
            Now::Running => ticks(SystemTime::now()).max(self.present * TICKS),
        }
    }

    /// Ticks of a change that follows one at `last`: a second later by a fixed present, else this moment. Never `last`
    /// itself, so that a client that asks for what is newer misses nothing.
    pub(super) fn change(self, last: Option<i64>) -> i64 {
        let last = last.unwrap_or(self.present * TICKS);
        match self.now {
            Now::Fixed(_) => last + TICKS,
            Now::Running => self.moment().max(last + 1),
        }
    }
}

/// The text of `ticks`, with as many fraction digits as it needs.
pub(super) fn text(ticks: i64) -> String {
    let second = format(ticks.div_euclid(TICKS));
    match ticks.rem_euclid(TICKS) {
        0 => format!("{second}Z"),
        fraction => format!(
            "{second}.{}Z",
            format!("{fraction:07}").trim_end_matches('0')
        ),
    }
}

/// Ticks of the real time, whatever the present of the data.
pub(super) fn real() -> i64 {
    ticks(SystemTime::now())
}

/// Ticks since 1970 of an ISO 8601 text: a date, or a date and a time of day, with `Z`, an offset or nothing (UTC).
///
/// The `Z` after a bare date is what the documentation's own examples write.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (date, clock) = match text.split_once(['T', 't']) {
        Some((date, clock)) => (date, Some(clock)),
        None => (text, None),
    };
    let midnight = days(date)? * 86_400 * TICKS;
    clock.map_or(Some(midnight), |clock| Some(midnight + clock_ticks(clock)?))
}

/// Ticks since 1970; a clock that stands before that year is taken to stand at its start.
fn ticks(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos() / 100).unwrap_or(i64::MAX)
}

/// The text of a Unix time without zone or fraction (Howard Hinnant's `civil_from_days`).
fn format(seconds: i64) -> String {
    let (day, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = day + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Days since 1970 of `YYYY-MM-DD` (the inverse, `days_from_civil`).
fn days(date: &str) -> Option<i64> {
    let mut parts = date.splitn(3, '-');
    let year = digits(parts.next()?, 4)?;
    let month = digits(parts.next()?, 2).filter(|month| (1..=12).contains(month))?;
    let day = digits(parts.next()?, 2).filter(|day| (1..=31).contains(day))?;
    let year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// Ticks of `HH:MM[:SS[.fraction]][+HH:MM]`, the offset taken off.
fn clock_ticks(clock: &str) -> Option<i64> {
    let (clock, offset) = match clock.find(['+', '-']) {
        Some(at) => (&clock[..at], offset_minutes(&clock[at..])?),
        None => (clock, 0),
    };
    let mut parts = clock.splitn(3, ':');
    let hour = digits(parts.next()?, 2).filter(|hour| *hour < 24)?;
    let minute = digits(parts.next()?, 2).filter(|minute| *minute < 60)?;
    let (second, fraction) = match parts.next() {
        Some(second) => second.split_once('.').unwrap_or((second, "0")),
        None => ("00", "0"),
    };
    let second = digits(second, 2).filter(|second| *second < 60)?;
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let ticks: i64 = format!("{fraction:0<7}")[..7].parse().ok()?;
    Some(((hour * 60 + minute - offset) * 60 + second) * TICKS + ticks)
}

fn offset_minutes(offset: &str) -> Option<i64> {
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset[1..].split_once(':')?;
    Some(sign * (digits(hours, 2)? * 60 + digits(minutes, 2)?))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())?
}

/// Ticks (100 ns, as .NET counts them) in a second.
pub(super) const TICKS: i64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::Options;

    /// 2026-11-01T00:00:00Z.
    const NOW: i64 = 1_793_491_200;

    fn usual() -> Clock {
        Clock::new(Options::default().now)
    }

    #[test]
    fn the_usual_present_is_the_first_of_november() {
        assert_eq!(usual().after(0), "2026-11-01T00:00:00Z");
        assert_eq!(usual().ago(1, 0), "2026-10-31T23:59:59Z");
        assert_eq!(usual().ago(86_400 * 245, 0), "2026-03-01T00:00:00Z");
    }

    #[test]
    fn a_running_present_is_the_start_of_the_hour_and_changes_follow_each_other() {
        let clock = Clock::new(Now::Running);
        let behind = real() - parse(&clock.after(0)).unwrap();
        assert!((0..3700 * TICKS).contains(&behind), "{behind}");
        assert!(clock.after(0).ends_with(":00:00Z"));
        let first = clock.change(None);
        assert!(first >= parse(&clock.after(0)).unwrap());
        assert!(clock.change(Some(first)) > first);
        let far = real() + 1000 * TICKS;
        assert_eq!(clock.change(Some(far)), far + 1);
        assert_eq!(parse(&text(far + 1)), Some(far + 1));
    }

    #[test]
    fn texts_with_every_number_of_digits_parse_back() {
        for drawn in 0..64 {
            let text = usual().ago(1000, drawn * 7919);
            let ticks = parse(&text).expect(&text);
            assert_eq!(ticks / TICKS, NOW - 1000, "{text}");
        }
    }

    #[test]
    fn accepted_and_refused() {
        let midnight = Some(NOW * TICKS);
        for text in [
            "2026-11-01",
            "2026-11-01Z",
            "2026-11-01T00:00Z",
            "2026-11-01T00:00:00.0000000Z",
            "2026-11-01t00:00:00z",
            "2026-11-01T02:00:00+02:00",
        ] {
            assert_eq!(parse(text), midnight, "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-1-1",
            "2026-11-01T25:00Z",
            "2026-11-01T00:00:00.Z",
            "Resolved",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
