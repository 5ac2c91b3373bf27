//! The program as a user runs it: a command that ends, or one that prints and serves on.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
};

use crate::support::{PATIENCE, program};

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// What it printed, if it succeeded.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        &self.stdout
    }
}

/// Runs a command to its end, beside the stand-ins of this process.
pub(crate) async fn run(mut command: Command) -> Finished {
    command.stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output().expect("it starts"));
    let output = tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("no hang")
        .unwrap();
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Runs the program with arguments.
pub(crate) async fn run_with(args: &[&str]) -> Finished {
    let mut command = program();
    command.args(args);
    run(command).await
}

/// A command that prints some lines and then serves until it is told to stop.
pub(crate) struct Serving {
    child: Child,
    lines: mpsc::Receiver<String>,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Serving {
    pub(crate) fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let (sender, lines) = mpsc::channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self {
            child,
            lines,
            stdout: Some(keep(stdout, Some(sender))),
            stderr: Some(keep(stderr, None)),
        }
    }

    /// The lines of standard output up to and with the first that `is_last`.
    pub(crate) fn lines_until(&self, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            lines.push(line.unwrap_or_else(|_| panic!("no such line: {lines:?}")));
            if is_last(lines.last().unwrap()) {
                return lines;
            }
        }
    }

    /// The URL of the ready line.
    pub(crate) fn url(&self) -> String {
        let ready = "listening on ";
        let lines = self.lines_until(|line| line.starts_with(ready));
        lines.last().unwrap()[ready.len()..].to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to end, and waits for that.
    pub(crate) async fn terminate(self) -> Finished {
        let pid = self.pid().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.ended().await
    }

    /// Waits for its end.
    pub(crate) async fn ended(mut self) -> Finished {
        let mut child = std::mem::replace(&mut self.child, Command::new("true").spawn().unwrap());
        let ended = tokio::task::spawn_blocking(move || child.wait().unwrap().code());
        let code = tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("no hang")
            .unwrap();
        let all = |reader: Option<JoinHandle<String>>| reader.unwrap().join().unwrap();
        Finished {
            code,
            stdout: all(self.stdout.take()),
            stderr: all(self.stderr.take()),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads to the end in a thread of its own, and hands every line on.
fn keep(
    stream: impl Read + Send + 'static,
    lines: Option<mpsc::Sender<String>>,
) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            all.push_str(&line);
            all.push('\n');
            if let Some(lines) = &lines {
                let _ = lines.send(line);
            }
        }
        all
    })
}
