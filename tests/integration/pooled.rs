//! What arrives on connections that nobody uses at the moment.
