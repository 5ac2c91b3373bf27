//! Tests over real sockets, with the real program. One binary, so that there is one link.

mod smoke;
mod support;
