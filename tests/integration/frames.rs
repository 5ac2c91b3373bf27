//! HTTP/2 frame by frame (RFC 9113 §4, §6), for either end of a connection that does what no client or server should.

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, Proxy};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const PRIORITIZED: u8 = 32;
/// A whole message without a body.
pub(crate) const WHOLE: u8 = END_HEADERS | END_STREAM;

pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `SETTINGS` of identifiers and values.
pub(crate) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in values {
        payload.extend(name.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, payload)
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub(crate) fn window_update(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, by.to_be_bytes())
}

pub(crate) fn go_away(last: u32, code: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), code.to_be_bytes()].concat();
    frame(GOAWAY, 0, 0, payload)
}

/// A header block of literals that no table keeps (RFC 7541 §6.2.2).
pub(crate) fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            integer(&mut block, text.len());
            block.extend(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn integer(block: &mut Vec<u8>, mut value: usize) {
    if value < 127 {
        return block.push(u8::try_from(value).unwrap());
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    block.push(u8::try_from(value).unwrap());
}

/// A frame as received.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The code of `RST_STREAM` or `GOAWAY`.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status of `HEADERS` from a peer whose table is turned off; it stands first.
    pub(crate) fn status(&self) -> Option<u16> {
        let mut block = self.payload.iter().copied();
        let first = block.find(|byte| byte & 0b1110_0000 != 0b0010_0000)?;
        match first {
            0x88 => Some(200),
            0x89 => Some(204),
            0x8a => Some(206),
            0x8b => Some(304),
            0x8c => Some(400),
            0x8d => Some(404),
            0x8e => Some(500),
            0x48 | 0x08 | 0x18 => {
                let length = block.next()?;
                let text: Vec<u8> = block.take(usize::from(length & 127)).collect();
                let digits = if length & 128 == 0 {
                    text
                } else {
                    huffman_digits(&text)
                };
                String::from_utf8(digits).ok()?.parse().ok()
            }
            _ => None,
        }
    }
}

/// Three digits of Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn huffman_digits(text: &[u8]) -> Vec<u8> {
    let bits = text
        .iter()
        .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    let mut left = text.len() * 8;
    let mut digits = Vec::new();
    let take = |count: usize, left: &mut usize| {
        *left -= count;
        u8::try_from(bits >> *left & ((1 << count) - 1)).unwrap()
    };
    while digits.len() < 3 {
        let digit = match take(5, &mut left) {
            small @ 0..=2 => small,
            large => large * 2 + take(1, &mut left) - 0b01_1001 + 3,
        };
        digits.push(b'0' + digit);
    }
    digits
}

/// One end of a connection.
pub(crate) struct Peer<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(stream: S) -> Self {
        let buffer = Vec::new();
        Self { stream, buffer }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends to a peer that may have gone.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        let sent = timeout(PATIENCE, self.stream.write_all(bytes.as_ref()));
        sent.await.expect("no hang")?;
        self.stream.flush().await
    }

    /// Reads the preface of a client.
    pub(crate) async fn preface(&mut self) -> Option<()> {
        let said = self.take(PREFACE.len()).await?;
        assert_eq!(said, PREFACE);
        Some(())
    }

    /// The next frame, or `None` at the end of the connection, in order or not.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let head = self.take(9).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.take(usize::try_from(length).unwrap()).await?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream,
            payload,
        })
    }

    /// The next frame of a kind; `SETTINGS` and `PING` are acknowledged on the way.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            self.acknowledge(&frame).await;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Does what every peer must.
    pub(crate) async fn acknowledge(&mut self, received: &Frame) {
        if matches!(received.kind, SETTINGS | PING) && !received.has(ACK) {
            let payload: &[u8] = match received.kind {
                PING => &received.payload,
                _ => &[],
            };
            // It may have gone.
            let _ = self.try_send(frame(received.kind, ACK, 0, payload)).await;
        }
    }

    /// Waits until the peer has read all that was sent: it answers a ping. `false` if it has gone.
    pub(crate) async fn has_read_all(&mut self) -> bool {
        let payload = *b"all read";
        if self.try_send(frame(PING, 0, 0, payload)).await.is_err() {
            return false;
        }
        loop {
            match self.next().await {
                None => return false,
                Some(pong) if pong.kind == PING && pong.payload == payload => return true,
                Some(other) => self.acknowledge(&other).await,
            }
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer));
            if read.await.expect("no hang").unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }
}

impl Peer {
    /// Sends to a peer that may have gone, and reads meanwhile, so that neither waits for the other.
    pub(crate) async fn pour(&mut self, bytes: &[u8]) {
        let (mut reading, mut writing) = self.stream.split();
        let read = async { while reading.read_buf(&mut self.buffer).await.unwrap_or(0) > 0 {} };
        let both = async {
            tokio::select! {
                _ = writing.write_all(bytes) => {}
                () = read => {}
            }
        };
        timeout(PATIENCE, both).await.expect("no hang");
    }

    /// A client's end that has said the preface, and has the header tables of both sides turned off.
    pub(crate) async fn connect(proxy: &Proxy) -> Self {
        let mut peer = Self::new(proxy.connect().await);
        peer.send([PREFACE, &settings(&[(1, 0)])].concat()).await;
        peer
    }
}
