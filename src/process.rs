//! What a process that holds credentials asks of its system before it serves.

/// Turns core dumps off, as they would hold tokens, and allows as many open files as the system lets this user have: each client
/// takes one, and each connection to upstream another.
///
/// What the system refuses stays as it is; the proxy can run without.
#[cfg(unix)]
pub fn harden() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let nothing = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) = setrlimit(Resource::Core, nothing) {
        tracing::warn!(%error, "core dumps can't be turned off");
    }
    let files = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: files.maximum,
            ..files
        },
    ) {
        tracing::debug!(%error, "the number of open files can't be raised");
    }
}

/// Nothing to ask for here.
#[cfg(not(unix))]
pub fn harden() {}
