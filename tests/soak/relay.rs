//! What stands between the proxy and a stand-in, so that it can vanish and come back at its address.

use std::{io, net::Ipv4Addr, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// What becomes of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They reach the stand-in.
    Open,
    /// All are reset, new ones refused: the stand-in was killed.
    Down,
    /// New ones are accepted, and nothing comes back; those there are stay.
    Silent,
}

pub(crate) struct Relay {
    pub(crate) port: u16,
    mode: watch::Sender<Mode>,
}

impl Relay {
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (mode, modes) = watch::channel(Mode::Open);
        let own = listener.local_addr().unwrap().port();
        tokio::spawn(run(listener, port, modes));
        Self { port: own, mode }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn run(listener: TcpListener, to: u16, mut modes: watch::Receiver<Mode>) {
    let port = listener.local_addr().unwrap().port();
    let (mut listener, mut connections) = (Some(listener), JoinSet::new());
    loop {
        let mode = *modes.borrow_and_update();
        if mode == Mode::Down {
            listener = None;
            connections.shutdown().await;
        } else if listener.is_none() {
            listener = bind(port).await.ok();
        }
        let Some(open) = &listener else {
            if modes.changed().await.is_err() {
                return;
            }
            continue;
        };
        tokio::select! {
            Ok((stream, _)) = open.accept() => {
                connections.spawn(relay(stream, to, modes.clone()));
            }
            Some(_) = connections.join_next() => {}
            changed = modes.changed() => if changed.is_err() { return },
        }
    }
}

/// Another program's connection may have the port for a moment.
async fn bind(port: u16) -> io::Result<TcpListener> {
    loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bound => return bound,
        }
    }
}

async fn relay(mut near: TcpStream, to: u16, mut modes: watch::Receiver<Mode>) {
    // As a killed program's connection: reset, whatever is on its way.
    let _ = near.set_zero_linger();
    if modes.wait_for(|mode| *mode != Mode::Silent).await.is_err() {
        return;
    }
    if let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await {
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    }
}
