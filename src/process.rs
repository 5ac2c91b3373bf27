//! What a process that holds credentials asks of its system before it begins. What the system refuses stays as it is; the
//! program can run without.

/// Turns core dumps off, as they would hold tokens.
#[cfg(unix)]
pub fn forbid_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, nothing) {
        tracing::warn!(%error, "core dumps can't be turned off");
    }
    // The limit alone doesn't count where dumps go to a program. This also keeps other processes of the user out of the memory.
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "the memory can't be closed to other processes");
    }
}

/// Nothing to ask for here.
#[cfg(not(unix))]
pub fn forbid_core_dumps() {}

/// Allows as many open files as the system lets this user have, and tells how many that is, if there is a bound.
#[cfg(unix)]
pub fn allow_many_files() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let files = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: files.maximum,
        ..files
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::debug!(%error, "the number of open files can't be raised");
    }
    let allowed = getrlimit(Resource::Nofile).current?;
    usize::try_from(allowed).ok()
}

/// There is no such bound here.
#[cfg(not(unix))]
pub fn allow_many_files() -> Option<usize> {
    None
}
