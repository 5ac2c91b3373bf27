//! Other users and programs of the same machine.
