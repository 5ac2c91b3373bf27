//! The text of log lines, to the byte as `tracing_subscriber` writes it where there are no colours. There is a line for each request,
//! and its own way through a formatter for every part of every field takes longer than all the rest of it.

use std::{error::Error, fmt, time::SystemTime};

use tracing::field::{Field, Visit};
use tracing_subscriber::{
    field::{RecordFields, VisitOutput},
    fmt::{
        FormatFields,
        format::{DefaultVisitor, Writer},
        time::FormatTime,
    },
};

/// The time of a line: UTC with microseconds (RFC 3339).
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        write!(
            line,
            "{}",
            humantime::format_rfc3339_micros(SystemTime::now())
        )
    }
}

/// `name=value`, with a space between.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain;

impl<'w> FormatFields<'w> for Plain {
    fn format_fields<R: RecordFields>(&self, line: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Fields {
            line,
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Fields<'w> {
    line: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

impl Fields<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.result.is_ok() {
            self.result = self.try_field(field.name(), value);
        }
    }

    fn try_field(&mut self, name: &str, value: fmt::Arguments<'_>) -> fmt::Result {
        if !self.is_empty {
            self.line.write_char(' ')?;
        }
        self.is_empty = false;
        self.line
            .write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.line.write_char('=')?;
        self.line.write_fmt(value)
    }

    /// What may hold anything from outside is made harmless there.
    fn leave(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut visitor = DefaultVisitor::new(self.line.by_ref(), self.is_empty);
            record(&mut visitor);
            self.result = visitor.finish();
            self.is_empty = false;
        }
    }
}

impl Visit for Fields<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.leave(|visitor| visitor.record_str(field, value));
        }
        self.field(field, format_args!("{value:?}"));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.leave(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            return self.leave(|visitor| visitor.record_debug(field, value));
        }
        self.field(field, format_args!("{value:?}"));
    }
}

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

    #[test]
    fn lines_are_those_of_the_library() {
        let (theirs, ours) = (Kept::default(), Kept::default());
        let builder = || {
            tracing_subscriber::fmt()
                .with_ansi(false)
                .with_target(false)
        };
        let reference = builder().with_writer(theirs.clone()).finish();
        tracing::subscriber::with_default(reference, log_everything);
        let cheaper = builder()
            .with_timer(Clock)
            .fmt_fields(Plain)
            .with_writer(ours.clone())
            .finish();
        tracing::subscriber::with_default(cheaper, log_everything);
        assert_eq!(lines(&ours), lines(&theirs));
        assert_eq!(lines(&ours).len(), 4);
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
