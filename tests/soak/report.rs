//! What is told at the end.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    fault::Recovery,
    load::{Counts, Tally},
    process::Usage,
};

pub(crate) struct Report {
    seed: u64,
    start: Usage,
    /// Since the start.
    on_the_way: Vec<(Duration, Usage)>,
    faults: Vec<(&'static str, Recovery)>,
    time: Duration,
    tally: Tally,
    end: Usage,
    code: Option<i32>,
}

impl Report {
    pub(crate) fn new(seed: u64, start: Usage) -> Self {
        Self {
            seed,
            start,
            on_the_way: Vec::new(),
            faults: Vec::new(),
            time: Duration::ZERO,
            tally: Tally::default(),
            end: start,
            code: None,
        }
    }

    pub(crate) fn start(&self) -> Usage {
        self.start
    }

    /// How many there were.
    pub(crate) fn faults(&self) -> usize {
        self.faults.len()
    }

    pub(crate) fn fault(&mut self, name: &'static str, recovery: Recovery) {
        self.faults.push((name, recovery));
    }

    pub(crate) fn usage(&mut self, at: Duration, usage: Usage) {
        self.on_the_way.push((at, usage));
    }

    pub(crate) fn end(&mut self, time: Duration, tally: Tally, usage: Usage, code: Option<i32>) {
        (self.time, self.tally, self.end, self.code) = (time, tally, usage, code);
    }

    /// Nothing wrong, nothing hung, every fault survived, nothing grown beyond its bound, and a clean end.
    pub(crate) fn is_good(&self) -> bool {
        let total = self.tally.total();
        let within = |start: u64, end: u64, bound: u64| end <= start + bound;
        total.right > 0
            && total.wrong + total.hung == 0
            && self.faults.iter().all(|(_, recovery)| recovery.is_some())
            && within(self.start.memory, self.end.memory, MEMORY)
            && within(self.start.files, self.end.files, FILES)
            && within(self.start.threads, self.end.threads, THREADS)
            && self.code == Some(0)
    }

    pub(crate) fn print(&self) {
        println!("\n{:<12} {HEADINGS}", "client");
        for (kind, counts) in &self.tally.kinds {
            println!("{:<12} {}", format!("{kind:?}"), row(*counts));
        }
        println!("{:<12} {}", "all", row(self.tally.total()));
        println!("\nhonest errors");
        for (why, count) in &self.tally.honest {
            println!("{count:>9}  {why}");
        }
        println!(
            "\n{:<32} {:>8} {:>9} {:>10} {:>10}",
            "fault", "injected", "recovered", "median ms", "longest ms"
        );
        for (name, times) in self.by_fault() {
            let recovered: Vec<_> = times.iter().flatten().copied().collect();
            let (median, longest) = middle_and_last(&recovered);
            println!(
                "{name:<32} {:>8} {:>9} {median:>10} {longest:>10}",
                times.len(),
                recovered.len()
            );
        }
        println!(
            "\n{:<14} {:>10} {:>6} {:>8}",
            "the proxy", "RSS KiB", "files", "threads"
        );
        self.usage_row("at the start", self.start);
        for (at, usage) in &self.on_the_way {
            self.usage_row(&format!("after {} s", at.as_secs()), *usage);
        }
        self.usage_row("at the end", self.end);
        for wrong in &self.tally.wrong {
            println!("WRONG {wrong}");
        }
        println!("{}", self.json());
    }

    #[expect(clippy::unused_self, reason = "reads as the other rows do")]
    fn usage_row(&self, when: &str, usage: Usage) {
        println!(
            "{when:<14} {:>10} {:>6} {:>8}",
            usage.memory, usage.files, usage.threads
        );
    }

    fn by_fault(&self) -> BTreeMap<&str, Vec<Recovery>> {
        let mut by = BTreeMap::<_, Vec<_>>::new();
        for (name, recovery) in &self.faults {
            by.entry(*name).or_default().push(*recovery);
        }
        by
    }

    fn json(&self) -> Value {
        let total = self.tally.total();
        let recovered: Vec<_> = self.faults.iter().filter_map(|(_, time)| *time).collect();
        let (median, longest) = middle_and_last(&recovered);
        let usage = |usage: Usage| json!({"rss_kib": usage.memory, "files": usage.files, "threads": usage.threads});
        json!({
            "good": self.is_good(), "seconds": self.time.as_secs(), "seed": self.seed.to_string(),
            "requests": total.requests, "right": total.right, "honest_errors": total.honest,
            "hung_up_by_client": total.hung_up, "wrong": total.wrong, "hung": total.hung,
            "not_begun": self.tally.left_out,
            "faults": self.faults.len(), "recovered": recovered.len(),
            "recovery_ms": {"median": median, "longest": longest},
            "start": usage(self.start), "end": usage(self.end), "exit_code": self.code,
        })
    }
}

fn row(counts: Counts) -> String {
    let Counts {
        requests,
        right,
        honest,
        wrong,
        hung,
        hung_up,
    } = counts;
    format!("{requests:>9} {right:>9} {honest:>9} {hung_up:>9} {wrong:>6} {hung:>6}")
}

/// In milliseconds.
fn middle_and_last(times: &[Duration]) -> (u128, u128) {
    let mut times: Vec<_> = times.iter().map(Duration::as_millis).collect();
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    (at(times.len() / 2), at(times.len().saturating_sub(1)))
}

const HEADINGS: &str = " requests     right    honest   hung up  wrong   hung";
/// Growth that is none: what the allocator keeps, pooled connections. In KiB, descriptors, threads.
const MEMORY: u64 = 48 * 1024;
const FILES: u64 = 64;
const THREADS: u64 = 8;
