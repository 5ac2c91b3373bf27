//! The text of log lines, to the byte as `tracing_subscriber` writes it where there are no colours. There is a line for each request,
//! and its own way through a formatter for every part of every field takes longer than all the rest of it.

use std::{
    cell::{Cell, RefCell},
    error::Error,
    fmt::{self, Write as _},
    time::{Duration, SystemTime},
};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
        time::FormatTime,
    },
};

thread_local! {
    /// The second that this thread has last written, and its text.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    /// Where this thread writes fields.
    static FIELDS: Cell<String> = const { Cell::new(String::new()) };
}

/// The time of a line: UTC with microseconds (RFC 3339).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now();
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        // Its destructor may have run, where a thread that is ending logs.
        match since.map(|since| SECOND.try_with(|second| write_time(line, since, second))) {
            Ok(Ok(written)) => written,
            Ok(Err(_)) | Err(_) => write!(line, "{}", humantime::format_rfc3339_micros(now)),
        }
    }
}

fn write_time(
    line: &mut Writer<'_>,
    since: Duration,
    second: &RefCell<(u64, String)>,
) -> fmt::Result {
    let (known, text) = &mut *second.borrow_mut();
    if text.is_empty() || *known != since.as_secs() {
        *known = since.as_secs();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(*known);
        *text = humantime::format_rfc3339_seconds(time).to_string();
    }
    line.write_str(text.trim_end_matches('Z'))?;
    // A one in front keeps the zeros.
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(1_000_000 + since.subsec_micros());
    line.write_char('.')?;
    line.write_str(digits.get(1..).unwrap_or_default())?;
    line.write_char('Z')
}

/// `name=value`, with a space between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, mut line: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Fields {
            text: FIELDS.try_with(Cell::take).unwrap_or_default(),
            result: Ok(()),
        };
        fields.record(&mut visitor);
        let Fields { mut text, result } = visitor;
        let written = result.and_then(|()| line.write_str(&text));
        text.clear();
        text.shrink_to(USUAL);
        // A thread that is ending keeps none.
        let _ = FIELDS.try_with(|kept| kept.set(text));
        written
    }
}

#[derive(Debug)]
struct Fields {
    text: String,
    result: fmt::Result,
}

impl Fields {
    fn name(&mut self, field: &Field) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        let name = field.name();
        self.text.push_str(name.strip_prefix("r#").unwrap_or(name));
        self.text.push('=');
    }

    fn debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        if self.result.is_ok() {
            self.result = write!(self.text, "{value:?}");
        }
    }

    /// What may hold anything from outside is made harmless there.
    fn leave(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let is_empty = self.text.is_empty();
            let mut visitor = DefaultVisitor::new(Writer::new(&mut self.text), is_empty);
            record(&mut visitor);
            self.result = visitor.finish();
        }
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.name(field);
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let Some(thousandths) = thousandths(value) else {
            return self.debug(field, &value);
        };
        self.record_u64(field, thousandths / 1000);
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(1000 + thousandths % 1000);
        let digits = digits.get(1..).unwrap_or_default();
        let shown = digits.trim_end_matches('0');
        self.text.push('.');
        self.text
            .push_str(if shown.is_empty() { "0" } else { shown });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.leave(|visitor| visitor.record_str(field, value));
        }
        if !value.bytes().all(is_shown_as_it_is) {
            return self.debug(field, &value);
        }
        self.name(field);
        for part in ["\"", value, "\""] {
            self.text.push_str(part);
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.leave(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            return self.leave(|visitor| visitor.record_debug(field, value));
        }
        self.debug(field, value);
    }
}

/// Of a number that has no more than three digits behind the point, and not more in front than it has room for exactly.
fn thousandths(value: f64) -> Option<u64> {
    let scaled = (value * 1e3).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in the range"
    )]
    let thousandths = (0.0..1e15).contains(&scaled).then_some(scaled as u64)?;
    #[expect(clippy::float_cmp, reason = "it is asked whether nothing was lost")]
    (scaled / 1e3 == value && value.is_sign_positive()).then_some(thousandths)
}

fn is_shown_as_it_is(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

/// How much room a thread keeps for the fields of a line, in bytes.
const USUAL: usize = 1024;

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Kept {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn log_everything() {
        let cause = io::Error::other(io::Error::other("\u{1b}[31mred"));
        let error: &(dyn Error + 'static) = &cause;
        tracing::info!("only \u{1b}[2J text");
        tracing::info!(a = 1_u64, b = -1, c = 1.0, d = true, e = "q\"\n", f = ?"x\u{1b}", g = %"y z", "and {}", 5);
        tracing::info!(none = None::<u64>, some = Some(7_u64), error, r#type = "t");
        tracing::warn!(error = error, message = "\u{1b}[1m");
    }

    /// All behind the time.
    fn lines(kept: &Kept) -> Vec<String> {
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let behind = |line: &str| line.split_once(' ').unwrap().1.to_owned();
        text.lines().map(behind).collect()
    }

    /// Numbers with up to three digits behind the point, as the milliseconds of the access log, and others.
    fn log_numbers() {
        for value in [
            0.0,
            -0.0,
            0.001,
            0.02,
            0.3,
            1.0,
            12.5,
            100.0,
            1e15,
            1e16,
            f64::MAX,
        ] {
            tracing::info!(value, u = 7_u64);
        }
        for value in [0.000_1, 1e-7, -1.5, 1.000_5, f64::NAN, f64::INFINITY] {
            tracing::info!(value);
        }
        for n in (0..2_000).chain((0..32).map(|shift| u32::MAX >> shift)) {
            let value = f64::from(n) / 1e3;
            tracing::info!(value, scaled = value * 1e7);
        }
    }

    #[test]
    fn lines_are_those_of_the_library() {
        let (theirs, ours) = (Kept::default(), Kept::default());
        let builder = || {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_target(false)
        };
        let reference = builder().with_writer(theirs.clone()).finish();
        tracing::subscriber::with_default(reference, || {
            log_everything();
            log_numbers();
        });
        let cheaper = builder()
            .with_timer(Clock)
            .fmt_fields(Plain)
            .with_writer(ours.clone())
            .finish();
        tracing::subscriber::with_default(cheaper, || {
            log_everything();
            log_numbers();
        });
        assert_eq!(lines(&ours), lines(&theirs));
        assert!(lines(&ours).len() > 2_000);
    }

    #[test]
    fn times_have_the_form_of_the_library() {
        let (mut theirs, mut ours) = (String::new(), String::new());
        tracing_subscriber::fmt::time::SystemTime
            .format_time(&mut Writer::new(&mut theirs))
            .unwrap();
        Clock.format_time(&mut Writer::new(&mut ours)).unwrap();
        let form = |time: &str| time.replace(|c: char| c.is_ascii_digit(), "0");
        assert_eq!(form(&ours), form(&theirs));
        assert_eq!(ours.len(), "2026-11-23T06:49:57.191115Z".len());
        assert_eq!(ours[..10], theirs[..10]);
    }
}
