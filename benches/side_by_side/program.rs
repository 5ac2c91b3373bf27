//! Programs that are started, looked for, and ended whatever happens.

use std::{
    env, fs,
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, ensure};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process_group, set_child_subreaper, wait,
    waitid, waitpgid,
};

/// A program that runs until this is dropped, with all its processes: they are a process group.
#[derive(Debug)]
pub(crate) struct Program {
    /// When it was started.
    pub(crate) started: Instant,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it. Its standard error goes to `log`, and so does its standard output unless it is to be read.
    pub(crate) fn start(command: &mut Command, log: &Path, output: Output) -> anyhow::Result<Self> {
        let file = File::create(log)?;
        match output {
            Output::Logged => command.stdout(file.try_clone()?),
            Output::Read => command.stdout(Stdio::piped()),
        };
        // What the log says is not for the environment of the one who measures.
        command
            .stdin(Stdio::null())
            .stderr(file)
            .env_remove("RUST_LOG");
        let started = Instant::now();
        let child = command.process_group(0).spawn();
        let child =
            child.with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self {
            started,
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn output(&mut self) -> anyhow::Result<ChildStdout> {
        self.child
            .stdout
            .take()
            .context("its output is not to be read")
    }

    /// The group of its processes has the number of its first.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    /// # Errors
    /// When it has ended; they have the end of its log.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        // It stays unreaped, so that the number of its group remains its own.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let ended = waitid(WaitId::Pid(self.pid()), options)?;
        ensure!(ended.is_none(), "it ended by itself: {}", self.said());
        Ok(())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// The end of its log.
    pub(crate) fn said(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..]).into_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL, as nothing is left to be finished; and nginx's master, if killed alone, would leave its workers behind.
        let _ = kill_process_group(self.pid(), Signal::KILL);
        // Until there is none left: an error.
        while waitpgid(self.pid(), WaitOptions::empty()).is_ok() {}
    }
}

/// Makes this program the parent of processes whose own parent ends, so that it can wait for each that it has ended.
pub(crate) fn adopt_orphans() -> anyhow::Result<()> {
    set_child_subreaper(Some(Pid::INIT)).context("prctl(PR_SET_CHILD_SUBREAPER)")
}

/// Waits for load generators that were killed when their run was given up. Those of [`Program`] have been waited for.
pub(crate) fn wait_for_killed() {
    while wait(WaitOptions::empty()).is_ok() {}
}

/// Where the standard output of a program goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output {
    Logged,
    Read,
}

/// Where a program is. Those of administrators are not in everybody's `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders =
        env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// # Errors
/// When a program is missing without which nothing can be measured.
pub(crate) fn need(name: &str) -> anyhow::Result<PathBuf> {
    find(name).with_context(|| {
        format!(
            "{name} is missing; run benches/side_by_side/install.sh, which installs it from Debian"
        )
    })
}
