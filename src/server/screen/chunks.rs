//! The chunked coding of a request's body (RFC 9112 §7.1), followed byte by byte but for the data.

use super::fault::Fault;

/// Where in a chunked body the next byte stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunks {
    at: At,
    /// Bytes of chunk extensions and trailers so far.
    extra: usize,
    /// Trailer fields so far.
    trailers: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeEnd {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// The first byte of a trailer's line, or of the last line.
    Line,
    Name,
    Value,
    ValueEnd,
    LastLf,
    End,
}

impl Chunks {
    pub(super) fn new() -> Self {
        Self {
            at: START,
            extra: 0,
            trailers: 0,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.at == At::End
    }

    /// Goes over the body's part of `bytes`, and tells how many those are; with a fault, how many before it.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Result<usize, (usize, Fault)> {
        let mut passed = 0;
        while let Some(byte) = bytes.get(passed).filter(|_| !self.has_ended()) {
            if let At::Data { left } = self.at {
                let here = left.min((bytes.len() - passed) as u64);
                self.at = match left - here {
                    0 => At::DataCr,
                    left => At::Data { left },
                };
                // No more than there are bytes.
                passed += usize::try_from(here).unwrap_or(usize::MAX);
            } else {
                self.at = self.next(*byte).map_err(|fault| (passed, fault))?;
                passed += 1;
            }
        }
        Ok(passed)
    }

    fn next(&mut self, byte: u8) -> Result<At, Fault> {
        match (self.at, byte) {
            (At::Size { size, digits }, _) => self.size(size, digits, byte),
            (At::Extension { size }, b'\r') => Ok(At::SizeEnd { size }),
            (At::Extension { size }, b'\t' | b' '..=b'~') => {
                self.count(MAX_EXTENSIONS, Fault::ChunkExtension)?;
                Ok(At::Extension { size })
            }
            (At::Extension { .. }, _) => Err(Fault::ChunkExtension),
            (At::SizeEnd { size: 0 }, b'\n') => Ok(At::Line),
            (At::SizeEnd { size }, b'\n') => Ok(At::Data { left: size }),
            (At::SizeEnd { .. }, _) => Err(Fault::ChunkSize),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(START),
            (At::Data { .. } | At::DataCr | At::DataLf, _) => Err(Fault::ChunkEnd),
            (At::Line, b'\r') => Ok(At::LastLf),
            (At::LastLf, b'\n') => Ok(At::End),
            (At::Line | At::Name | At::Value | At::ValueEnd | At::LastLf | At::End, _) => {
                self.trailer(byte)
            }
        }
    }

    fn size(&mut self, size: u64, digits: u8, byte: u8) -> Result<At, Fault> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b';' if digits > 0 => {
                self.count(MAX_EXTENSIONS, Fault::ChunkExtension)?;
                return Ok(At::Extension { size });
            }
            b'\r' if digits > 0 => return Ok(At::SizeEnd { size }),
            _ => return Err(Fault::ChunkSize),
        };
        if digits == MAX_DIGITS {
            return Err(Fault::ChunkSize);
        }
        Ok(At::Size {
            size: size << 4 | u64::from(digit),
            digits: digits + 1,
        })
    }

    /// A byte of a trailer field: they are dropped, but hyper parses them.
    fn trailer(&mut self, byte: u8) -> Result<At, Fault> {
        self.count(MAX_TRAILERS, Fault::Trailers)?;
        match (self.at, byte) {
            (At::Line, _) if is_token(byte) && self.trailers < MAX_TRAILER_FIELDS => {
                self.trailers += 1;
                Ok(At::Name)
            }
            (At::Name, b':') | (At::Value, b'\t' | b' '..=b'~' | 0x80..) => Ok(At::Value),
            (At::Name, _) if is_token(byte) => Ok(At::Name),
            (At::Value, b'\r') => Ok(At::ValueEnd),
            (At::ValueEnd, b'\n') => Ok(At::Line),
            _ => Err(Fault::Trailers),
        }
    }

    fn count(&mut self, most: usize, fault: Fault) -> Result<(), Fault> {
        self.extra += 1;
        if self.extra > most {
            Err(fault)
        } else {
            Ok(())
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const START: At = At::Size { size: 0, digits: 0 };
/// The most digits of a size: those of 64 bits.
const MAX_DIGITS: u8 = 16;
/// The most bytes of all chunk extensions of a body.
const MAX_EXTENSIONS: usize = 4 * 1024;
/// The most bytes of all trailers, and of the extensions before.
const MAX_TRAILERS: usize = 8 * 1024;
const MAX_TRAILER_FIELDS: usize = 64;
