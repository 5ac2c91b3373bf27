//! Where it was measured, and by which versions.

use std::{fmt, fs, process::Command, thread};

use serde::Serialize;

use crate::{program::find, subject::Subject};

/// For the lines below the table.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    system: String,
    versions: Vec<String>,
}

impl Machine {
    pub(crate) fn look(subjects: &[Subject]) -> Self {
        let field = |file: &str, name: &str, separator: char| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| {
                line.strip_prefix(name)?
                    .trim_start()
                    .strip_prefix(separator)
            });
            line.unwrap_or("unknown")
                .trim()
                .trim_matches('"')
                .to_owned()
        };
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let generators = ["wrk", "h2load", "curl"]
            .into_iter()
            .filter_map(find)
            .map(|program| {
                let mut command = Command::new(&program);
                command.arg(if program.ends_with("wrk") {
                    "-v"
                } else {
                    "--version"
                });
                command
            });
        let commands = subjects.iter().map(Subject::version).chain(generators);
        Self {
            processor: field("/proc/cpuinfo", "model name", ':'),
            cores: thread::available_parallelism().map_or(0, Into::into),
            system: format!(
                "{}, Linux {}",
                field("/etc/os-release", "PRETTY_NAME", '='),
                kernel.trim()
            ),
            versions: commands.map(version).collect(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}, {} cores; {}.",
            self.processor, self.cores, self.system
        )?;
        write!(f, "{}.", self.versions.join("; "))
    }
}

/// The first line of what a program says of itself, without what stands behind the version.
fn version(mut command: Command) -> String {
    let output = command.output();
    let said = output
        .map(|output| [output.stdout, output.stderr].concat())
        .unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let line = said
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("unknown");
    let line = line.trim_start_matches("nginx version: ");
    // The path of the program, a commit, the version.
    if let Some((_, rest)) = line.split_once("envoy  version: ") {
        return format!("envoy {}", rest.split('/').nth(1).unwrap_or(rest));
    }
    let words: Vec<_> = line.split([' ', '/']).collect();
    let end = words
        .iter()
        .position(|word| word.contains('.') && word.contains(|c: char| c.is_ascii_digit()));
    words[..end.map_or(words.len(), |end| end + 1)].join(" ")
}
