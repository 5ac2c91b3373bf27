//! The sockets that the proxy listens on: TCP, or a unix socket for the owner alone.

#[cfg(unix)]
use std::sync::Once;
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::config::ListenAddress;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A unix socket, and the path that is removed with it.
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

impl Listener {
    /// Binds an address; port 0 takes a free one. A unix socket gets mode 0600; a dead one of the same path is replaced.
    ///
    /// # Errors
    /// When the address is in use or not permitted.
    pub async fn bind(address: &ListenAddress) -> Result<Self, BindError> {
        let result = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address).map(Self::Tcp),
            ListenAddress::Unix(path) => bind_unix(path.clone()).await,
        };
        result.map_err(|source| BindError {
            address: address.to_string(),
            source,
        })
    }

    /// Where clients reach it: `127.0.0.1:8080`, or `unix:/path`.
    #[must_use]
    pub fn local(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "?".to_owned(), |address| address.to_string()),
            #[cfg(unix)]
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    /// The TCP address, if it is one.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            #[cfg(unix)]
            Self::Unix(..) => None,
        }
    }

    /// The same socket for one of several runtimes that accept from it: the current one.
    pub(super) fn share(&self) -> io::Result<Door> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener.try_clone()?).map(Door::Tcp),
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                UnixListener::from_std(listener.try_clone()?).map(Door::Unix)
            }
        }
    }
}

/// A [`Listener`] on a runtime.
#[derive(Debug)]
pub(super) enum Door {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener),
}

impl Door {
    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Client::Tcp(stream))
            }
            #[cfg(unix)]
            Self::Unix(listener) => next_of_owner(listener).await.map(Client::Unix),
        }
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Whoever starts next replaces a path that stays behind.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// An accepted connection.
#[derive(Debug)]
pub(super) enum Client {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl Client {
    /// Takes it off its runtime, so that another can have it.
    pub(super) fn leave(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Socket::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => stream.into_std().map(Socket::Unix),
        }
    }
}

/// An accepted connection on its way to another runtime.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(std::net::TcpStream),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Gives it to the current runtime.
    pub(super) fn join(self) -> io::Result<Client> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Client::Tcp),
            #[cfg(unix)]
            Self::Unix(stream) => UnixStream::from_std(stream).map(Client::Unix),
        }
    }
}

/// The address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("can't listen on {address}: is another program using it? try --listen 127.0.0.1:0")]
pub struct BindError {
    address: String,
    source: io::Error,
}

/// The next connection of the user whose proxy this is, or of root. The mode of the file says the same, but it is in the hands
/// of whoever may change it. Others are cut off before a byte of theirs is read.
#[cfg(unix)]
async fn next_of_owner(listener: &UnixListener) -> io::Result<UnixStream> {
    loop {
        let (stream, _) = listener.accept().await?;
        let peer = stream.peer_cred().map(|peer| peer.uid());
        match peer {
            Ok(uid) if uid == 0 || uid == rustix::process::geteuid().as_raw() => return Ok(stream),
            Ok(uid) => warn_of_stranger(Some(uid)),
            Err(_) => warn_of_stranger(None),
        }
    }
}

/// Once as a warning: who may try may try often.
#[cfg(unix)]
fn warn_of_stranger(uid: Option<u32>) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        let who = uid.map_or_else(|| "an unknown user".to_owned(), |uid| format!("user {uid}"));
        tracing::warn!(
            "{who} was refused at the unix socket, which serves its owner and root alone; is its mode still 0600? \
             (said once)"
        );
    });
    tracing::debug!(uid, "refused at the unix socket");
}

/// What is set here, accepted connections inherit.
fn bind_tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // Elsewhere it means that the address may be shared.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// What the system keeps of a response that a client doesn't read, in bytes. Left to itself it keeps megabytes, and tells of
/// a slow reader's movement only when a third of that is gone.
const SEND_BUFFER: u32 = 256 * 1024;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

#[cfg(unix)]
async fn bind_unix(path: PathBuf) -> io::Result<Listener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};

    let is_socket = std::fs::symlink_metadata(&path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && UnixStream::connect(&path).await.is_err() {
        std::fs::remove_file(&path)?;
    }
    // In a folder of the owner's until its mode is right, so that there is no moment in which others could connect.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let private = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(4)
        .tempdir_in(folder.unwrap_or_else(|| Path::new(".")))?;
    let unready = private.path().join("s");
    let listener = UnixListener::bind(&unready)?.into_std()?;
    std::fs::set_permissions(&unready, std::fs::Permissions::from_mode(0o600))?;
    // A hard link, unlike a rename, replaces nothing that another has put there meanwhile.
    std::fs::hard_link(&unready, &path)?;
    Ok(Listener::Unix(listener, path))
}

#[cfg(not(unix))]
async fn bind_unix(_: PathBuf) -> io::Result<Listener> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system has no unix sockets",
    ))
}
